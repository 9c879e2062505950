package forward

import "time"

// squeezed is how long the timestamps take that a squeeze makes: a frame.
const squeezed = 33 * time.Millisecond

// squeeze makes room for pictures of an encoding that were taken before the last picture of another
// left: they have timestamps in order, close to each other, behind that one's, and what is taken later
// keeps its own. The zero value changes nothing.
//
//	true timestamps   from . . . . . . . . . to . . .
//	those that leave                low.....to . . .
type squeeze struct {
	from, low, to uint32
}

// newSqueeze returns the squeeze of timestamps from on, the first to leave as low.
func newSqueeze(from, low, clockRate uint32) squeeze {
	if int32(from-low) >= 0 {
		return squeeze{}
	}
	return squeeze{from, low, low + units(squeezed, clockRate)}
}

// apply returns what ts leaves as. Of two timestamps none overtakes the other.
func (s *squeeze) apply(ts uint32) uint32 {
	if s.from == s.to || int32(ts-s.from) < 0 || int32(ts-s.to) >= 0 {
		return ts
	}
	return s.low + uint32(uint64(ts-s.from)*uint64(s.to-s.low)/uint64(s.to-s.from))
}

// forget ends the squeeze when ts is so far behind it that nothing of before can come any more, lest
// 2^31 units on everything seems to be before it.
func (s *squeeze) forget(ts uint32) {
	if s.from != s.to && int32(ts-s.to) > 1<<26 { // 12 minutes at 90 kHz
		*s = squeeze{}
	}
}
