package bwe

import (
	"fmt"
	"time"
)

// Loss without a queue is either the path's nature or a bottleneck without a buffer. What tells them
// apart is whether sending less makes it less.
const (
	trialCut   = 0.8
	trialFor   = 800 * time.Millisecond
	trialEvery = 4 * time.Second
	lossHolds  = 5 * time.Second // no rising after loss that was congestion
	// trialTells is of what was sent before, how much at most must be sent for a trial to tell anything: layers
	// that go on although the rate is lower, or sound alone, do not.
	trialTells = 0.92
)

// trial of sending less.
type trial struct {
	since  time.Time
	last   time.Time // the end of the one before
	rate   float64   // before
	excess float64   // of loss
	lost   float64   // fraction, before
	sent   float64   // bit/s, before
}

// lost acts upon loss; it tells whether that has settled what is to be done.
func (c *control) lost(s signal) bool {
	t := &c.trial
	if c.state == Losing {
		if s.now.Sub(t.since) < trialFor+s.rtt || !s.lossWindow {
			return true
		}
		t.last = s.now
		if s.sent > trialTells*t.sent && s.losses.fraction > t.lost-t.excess/2 {
			s.losses.accept(0.1)
			c.rate = min(c.rate, trialTells*s.sent) // so that the next one tells
			c.enter(s.now, Steady, fmt.Sprintf("%.0f %% are lost, and no less is sent", 100*s.losses.fraction))
			return true
		}
		if s.losses.fraction > t.lost-t.excess/2 {
			s.losses.accept(1)
			c.rate = max(c.rate, t.rate)
			c.enter(s.now, Steady, fmt.Sprintf("%.0f %% are lost whatever is sent", 100*s.losses.fraction))
			return true
		}
		c.held = s.now.Add(lossHolds)
		c.enter(s.now, Steady, fmt.Sprintf("sending less, %.0f %% are lost instead of %.0f", 100*s.losses.fraction, 100*t.lost))
		return true
	}
	if !s.lossWindow {
		return false
	}
	excess := s.losses.excess()
	if s.limited {
		// The estimate is not what decides what is sent: to lower it a little would show nothing.
		s.losses.accept(0.1)
		if excess > 0 {
			c.rate = min(c.rate, max(s.sent, s.verified))
		}
		return false
	}
	if excess <= 0 || s.now.Sub(t.last) < trialEvery && s.now.Sub(c.held) < 0 && excess < 0.1 {
		if excess <= 0 {
			s.losses.accept(0.1)
		}
		return false
	}
	*t = trial{since: s.now, rate: c.rate, excess: excess, lost: s.losses.fraction, sent: s.sent, last: t.last}
	c.enter(s.now, Losing, fmt.Sprintf("%.0f %% lost, %.0f %% usual", 100*s.losses.fraction, 100*s.losses.inherent))
	c.rate = min(c.rate, max(trialCut*c.rate, s.acked*0.95))
	return true
}
