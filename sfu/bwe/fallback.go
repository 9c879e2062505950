package bwe

import (
	"fmt"
	"time"
)

// fallback serves clients without transport-wide feedback, by what they estimate themselves (REMB) or
// by the loss in their receiver reports. The first transport-wide feedback ends it.
type fallback struct {
	on, off bool
	remb    float64
	since   time.Time // of the REMB
	last    time.Time // receiver report
}

// rembFor is how long a REMB holds: libwebrtc repeats it at least each second.
const rembFor = 5 * time.Second

// REMB takes a client's own estimate (draft-alvestrand-rmcat-remb).
func (e *Estimator) REMB(now time.Time, bitrate float64) {
	if e.fallback.off || !(bitrate >= 0) {
		return
	}
	e.fallback.on, e.fallback.remb, e.fallback.since = true, bitrate, now
	e.control.rate = min(max(bitrate, e.control.least), e.control.most)
	e.control.enter(now, Steady, "the client's own estimate (REMB)")
}

// Report takes the share that a receiver report says is lost, and what is sent now in bit/s. Its rule
// is that of RFC 8698's predecessor in browsers: above 10 % less by half of the loss, below 2 % some
// 5 % a second more, as long as it is used.
func (e *Estimator) Report(now time.Time, lost, sending float64) {
	f := &e.fallback
	if f.off || !(lost >= 0 && lost <= 1) || now.Sub(f.since) < rembFor && f.remb > 0 {
		return
	}
	dt := min(now.Sub(f.last).Seconds(), 2)
	if f.last.IsZero() {
		dt = 1
	}
	f.on, f.last = true, now
	c := &e.control
	c.limited = sending < limitedBelow*c.rate
	switch {
	case lost > 0.1:
		c.rate *= 1 - lost/2
		c.enter(now, Losing, fmt.Sprintf("%.0f %% lost by the client's report", 100*lost))
	case lost < 0.02 && !c.limited:
		c.rate *= 1 + 0.05*dt
		c.enter(now, Rising, "less than 2 % lost by the client's report")
	}
	c.rate = min(max(c.rate, c.least), c.most)
}
