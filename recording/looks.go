package recording

import (
	"sync/atomic"
	"time"
)

// looks tells the goroutine of a Session when to take what was made of media: the first packet does that comes when it is
// time. The processor is awake then and has just worked off what came, so a look costs no wake-up of a sleeping
// thread, and does not begin while packets wait to be forwarded, as one by a timer does.
type looks struct {
	next atomic.Int64 // when it is time, Unix ns
	due  chan struct{}
	quit chan struct{}
}

// begin makes looks ready; the first is not yet due.
func (l *looks) begin(now time.Time) {
	l.due, l.quit = make(chan struct{}, 1), make(chan struct{})
	l.looked(now)
}

// came tells that a packet came. It never blocks: who was told already has not looked yet.
func (l *looks) came(now time.Time) {
	next := l.next.Load()
	if at := now.UnixNano(); at < next || !l.next.CompareAndSwap(next, at+int64(lookEvery)) {
		return
	}
	select {
	case l.due <- struct{}{}:
	default:
	}
}

// looked tells that a look has begun. If the clock is set back, that is how packets are heeded again.
func (l *looks) looked(now time.Time) { l.next.Store(now.UnixNano() + int64(lookEvery)) }
