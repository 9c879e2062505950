package linkem

import (
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/linkem/link"
)

// beatEvery is how often a Beat looks: often enough for a p99 of a few seconds, and 0.1 % of a processor.
const beatEvery = 10 * time.Millisecond

// Beat is a timer that does nothing but see how late it is. On a machine without time an emulated link is
// late, too, and who measures the delay of packets takes that for a queue: figures are worth what the
// beat beside them is.
type Beat struct {
	stop, done chan struct{}

	mu   sync.Mutex
	late *hist.Histogram
}

// Lateness is how late timers were: a Beat's, and those by which a Tunnel hands packets over.
type Lateness struct {
	Looked uint64            `json:"looked"`
	Median link.Milliseconds `json:"median_ms"`
	P99    link.Milliseconds `json:"p99_ms"`
	Max    link.Milliseconds `json:"max_ms"`
}

// NewBeat starts a beat, which Close ends and waits for.
func NewBeat() *Beat {
	b := &Beat{stop: make(chan struct{}), done: make(chan struct{}), late: new(hist.Histogram)}
	go b.run()
	return b
}

func (b *Beat) run() {
	defer close(b.done)
	due := time.Now().Add(beatEvery)
	timer := time.NewTimer(beatEvery)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			now := time.Now()
			b.note(now.Sub(due))
			due = now.Add(beatEvery)
			timer.Reset(beatEvery)
		case <-b.stop:
			return
		}
	}
}

func (b *Beat) note(late time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late.Add(late)
}

// Take returns how late it was since the last Take.
func (b *Beat) Take() Lateness {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.late
	b.late = new(hist.Histogram)
	return Lateness{
		Looked: h.Count(), Median: link.Milliseconds(h.Quantile(0.5)), P99: link.Milliseconds(h.Quantile(0.99)),
		Max: link.Milliseconds(h.Max()),
	}
}

// Close ends it.
func (b *Beat) Close() {
	close(b.stop)
	<-b.done
}
