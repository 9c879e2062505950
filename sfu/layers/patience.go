package layers

import "time"

const (
	// More is taken only when it has fitted for patienceFirst. When a larger picture had to be left within
	// regretWithin, the next one waits twice as long, up to patienceLongest: a person sees every switch, and each
	// costs a key frame. More frames of the same picture cost nothing but themselves.
	patienceFirst   = time.Second
	patienceLongest = 32 * time.Second
	regretWithin    = 10 * time.Second
	// forgiveAfter is how long everything must have fitted for patience to be what it was at first.
	forgiveAfter = 30 * time.Second
)

// patience decides when more is taken. The zero value is ready.
type patience struct {
	since    time.Time     // since when more fits; zero: it does not
	climbing bool          // with a larger picture in it
	climbed  time.Time     // when one was last begun
	lowered  time.Time     // when the budget last forced less
	wait     time.Duration // before a larger picture, 0 for patienceFirst
}

// none notes that there is no more to be had, or that it is not waited for.
func (p *patience) none() { p.since = time.Time{} }

// over tells whether more has fitted for long enough, and takes it that it is taken then. Climbs: it is a larger
// picture.
func (p *patience) over(now time.Time, climbs bool) bool {
	if p.since.IsZero() || climbs && !p.climbing {
		p.since = now
	}
	p.climbing = climbs
	wait := patienceFirst
	if climbs {
		wait = max(wait, p.wait)
	}
	if now.Sub(p.since) < wait {
		return false
	}
	p.since = time.Time{}
	if climbs {
		p.climbed = now
	}
	return true
}

// regret notes that what was granted does not fit any more; left: with a larger picture in it.
func (p *patience) regret(now time.Time, left bool) {
	p.since, p.lowered = time.Time{}, now
	if left && !p.climbed.IsZero() && now.Sub(p.climbed) < regretWithin {
		p.wait = min(2*max(p.wait, patienceFirst), patienceLongest)
		p.climbed = time.Time{}
	}
}

// content notes that there is no more to be had although everything fits.
func (p *patience) content(now time.Time) {
	p.since = time.Time{}
	if now.Sub(p.lowered) > forgiveAfter {
		p.wait = 0
	}
}
