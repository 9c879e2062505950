package transport

import (
	"sync"

	"github.com/pion/webrtc/v4"
)

// API may be used here.
type API = webrtc.API

type Silent struct{} // want doc

func (Silent) Quiet() {} // want doc

func (Silent) String() string { return "" }

func (a hidden) Method() {}

type hidden struct{}

const Loud = 1 // it says something

var (
	Mute   = 1      // the comment is enough
	errors []string // unexported
	pool   sync.Map // want global
)

func init() { // want init
	errors = nil // want global
}

func change(n int) {
	errors[n]++ // want global
	total++     // want global
	if n := 3; n > 0 {
		errors := []string{"a"}
		errors[0] = "b"
	}
	for i := range errors {
		_ = i
	}
}

type owner struct{ wg sync.WaitGroup }

func (o *owner) start() {
	go o.runOne()
	go func() { o.runOne() }()
	o.wg.Go(o.runOne)
	go o.loop()      // want run
	go func() {}()   // want run
	o.wg.Go(func() { // want run
	})
}

func (o *owner) runOne() {}
func (o *owner) loop()   {}
