package layers

import (
	"math"
	"slices"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

const (
	// KeyFrameInterval is that of the slide show below the lowest layer.
	KeyFrameInterval = 2 * time.Second

	// headroom is the part of a budget, in percent, that a larger set has to fit in; what is being sent
	// may fill it. So a budget that wavers by a twentieth switches nothing.
	headroom = 95
	// unsure is how much more than it takes, in percent, is said to be wanted: what is looked for has to leave
	// headroom, and rates waver. With none, an estimate rested at 104 % of what was wanted, where 105 were
	// needed, for good.
	unsure = 12
	// turn is how long who has spoken counts as the one who speaks: pauses are part of speech.
	turn = 3 * time.Second
)

// Want is one video subscription of a participant.
type Want struct {
	ID       uint64 // the same from call to call, and no other's
	Source   codec.Source
	Pinned   bool
	Signs    bool // an interpreter: pinned before anything else where the profile is Motion
	Speaking bool
	Placed   bool // the participant has said how large they show it:
	Height   int  // pixels, 0 for not at all
	Ladder   []Rung
}

// Allocator divides what one participant's network takes. The zero value is ready.
type Allocator struct {
	filling filling
	memory  memory

	given    []given
	needs    []int
	anew     bool
	profile  Profile
	spoke    map[uint64]time.Time
	patience patience
}

// memory is used again from call to call: an allocation every 100 ms for everybody made most of the garbage
// of a server.
type memory struct{ best, target, kept []Grant }

// given is what a want was granted, and what it asked for.
type given struct {
	Grant
	id             uint64
	pinned, placed bool
	height         int
	needs          int // see Needs
}

// Allocate decides at now. Budget is what may be sent to the participant in bit/s, 0 for no limit; audio
// is what their sound takes of it, and comes first. What is returned is in the order of wants, and valid
// until the next call; wanted is what the budget has to be for all of it.
//
// Never more than fits: a set that does not is left at once. More than before only when it has fitted for
// a while, unless it was the participant who asked for something else.
func (a *Allocator) Allocate(now time.Time, budget, audio int, p Profile, wants []Want) (grants []Grant, wanted int) {
	a.listen(now, wants)
	x := &a.memory
	x.best = a.filling.fill(x.best, math.MaxInt/2, math.MaxInt/2, p, wants, a.given, false)
	best := x.best
	wanted = audio
	for i := range a.filling.cands {
		c := &a.filling.cands[i]
		wanted += c.first(c.at)
	}
	wanted += wanted / 100 * unsure
	left, room := math.MaxInt/2, math.MaxInt/2
	if budget > 0 {
		left, room = budget/100*headroom-audio, budget-audio
	}
	target := best
	if wanted > left || !allSent(wants) { // else it would come to the same
		x.target = a.filling.fill(x.target, left, room, p, wants, a.given, true)
		target = x.target
	}
	grants = target
	kept, ok := a.keep(p, wants, target)
	fits := ok && (budget == 0 || total(kept)+audio <= budget)
	switch {
	case budget == 0 || !ok || a.anew || a.asked(p, wants):
		a.patience.none()
	case !fits:
		a.patience.regret(now, climbs(wants, target, kept))
	case !more(wants, kept, target, ""):
		a.patience.content(now)
		grants = kept
	case !a.patience.over(now, climbs(wants, kept, target)):
		grants = kept
		more(wants, kept, target, ReasonHeld)
		if !a.filling.soundOnly {
			light(wants, grants, left)
		}
	}
	a.needs = a.filling.need(a.needs, left, grants)
	a.profile, a.anew = p, false
	a.given = a.given[:0]
	for i := range wants {
		w := &wants[i]
		a.given = append(a.given, given{grants[i], w.ID, w.Pinned, w.Placed, w.Height, a.needs[i]})
	}
	return grants, wanted
}

// allSent tells whether every encoding of every want is coming.
func allSent(wants []Want) bool {
	for i := range wants {
		for j := range wants[i].Ladder {
			if !wants[i].Ladder[j].Sent {
				return false
			}
		}
	}
	return true
}

// light makes key frames of what is granted nothing, as far as they fit in left bit/s: more has to fit for a
// while, but nobody stays in the dark for that.
func light(wants []Want, grants []Grant, left int) {
	left -= total(grants)
	for i := range grants {
		g := &grants[i]
		if r := find(wants[i].Ladder, g.Encoding); g.Mode == Nothing && r != nil && r.rate(KeyFrames, 0, 0) <= left {
			g.Mode, g.Rate = KeyFrames, r.rate(KeyFrames, 0, 0)
			left -= g.Rate
		}
	}
}

// Least is a budget for the lowest encoding of all wants, and their sound.
func Least(audio int, wants []Want) int {
	for _, w := range wants {
		if i := slices.IndexFunc(w.Ladder, func(r Rung) bool { return r.Sent }); i >= 0 {
			audio += w.Ladder[i].Rates[w.Ladder[i].Top]
		}
	}
	return audio*100/headroom + 100
}

// SoundOnly leaves key frames out or not, from the next Allocate on: who has not room for a picture has sound alone.
func (a *Allocator) SoundOnly(yes bool) { a.filling.soundOnly = yes }

// Anew makes the next Allocate take what fits, without patience.
func (a *Allocator) Anew() { a.anew = true }

// listen notes who speaks.
func (a *Allocator) listen(now time.Time, wants []Want) {
	for i := range wants {
		w := &wants[i]
		if w.Speaking {
			if a.spoke == nil {
				a.spoke = map[uint64]time.Time{}
			}
			a.spoke[w.ID] = now
		} else if at, ok := a.spoke[w.ID]; ok {
			w.Speaking = now.Sub(at) < turn
		}
	}
	for id := range a.spoke {
		if !slices.ContainsFunc(wants, func(w Want) bool { return w.ID == id }) {
			delete(a.spoke, id)
		}
	}
}

// asked tells whether the participant wants something else than before.
func (a *Allocator) asked(p Profile, wants []Want) bool {
	if p != a.profile || len(wants) != len(a.given) {
		return true
	}
	for i := range wants {
		w, was := &wants[i], &a.given[i]
		if w.ID != was.id || w.Pinned != was.pinned || w.Placed != was.placed || w.Height != was.height {
			return true
		}
	}
	return false
}

// keep is what was granted before, at what it takes now. False when it cannot be kept: it was not all,
// or an encoding of it is no longer sent. What was to come next and has come is had, as much of it as target has.
// What is larger than is seen was taken because nothing smaller was sent, and is not kept.
func (a *Allocator) keep(p Profile, wants []Want, target []Grant) ([]Grant, bool) {
	if len(a.given) != len(wants) {
		return nil, false
	}
	out := a.memory.kept[:0]
	for i := range wants {
		g, w := a.given[i].Grant, &wants[i]
		if a.given[i].id != w.ID {
			return nil, false
		}
		if g.advance(w.Ladder) && target[i].Encoding == g.Encoding || rungOf(w.Ladder, g.Encoding) > seen(p, w) {
			g = target[i]
		}
		if a.filling.soundOnly && g.Mode == KeyFrames {
			g.Mode, g.Reason = Nothing, ReasonAudioOnly
		}
		r := find(w.Ladder, g.Encoding)
		if g.Encoding >= 0 && (r == nil || !r.Sent) || g.Encoding < 0 && len(w.Ladder) > 0 {
			return nil, false
		}
		if r != nil {
			g.Rate = r.rate(g.Mode, g.Temporal, g.Skip)
		}
		out = append(out, g)
	}
	a.memory.kept = out
	return out, true
}

// advance takes the best over that has come of what was waited for, and tells whether anything has.
func (g *Grant) advance(ladder []Rung) bool {
	if g.Next < 0 || g.Encoding < 0 {
		return false
	}
	for i := rungOf(ladder, g.Next); i > rungOf(ladder, g.Encoding); i-- {
		if !ladder[i].Sent {
			continue
		}
		if ladder[i].Encoding == g.Next {
			g.Next = -1
		}
		g.Encoding, g.Temporal, g.Skip = ladder[i].Encoding, Temporals-1, 0
		return true
	}
	return false
}

// givenTo is what was granted to a want: to a new one, nothing.
func givenTo(of []given, id uint64) given {
	for i := range of {
		if of[i].id == id {
			return of[i]
		}
	}
	return given{Grant: none()}
}

func find(ladder []Rung, encoding int) *Rung {
	if i := rungOf(ladder, encoding); i >= 0 {
		return &ladder[i]
	}
	return nil
}

// rungOf is where an encoding is in a ladder, -1 for nowhere.
func rungOf(ladder []Rung, encoding int) int {
	for i := range ladder {
		if ladder[i].Encoding == encoding {
			return i
		}
	}
	return -1
}

// rate is what a rung takes in bit/s up to temporal layer t, less some parts of that.
func (r *Rung) rate(m Mode, t, skip uint8) int {
	switch m {
	case Nothing:
		return 0
	case KeyFrames:
		return int(int64(r.KeyBits) * int64(time.Second) / int64(KeyFrameInterval))
	}
	t = min(t, r.Top)
	if skip == 0 || t == 0 {
		return r.Rates[t]
	}
	return r.Rates[t] - (r.Rates[t]-r.Rates[t-1])/Parts*int(skip)
}

func total(grants []Grant) (sum int) {
	for _, g := range grants {
		sum += g.Rate
	}
	return sum
}

// more tells whether b is more than a for any want; there a's reason is held, unless that is empty. Where they
// are the same, a takes b's, and waits for nothing that would not fit.
func more(wants []Want, a, b []Grant, held Reason) (found bool) {
	for i := range wants {
		ladder := wants[i].Ladder
		x, y := height(ladder, a[i]), height(ladder, b[i])
		switch {
		case x == y && a[i].Next == b[i].Next:
			a[i].Reason = b[i].Reason
			continue
		case x == y && rungOf(ladder, b[i].Next) < rungOf(ladder, a[i].Next):
			a[i].Next = b[i].Next
			continue
		case y < x:
			continue
		}
		found = true
		if held != "" {
			a[i].Reason = held
		}
	}
	return found
}

// climbs tells whether b has a higher encoding than a for any want.
func climbs(wants []Want, a, b []Grant) bool {
	for i := range wants {
		if ladder := wants[i].Ladder; rungOf(ladder, b[i].Encoding) > rungOf(ladder, a[i].Encoding) {
			return true
		}
	}
	return false
}

// height orders the grants of one ladder.
func height(ladder []Rung, g Grant) int {
	if g.Mode != Frames || g.Encoding < 0 {
		return -int(g.Mode)
	}
	return 1 + (rungOf(ladder, g.Encoding)*Temporals+int(g.Temporal))*Parts - int(g.Skip)
}
