package layers

import (
	"cmp"
	"slices"

	"github.com/bedside-video/bedside/sfu/codec"
)

// filling is a set of grants as it is put together.
type filling struct {
	left    int // bit/s, and
	room    int // for the first second, with the key frames in it
	profile Profile
	cands   []candidate // the most important first
	points  []point     // of the candidates, one behind the other

	soundOnly bool // no key frames for whom no picture fits
}

// candidate is one want with what it may be granted.
type candidate struct {
	index  int // in wants
	main   bool
	want   *Want
	points []point // that are being sent, and are not more than the tile shows; the least liked first
	at     int     // of points; -1: none fits
	mode   Mode
	best   point // of all that the profile likes
	top    point // of these, the best that the tile shows
	ladder []Rung
	shown  int  // the rung that is being forwarded, or the lowest
	thin   bool // that one is asked for with a much lower rate
}

// fill puts the best set together that takes at most left bit/s, and in its first second room: everybody's least in the order of
// importance, then all that fits for whoever is pinned or speaks, then the rest step by step. With sent,
// of the encodings that are being sent; without, of all. What it returns is in grants.
func (f *filling) fill(grants []Grant, left, room int, p Profile, wants []Want, shown []given, sent bool) []Grant {
	f.left, f.room, f.profile, f.points = left, room, p, f.points[:0]
	clear(f.cands)
	f.cands = f.cands[:0]
	for i := range wants {
		f.add(i, &wants[i], givenTo(shown, wants[i].ID), sent)
	}
	slices.SortStableFunc(f.cands, func(x, y candidate) int { return cmp.Compare(class(p, x.want), class(p, y.want)) })
	f.least()
	f.raiseMain()
	for f.raiseOthers() {
	}
	grants = grants[:0]
	for range wants {
		grants = append(grants, none())
	}
	for i := range f.cands {
		f.grant(&f.cands[i], grants)
	}
	return grants
}

// class orders wants by importance (design D7).
func class(p Profile, w *Want) int {
	switch {
	case w.Pinned && w.Signs && p == Motion:
		return 0
	case w.Pinned && w.Source == codec.Exam:
		return 1
	case w.Pinned && w.Source == codec.Screen:
		return 2
	case w.Pinned:
		return 3
	case w.Signs && p == Motion:
		return 4
	case w.Speaking:
		return 5
	case w.Source != codec.Camera:
		return 6 // somebody shows something
	}
	return 7
}

// mains is the last class whose wants are raised as far as they go before those of others are.
const mains = 5

func (f *filling) add(i int, w *Want, was given, sent bool) {
	var room [9]point // three temporal layers of three encodings
	at := max(0, rungOf(w.Ladder, was.Encoding))
	all := appendPoints(room[:0], f.profile, w.Ladder, at)
	if len(all) == 0 {
		return
	}
	c := candidate{index: i, main: class(f.profile, w) <= mains, want: w, at: -1, ladder: w.Ladder, shown: at, thin: 0 < was.needs && was.needs <= lowestThin}
	highest := seen(f.profile, w)
	c.best = all[len(all)-1]
	from := len(f.points)
	lowest := slices.IndexFunc(w.Ladder, func(r Rung) bool { return r.Sent })
	for _, q := range all {
		if q.rung <= highest {
			c.top = q
		}
		// Where nothing small enough is sent, the lowest that is.
		if (q.rung <= highest || q.rung == lowest) && (!sent || w.Ladder[q.rung].Sent) {
			f.points = append(f.points, q)
		}
	}
	c.points = f.points[from:]
	if len(c.points) > 0 {
		f.cands = append(f.cands, c)
	}
}

// cost is what a point takes.
func (c *candidate) cost(i int) int {
	if i < 0 {
		return 0
	}
	q := c.points[i]
	r := &c.ladder[q.rung]
	cost := r.rate(Frames, q.t, q.skip)
	if q.rung > c.shown {
		return r.grown(cost)
	}
	return cost
}

// first is what a point takes in its first second: the key frame of a larger picture comes on top. What the path
// does not carry of it stands in front of everything else, or is lost: behind 330 kbit/s (2 % lost, Chromium 156,
// 2026-11-22) three tries without room for it froze the picture for 0.3 to 1.1 s each.
func (c *candidate) first(i int) int {
	if i < 0 || c.points[i].rung <= c.shown {
		return c.cost(i)
	}
	return c.cost(i) + c.ladder[c.points[i].rung].KeyBits
}

