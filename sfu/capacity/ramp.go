package capacity

import (
	"slices"
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
)

const (
	// RampMost is the most that a path is tried with, in bit/s: more than a camera's highest layer.
	RampMost  = 2_000_000
	rampFirst = 100_000 // the first
	rampLeast = 40_000  // sound and nothing else
	// rampTime is how long it may take: five steps of 200 ms, each judged a round trip of 200 ms later, and fullTime.
	rampTime = 3200 * time.Millisecond
	// stepTime is what a step is judged by, and stepPackets: fewer tell nothing.
	stepTime    = 160 * time.Millisecond
	stepPackets = 8
	// stepPasses is the share of the rate sent at which a step arrives that the path carries, without a queue of
	// stepQueue at its end and without a loss of stepLoses: what a short queue has no room for is lost.
	stepPasses = 0.9
	stepQueue  = 40 * time.Millisecond
	stepLoses  = 0.12
	// fullOver is by how much more is sent than comes, so that the path stays full; with a quarter it does so when a
	// step was judged by a burst, and the queue grows by no more than a quarter of a second.
	fullOver = 1.25
	// fullTime is how long what comes through a full path is counted: a hundredth of it is a packet of 1 Mbit/s.
	fullTime = 900 * time.Millisecond
	// fullLook is from when on it is looked whether the path is full indeed, or a client was late.
	fullLook = 400 * time.Millisecond
	// firstAnswer and nextAnswer are how long nothing may be heard of what was sent before no more is: who does not
	// answer gets 8 kB. A full path answers later, by its queue.
	firstAnswer = 600 * time.Millisecond
	nextAnswer  = 1200 * time.Millisecond
)

// Ramp decides what is sent down a path to learn what it carries. It is not safe for use by several goroutines.
type Ramp struct {
	began, answered time.Time
	rate            float64
	full            bool
	over            bool
	step            span // of the packets of this step
	since           time.Time
	found           float64
	filledFrom      time.Time
	filledTo        time.Time
	least           time.Duration // that a packet took, by clocks that do not agree
}

// NewRamp begins to measure.
func NewRamp(now time.Time) *Ramp {
	return &Ramp{began: now, since: now, rate: rampFirst}
}

// Rate returns what is to be sent now, in bit/s and everything counted; 0 when it is over. waiting is when the oldest
// packet was sent of which nothing has been heard, the zero time if there is none.
func (r *Ramp) Rate(now, waiting time.Time) int {
	patience := nextAnswer
	if r.answered.IsZero() {
		patience = firstAnswer
	}
	silent := !waiting.IsZero() && now.Sub(waiting) > patience
	if !r.over && (silent || now.Sub(r.began) > rampTime) {
		r.end(now)
	}
	if r.over {
		return 0
	}
	return int(r.rate)
}

// Acks takes what is newly known of packets that were sent.
func (r *Ramp) Acks(now time.Time, acks []bwe.Ack) {
	if r.over {
		return
	}
	for i := range acks {
		a := &acks[i]
		mine := !a.Sent.Before(r.since)
		switch {
		case a.Fate == bwe.Received:
			if took := a.Arrived - a.Sent.Sub(r.began); r.answered.IsZero() || took < r.least {
				r.least = took
			}
			r.answered = now
			if mine {
				r.step.add(a)
				r.step.late(a.Arrived - a.Sent.Sub(r.began))
			}
		case a.Fate == bwe.Lost && mine:
			r.step.lost++
		}
	}
	r.judge(now)
}

// judge goes on to the next step when there is enough to tell.
func (r *Ramp) judge(now time.Time) {
	s := &r.step
	if s.packets < stepPackets || s.sentFor() < stepTime {
		return
	}
	sent, came := s.rates()
	came = min(came, sent) // a client that was late, or says so, is no faster path
	passes := came >= stepPasses*sent && s.delay()-r.least < stepQueue && float64(s.lost) < stepLoses*float64(s.packets+s.lost)
	switch {
	case !r.full && passes:
		r.passed(now, came)
	case !r.full:
		r.full, r.filledFrom = true, r.since
		r.found = came
		r.next(now, came*fullOver)
	case passes && s.sentFor() >= fullLook:
		r.full = false // it was the client that was late
		r.passed(now, came)
	case s.cameFor() >= fullTime:
		r.found = came
		r.end(now)
	default:
		r.found = came
		r.rate = min(max(r.rate, came*fullOver), RampMost)
	}
}

// passed goes on with twice as much.
func (r *Ramp) passed(now time.Time, came float64) {
	r.found = max(r.found, came)
	if r.rate >= RampMost {
		r.end(now)
		return
	}
	r.next(now, 2*r.rate)
}

func (r *Ramp) next(now time.Time, rate float64) {
	r.rate, r.since, r.step = min(max(rate, rampLeast), RampMost), now, span{}
}

func (r *Ramp) end(now time.Time) { r.over, r.filledTo = true, now }

// Found returns what the path carries, in bit/s; 0 if nobody answered. What did not fill it may not be all.
func (r *Ramp) Found() (bitrate int, full bool) { return int(r.found), r.full }

// Filled tells whether something sent at an instant may have met a queue of the Ramp's own making: what it
// lost says nothing of the path.
func (r *Ramp) Filled(at time.Time) bool {
	return !r.filledFrom.IsZero() && !at.Before(r.filledFrom) && (!r.over || at.Sub(r.filledTo) < queueGone)
}

// queueGone is when the queue has gone at the latest that a Ramp has made.
const queueGone = time.Second

// span is a run of packets that arrived.
type span struct {
	packets, bytes      int
	firstSent, lastSent time.Time
	first, last         time.Duration // came, by the client's clock
	lastSize, firstSize int
	lost                int
	took                [4]time.Duration // of the last that came
}

func (s *span) late(took time.Duration) { s.took[s.packets%len(s.took)] = took }

// delay is the least of the last packets.
func (s *span) delay() time.Duration { return slices.Min(s.took[:]) }

func (s *span) add(a *bwe.Ack) {
	if s.packets == 0 || a.Sent.Before(s.firstSent) {
		s.firstSent = a.Sent
	}
	if s.packets == 0 || !a.Sent.Before(s.lastSent) {
		s.lastSent, s.lastSize = a.Sent, a.Size
	}
	if s.packets == 0 || a.Arrived < s.first {
		s.first, s.firstSize = a.Arrived, a.Size
	}
	if s.packets == 0 || a.Arrived > s.last {
		s.last = a.Arrived
	}
	s.packets++
	s.bytes += a.Size
}

func (s *span) sentFor() time.Duration { return s.lastSent.Sub(s.firstSent) }
func (s *span) cameFor() time.Duration { return s.last - s.first }

// rates returns those at which the packets that arrived were sent, and came.
func (s *span) rates() (sent, came float64) {
	return rate(s.bytes-s.lastSize, s.sentFor()), rate(s.bytes-s.firstSize, s.cameFor())
}

func rate(bytes int, d time.Duration) float64 {
	return float64(bytes) * 8 / max(d, time.Millisecond).Seconds()
}
