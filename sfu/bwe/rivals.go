package bwe

import (
	"fmt"
	"time"
)

// A queue that we cannot empty is filled by somebody whom delay does not impress: TCP. Yielding to it
// would be the end of the call, so loss decides then, as it does for TCP.
const (
	// rivalRelief is by how much shorter, in seconds, beside twice its length, a queue of ours would have become
	// before one that stays is somebody else's: less tells nothing, and of several flows that drain at once each
	// sees a part of what all do.
	rivalRelief = 0.1
	rivalGone   = time.Second      // without a queue: a TCP that has halved is back in that time
	rivalBack   = 20 * time.Second // in which it is known again by rivalRelief alone
	rivalRise   = 0.5              // of what TCP rises
	rivalCut    = 0.7              // on loss
	rivalTest   = 12 * time.Second // then we yield for a moment to see whether it is still so
	rivalYield  = 0.5
)

// rival is what is known of the others.
type rival struct {
	gone   time.Time // since when the queue is short
	cut    time.Time // the last
	tested time.Time
	yields bool      // a test is on
	from   float64   // the rate before it
	queue  float64   // when it began
	left   time.Time // when they were last thought to have gone
}

// rivals tells, and acts upon it, whether the queue that is being drained is not ours.
func (c *control) rivals(s signal) bool {
	enough := rivalRelief
	if c.leaped() {
		enough += 4 * c.peak // it may yet turn out to be a longer path
	} else if s.now.Sub(c.rival.left) > rivalBack {
		enough += 2 * c.peak
	}
	if c.relief < enough || s.queue < c.peak/2 {
		return false
	}
	c.rate = min(c.entry, max(c.capacity, c.share))
	c.rival, c.flat = rival{tested: s.now, cut: s.now}, flat{}
	c.enter(s.now, Competing, fmt.Sprintf("%.0f ms of queue stay although less is sent", s.queue*1e3))
	return true
}

// compete follows loss until the queue goes.
func (c *control) compete(s signal, reference float64) {
	r := &c.rival
	if s.queue > reference+drainAbove/2 {
		r.gone = time.Time{}
	} else if r.gone.IsZero() {
		r.gone = s.now
	} else if s.now.Sub(r.gone) > rivalGone {
		r.left = s.now
		c.rate = max(c.rate, r.from)
		c.held, c.full = s.now, 0
		c.enter(s.now, Steady, "the queue of others is gone")
		return
	}
	if c.yield(s) {
		return
	}
	if s.queue > reference+drainAbove && c.flat.holds(s, 0) {
		c.rebase, c.entry = true, c.rate
		return
	}
	if s.lossWindow && s.losses.fraction > s.losses.inherent+0.01 && s.now.Sub(r.cut) > max(s.rtt, 500*time.Millisecond) {
		r.cut = s.now
		c.rate *= rivalCut
		return
	}
	// Reno's one packet a round trip; less, because we give way to loss less than it does.
	trip := s.rtt.Seconds() + s.queue
	c.grow(s, rivalRise*1500*8/(trip*trip)*s.dt/c.rate)
}

// yield sends half for a moment, now and then: a queue that then becomes as much shorter as one of
// ours alone would is ours.
func (c *control) yield(s signal) bool {
	r := &c.rival
	if !r.yields {
		if s.now.Sub(r.tested) < rivalTest {
			return false
		}
		*r = rival{tested: s.now, cut: r.cut, yields: true, from: c.rate, queue: s.queue}
		c.rate *= rivalYield
		return true
	}
	const during = 400 * time.Millisecond
	if s.now.Sub(r.tested) < during+s.rtt {
		return true
	}
	c.rate = r.from
	if r.queue-s.queue > 0.7*(1-rivalYield)*during.Seconds() {
		c.capacity, c.peak, c.entry = max(s.acked, r.from*rivalYield), s.queue, r.from
		c.enter(s.now, Draining, "the queue is ours")
	}
	*r = rival{tested: s.now, cut: r.cut}
	return true
}
