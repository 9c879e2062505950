package bwe

import "time"

// verifiedFor is how long a rate that has been seen to get through counts, in two halves.
const verifiedFor = 30 * time.Second

// verified remembers the largest rate that has got through lately.
type verified struct {
	now, before float64
	since       time.Time
}

func (v *verified) add(now time.Time, rate float64) {
	if now.Sub(v.since) >= verifiedFor/2 {
		v.before, v.now, v.since = v.now, 0, now
	}
	v.now = max(v.now, rate)
}

func (v *verified) most(time.Time) float64 { return max(v.now, v.before) }
