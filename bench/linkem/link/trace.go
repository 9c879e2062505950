package link

import (
	"fmt"
	"math/bits"
	"time"
)

// Bitrate is in bits a second.
type Bitrate int64

// Units of Bitrate.
const (
	Kbit Bitrate = 1e3
	Mbit Bitrate = 1e6
	Gbit Bitrate = 1e9
)

// Limits of a Trace.
const (
	minRate     = Kbit
	maxRate     = 100 * Gbit
	minSegment  = time.Millisecond
	maxPeriod   = time.Hour
	maxSegments = 4096
)

// Segment is a time of one rate; 0 is an outage, during which packets wait.
type Segment struct {
	Rate Bitrate
	For  time.Duration // not looked at when the segment is the only one
}

// Trace is a rate that changes in time: its segments one after the other, then again from the first.
// It begins when a Link is made or changed. A single segment is a constant rate, none is no limit.
type Trace []Segment

// Constant returns the trace of a rate that does not change.
func Constant(r Bitrate) Trace { return Trace{{Rate: r}} }

func (t Trace) validate() error {
	if len(t) > maxSegments {
		return fmt.Errorf("rate: %d segments, at most %d", len(t), maxSegments)
	}
	for i, s := range t {
		if s.Rate != 0 && (s.Rate < minRate || s.Rate > maxRate) {
			return fmt.Errorf("rate %v: neither 0 nor between %v and %v", s.Rate, minRate, maxRate)
		}
		if len(t) > 1 && (s.For < minSegment || s.For > maxPeriod) {
			return fmt.Errorf("rate: segment %d lasts %v, not between %v and %v", i+1, s.For, minSegment, maxPeriod)
		}
	}
	if len(t) > 0 && t.peak() == 0 {
		return fmt.Errorf("rate 0: nothing ever gets through; for an outage use loss=100%%")
	}
	if p := t.period(); p > maxPeriod {
		return fmt.Errorf("rate: the segments last %v together, at most %v", p, maxPeriod)
	}
	return nil
}

func (t Trace) peak() Bitrate {
	var most Bitrate
	for _, s := range t {
		most = max(most, s.Rate)
	}
	return most
}

func (t Trace) period() time.Duration {
	var all time.Duration
	for _, s := range t {
		all += s.For
	}
	return all
}

// at returns the segment of an instant and how much of it is left.
func (t Trace) at(since time.Duration) (i int, left time.Duration) {
	pos := since % t.period()
	for i := range t {
		if pos < t[i].For {
			return i, t[i].For - pos
		}
		pos -= t[i].For
	}
	panic("link: internal error: a trace shorter than its period")
}

// finish returns when n bits are sent whose first is sent at start; both are times since the trace
// began. It is rounded up to nanoseconds, and fractions of a bit are forgotten at the end of a
// segment: the rate is never exceeded.
func (t Trace) finish(start time.Duration, n int64) time.Duration {
	if len(t) == 0 || n <= 0 {
		return start
	}
	if len(t) == 1 {
		return start + t[0].Rate.lasts(n)
	}
	if whole := t.capacity(); n > whole {
		periods := (n - 1) / whole
		start += time.Duration(periods) * t.period()
		n -= periods * whole
	}
	i, left := t.at(start)
	for {
		if room := t[i].Rate.carries(left); room < n {
			start += left
			n -= room
			i = (i + 1) % len(t)
			left = t[i].For
			continue
		}
		return start + t[i].Rate.lasts(n)
	}
}

// sent returns how many bits go between two instants.
func (t Trace) sent(from, to time.Duration) int64 {
	if len(t) == 1 {
		return t[0].Rate.carries(to - from)
	}
	period := t.period()
	n := int64((to-from)/period) * t.capacity()
	from += (to - from) / period * period
	i, left := t.at(from)
	for from < to {
		d := min(left, to-from)
		n += t[i].Rate.carries(d)
		from += d
		i = (i + 1) % len(t)
		left = t[i].For
	}
	return n
}

// capacity is what one period carries, at least a bit: segments and rates are long and high enough.
func (t Trace) capacity() int64 {
	var n int64
	for _, s := range t {
		n += s.Rate.carries(s.For)
	}
	return n
}

// carries returns how many whole bits r sends in d.
func (r Bitrate) carries(d time.Duration) int64 {
	hi, lo := bits.Mul64(uint64(r), uint64(d))
	q, _ := bits.Div64(hi, lo, uint64(time.Second))
	return int64(q)
}

// lasts returns how long r, which is not 0, takes for n bits.
func (r Bitrate) lasts(n int64) time.Duration {
	return time.Duration((n*int64(time.Second) + int64(r) - 1) / int64(r))
}
