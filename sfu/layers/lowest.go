package layers

import "time"

const (
	// lowestUsual is what bedside.js sends the lowest encoding with, in bit/s, and lowestLeast what 320x180 is of use
	// with: libwebrtc's least for that size (kSimulcastFormats).
	lowestUsual = 100_000
	lowestLeast = 40_000
	// lowestStep is by how much rates that are asked for differ: an estimate wavers.
	lowestStep = 5_000
	// lowestSlack is what is asked for, in percent of what would fit: encoders miss their rate from second to second, and
	// estimates waver.
	lowestSlack = 80
	// lowestThin is the rate up to which a network that needs it has room for nothing else.
	lowestThin = 75_000
)

const (
	// A lower rate is asked for when it has been needed for lowestNeeded, and lowestEvery after another change at the
	// soonest: an encoder takes a second to come to a rate, and a path as long to show what it carries then.
	lowestNeeded = time.Second
	lowestEvery  = 3 * time.Second
	// A higher one is when nobody has needed so low a one for lowestPatient, and then half as much more at a time: who
	// needed it is asked nothing, and should it have been too much, has fewer frames until it is lower again.
	lowestPatient = 10 * time.Second
)

// Lowest decides with which bitrate a publisher is to send the lowest encoding: what those who have nothing else need
// to see enough frames of it. Encodings are the publisher's for everybody, so it goes down late and little, and comes
// back. The zero value asks for nothing.
type Lowest struct {
	asked   int // bit/s, 0 for nothing
	changed time.Time
	since   time.Time // since when another one than asked is needed, and
	lower   bool      // a lower one,
	other   int       // which of those needed since then is the nearest to asked
}

// Decide takes the least that any subscriber needs (Allocator.Needs), 0 for nothing, and returns what is to be asked
// for, 0 for nothing.
func (l *Lowest) Decide(now time.Time, needed int) int {
	has, needs := orUsual(l.asked), orUsual(needed)
	if -lowestStep < needs-has && needs-has < lowestStep {
		l.since = time.Time{}
		return l.asked
	}
	switch lower := needs < has; {
	case l.since.IsZero() || lower != l.lower:
		l.since, l.lower, l.other = now, lower, needs
	case lower:
		l.other = max(l.other, needs)
	default:
		l.other = min(l.other, needs)
	}
	switch waited := now.Sub(l.since); {
	case l.lower && waited >= lowestNeeded && now.Sub(l.changed) >= lowestEvery:
		l.asked = l.other
	case !l.lower && waited >= lowestPatient:
		l.asked = min(l.other, has*3/2)
	default:
		return l.asked
	}
	if l.asked >= lowestUsual {
		l.asked = 0
	}
	l.changed, l.since = now, time.Time{}
	return l.asked
}

// Asked is what was decided last.
func (l *Lowest) Asked() int { return l.asked }

func orUsual(rate int) int {
	if rate == 0 {
		return lowestUsual
	}
	return rate
}

// Needs returns, in the order of the wants of the last Allocate and valid until the next, which bitrate each one's
// lowest encoding should have so that enough frames of it fit: 0 where it does not matter.
func (a *Allocator) Needs() []int { return a.needs }

// pinched is what is known of those who are shown their lowest encoding.
type pinched struct {
	share int // of the encoding, in tenths, that all of their frames take
	fixed int // bit/s of headers
}

// need works out what is needed: every picture that is shown in its lowest encoding is to have the frames that it is
// to have at the same rate. Where that is less than what such a picture is of use with, the least important ones do
// without, and have key frames.
func (f *filling) need(needs []int, left int, grants []Grant) []int {
	needs = needs[:0]
	for range grants {
		needs = append(needs, 0)
	}
	n, keys := 0, 0
	for i := range f.cands {
		c := &f.cands[i]
		if c.pinched(grants[c.index]) {
			f.cands[n], f.cands[i] = f.cands[i], f.cands[n]
			n++
			continue
		}
		left -= grants[c.index].Rate
	}
	for ; n > 0; n-- {
		var all pinched
		for i := range f.cands[:n] {
			x := f.cands[i].frames(f.profile, i == 0)
			all.share += x.share
			all.fixed += x.fixed
		}
		rate := (left - keys - all.fixed) * 10 / all.share / 100 * lowestSlack
		if rate < lowestLeast && n > 1 {
			keys += f.cands[n-1].ladder[0].rate(KeyFrames, 0, 0)
			continue
		}
		if rate = max(rate/lowestStep*lowestStep, lowestLeast); rate < lowestUsual && left > 0 {
			for i := range f.cands[:n] {
				needs[f.cands[i].index] = rate
			}
		}
		break
	}
	return needs
}

// pinched tells whether a candidate has the lowest encoding of bedside.js, and would have more if its network took it.
func (c *candidate) pinched(g Grant) bool {
	r := &c.ladder[0]
	return r.Encoding == g.Encoding && r.Sent && r.Height == ladder()[0].height
}

// goal is the highest temporal layer that a candidate is to have of the lowest encoding: 15 frames a second of 30, all
// where motion matters, and fewer of what nobody looks at.
func (c *candidate) goal(p Profile, looked bool) int {
	switch {
	case c.ladder[0].Top < Temporals-1: // others than browsers: all or nothing
		return Temporals - 1
	case p == Detail || !looked:
		return 0
	case p == Motion:
		return Temporals - 1
	}
	return 1
}

// frames is what these frames take. The first of all is looked at.
func (c *candidate) frames(p Profile, first bool) pinched {
	t := c.goal(p, c.main || first)
	return pinched{share(t), [Temporals]int{15, 30, 60}[t] * (packetOverhead + 32) * 8 / 2}
}
