package policy

import "time"

// Rate bounds bytes a second: a bucket that holds what may pass in rateBurst and is filled all the time.
type Rate struct {
	perSecond float64
	level     float64
	at        time.Time
}

// rateBurst holds a key frame and what a paused network lets go at once.
const rateBurst = time.Second

// NewRate returns a full bucket.
func NewRate(now time.Time, bitsPerSecond int) Rate {
	r := Rate{perSecond: float64(bitsPerSecond) / 8, at: now}
	r.level = r.perSecond * rateBurst.Seconds()
	return r
}

// Allow tells whether so many bytes may pass now, and counts them.
func (r *Rate) Allow(now time.Time, size int) bool {
	if d := now.Sub(r.at); d > 0 {
		r.level = min(r.level+d.Seconds()*r.perSecond, r.perSecond*rateBurst.Seconds())
		r.at = now
	}
	if r.level < float64(size) {
		return false
	}
	r.level -= float64(size)
	return true
}