// least gives everybody the first thing that they can have, and whom that does not fit for key frames.
func (f *filling) least() {
	for i := range f.cands {
		c := &f.cands[i]
		if c.cost(0) <= f.left {
			c.at = 0
			f.left -= c.cost(0)
			f.room -= c.first(0)
		}
		if i == 0 && c.at == 0 && c.want.Pinned {
			f.enough(c)
		}
	}
	for i := range f.cands {
		c := &f.cands[i]
		if c.at >= 0 {
			continue
		}
		r := &c.ladder[c.points[0].rung]
		if c.mode = Nothing; !f.soundOnly && r.rate(KeyFrames, 0, 0) <= f.left {
			c.mode = KeyFrames
			f.left -= r.rate(KeyFrames, 0, 0)
			f.room -= r.rate(KeyFrames, 0, 0)
		}
	}
}

// enough gives whoever is looked at the frames that make a picture move, of the lowest encoding, before others have
// any.
func (f *filling) enough(c *candidate) {
	t := uint8(c.goal(f.profile, true))
	for j := len(c.points) - 1; j > 0; j-- {
		if q := c.points[j]; q.rung == c.points[0].rung && q.t <= t && f.raise(c, j) {
			return
		}
	}
}

// raiseMain gives whoever is pinned or speaks the best that fits, one after another.
func (f *filling) raiseMain() {
	for i := range f.cands {
		c := &f.cands[i]
		if !c.main || c.at < 0 {
			continue
		}
		for j := len(c.points) - 1; j > c.at; j-- {
			if !c.surplus(f.profile, c.points[j]) && f.raise(c, j) {
				break
			}
		}
	}
}

// surplus tells whether a point has more frames than those that a lower rate is asked for, and one part. What is left
// beside the picture is what sound does not wait for: behind 180 kbit/s its MOS was 3.4 to 3.9, and is 3.6 to 4.0.
func (c *candidate) surplus(p Profile, q point) bool {
	return c.thin && q.rung == 0 && int(q.t) > c.goal(p, true) && q.skip < Parts-1
}

// raiseOthers gives each of the rest a step, and tells whether any could be given.
func (f *filling) raiseOthers() (raised bool) {
	for i := range f.cands {
		c := &f.cands[i]
		if c.main || c.at < 0 {
			continue
		}
		for j := c.at + 1; j < len(c.points); j++ {
			if f.raise(c, j) {
				raised = true
				break
			}
		}
	}
	return raised
}

func (f *filling) raise(c *candidate, j int) bool {
	more, first := c.cost(j)-c.cost(c.at), c.first(j)-c.first(c.at)
	if more > f.left || first > f.room {
		return false
	}
	c.at = j
	f.left -= more
	f.room -= first
	return true
}

// grant writes down what a candidate has come to, what it would take if that were sent, and why.
func (f *filling) grant(c *candidate, grants []Grant) {
	q := c.points[max(c.at, 0)]
	r := &c.ladder[q.rung]
	g := Grant{Encoding: r.Encoding, Temporal: q.t, Skip: q.skip, Mode: c.mode, Next: -1, Rate: r.rate(c.mode, q.t, q.skip)}
	switch {
	case c.at < 0:
		g.Temporal, g.Skip = 0, 0
	case q.t == r.Top && q.skip == 0:
		g.Temporal = Temporals - 1 // all, also what was not seen yet or was lost of late
		fallthrough
	default:
		g.Next = f.next(c, q, g.Rate)
	}
	switch {
	case c.mode == Nothing:
		g.Reason = ReasonAudioOnly
	case c.mode == KeyFrames:
		g.Reason = ReasonKeyFrames
	case q == c.best:
		g.Reason = ReasonHighest
	case q == c.top || q.rung > c.top.rung:
		g.Reason = ReasonSize
	case g.Next >= 0 || c.at == len(c.points)-1:
		g.Reason = ReasonPublisher
	default:
		g.Reason = ReasonBudget
	}
	grants[c.index] = g
}

// next is the highest encoding above q that is not being sent and of which something would fit; -1 for none. What it
// would take is not kept free: it may never come.
func (f *filling) next(c *candidate, q point, rate int) int {
	for i := c.top.rung; i > q.rung; i-- {
		r := &c.ladder[i]
		if more := r.grown(r.fewest(f.profile)) - rate; !r.Sent && more <= f.left && more+r.KeyBits <= f.room {
			return r.Encoding
		}
	}
	return -1
}
