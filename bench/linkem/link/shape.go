package link

import (
	"fmt"
	"time"
)

// Limits of a Shape. They are far beyond any network; within them no arithmetic of this package
// overflows.
const (
	maxDelay = time.Minute
	maxBurst = 1e6
)

// DefaultQueue is the queue of a Shape that names none.
const DefaultQueue = 200 * time.Millisecond

// Shape describes one direction of a link. The zero value is a perfect link.
type Shape struct {
	Rate Trace // what the bottleneck carries; nil: everything, at once

	// Queue bounds what waits for the bottleneck: a packet that would make it more than Queue at the
	// trace's highest rate is dropped. As in a router the buffer is bytes, so that packets wait
	// longer when the rate falls. 0 is DefaultQueue. A packet that finds nobody waiting or being
	// sent is always taken.
	Queue time.Duration

	Delay   time.Duration // of every packet, one way, after the bottleneck
	Jitter  time.Duration // standard deviation of the delay: normal, cut at three of them and at 0
	Reorder bool          // jitter may let packets overtake; else who would overtake waits

	Loss      float64 // mean probability that a packet is lost after the bottleneck, 0 to 1
	Burst     float64 // mean number of packets lost in a row (Gilbert-Elliott); 0: losses are independent
	Duplicate float64 // probability that a packet which is not lost comes twice, 0 to 1
}

// Validate says what of a Shape makes no sense.
func (s Shape) Validate() error {
	for _, d := range []struct {
		name string
		v    time.Duration
	}{{"queue", s.Queue}, {"delay", s.Delay}, {"jitter", s.Jitter}} {
		if d.v < 0 || d.v > maxDelay {
			return fmt.Errorf("%s %v: not between 0 and %v", d.name, d.v, maxDelay)
		}
	}
	for _, p := range []struct {
		name string
		v    float64
	}{{"loss", s.Loss}, {"dup", s.Duplicate}} {
		if !(p.v >= 0 && p.v <= 1) { // so written, it catches NaN
			return fmt.Errorf("%s %v: not a probability between 0 and 1 or 0%% and 100%%", p.name, p.v)
		}
	}
	if s.Reorder && s.Jitter == 0 {
		return fmt.Errorf("reorder: needs jitter, nothing else overtakes")
	}
	if err := s.validateBurst(); err != nil {
		return err
	}
	return s.Rate.validate()
}

// validateBurst refuses what the two-state model cannot do: between two bursts at least one packet
// gets through, so that bursts of mean length b lose at most b of b+1 packets.
func (s Shape) validateBurst() error {
	if s.Burst == 0 {
		return nil
	}
	if !(s.Burst >= 1 && s.Burst <= maxBurst) {
		return fmt.Errorf("burst %v: not between 1 and %v packets", s.Burst, maxBurst)
	}
	if s.Loss == 0 {
		return fmt.Errorf("burst: needs loss")
	}
	if most := s.Burst / (s.Burst + 1); s.Loss < 1 && s.Loss > most {
		return fmt.Errorf("burst %v: bursts of this length lose at most %.4g%% of all packets, not %.4g%%", s.Burst, 100*most, 100*s.Loss)
	}
	return nil
}
