package forward

import (
	"fmt"
	"math/rand/v2" // want import
	"net"          // want import
	"net/netip"
	"os"   // want import
	"sync" // want import
	clock "time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/port" // want import
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4" // want import import
)

// Packets uses what it imports.
type Packets struct {
	mu   sync.Mutex
	addr netip.Addr
	conn net.Conn
	one  codec.Packet
	two  rtp.Packet
	pc   webrtc.PeerConnection
	port port.Port
}

// Late reads the clock in every way.
func (p *Packets) Late(now clock.Time) {
	fmt.Fprintln(os.Stderr, clock.Now().Sub(now), clock.Since(now), rand.Int()) // want clock clock
	go p.runLate()                                                              // want go
	<-clock.After(clock.Second)                                                 // want clock
	clock.AfterFunc(1, nil)                                                     // want clock
	clock.Until(now)                                                            // want clock
	clock.NewTimer(1)                                                           // want clock
	clock.NewTicker(1)                                                          // want clock
	clock.Tick(1)                                                               // want clock
	clock.Sleep(1)                                                              // want clock sleep
}

func (p *Packets) runLate() {}

type local struct{ Now func() }

// Fine does not read it: this is a field that happens to be called so.
func (p *Packets) Fine(clock local) { clock.Now() }
