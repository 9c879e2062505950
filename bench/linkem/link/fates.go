package link

import (
	"math"
	"time"
)

// fates draws what befalls packets. A draw is a function of the seed, the kind and the packet's
// ordinal, so that one kind does not change another.
type fates struct {
	seed    uint64
	ordinal uint64 // of the last packet that left the bottleneck
	bad     bool   // Gilbert-Elliott: in a burst
}

// The kinds of draws.
const (
	losing uint64 = iota + 1
	duplicating
	original // and the next: two draws for the delay of a packet
	_
	copied // and the next: of its copy
)

const golden = 0x9e3779b97f4a7c15 // splitmix64's

// uniform returns a number in [0, 1).
func (f *fates) uniform(kind uint64) float64 {
	return float64(mix(mix(mix(f.seed)+kind)+f.ordinal)>>11) / (1 << 53)
}

// OtherSeed derives the seed of a second link from that of the first, so that one seed names both
// directions of a connection.
func OtherSeed(seed uint64) uint64 { return mix(seed) }

// mix is splitmix64's step: a bijection that scatters neighbours.
func mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// loses tells whether the packet is lost. In bursts it is the simple Gilbert model (Elliott's with
// nothing lost in the good state and everything in the bad; RFC 8867 has independent losses only).
func (f *fates) loses(s Shape) bool {
	u := f.uniform(losing)
	if s.Burst == 0 || s.Loss == 1 {
		f.bad = false
		return u < s.Loss
	}
	ends := 1 / s.Burst
	begins := s.Loss * ends / (1 - s.Loss) // so that the mean loss is Loss
	if f.bad {
		f.bad = u >= ends
	} else {
		f.bad = u < begins
	}
	return f.bad
}

func (f *fates) duplicates(s Shape) bool {
	return s.Duplicate > 0 && f.uniform(duplicating) < s.Duplicate
}

// delay draws the delay of the packet or of its copy.
func (f *fates) delay(s Shape, kind uint64) time.Duration {
	if s.Jitter == 0 {
		return s.Delay
	}
	// Box-Muller; the logarithm's argument is in (0, 1].
	z := math.Sqrt(-2*math.Log(1-f.uniform(kind))) * math.Cos(2*math.Pi*f.uniform(kind+1))
	z = max(-3, min(3, z))
	return max(0, s.Delay+time.Duration(z*float64(s.Jitter)))
}
