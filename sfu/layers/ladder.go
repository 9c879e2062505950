package layers

// Rung is one encoding as the allocator sees it.
type Rung struct {
	Encoding int  // its index in the publication
	Sent     bool // packets of it are coming
	Height   int  // lines, 0 where that is not known
	Rates    [Temporals]int
	Top      uint8 // its highest temporal layer
	KeyBits  int   // of a key frame
	Full     int   // bit/s that it will come to, where it was not measured for long; else 0
}

// Ladder appends a publication's encodings to rungs, the lowest first. Those of which nothing ever came are
// left out.
func Ladder(rungs []Rung, encodings []Encoding) []Rung {
	var order [usualEncodings]int
	for _, i := range appendOrder(order[:0], encodings) {
		e := &encodings[i]
		if e.last.IsZero() {
			continue
		}
		rates, top := e.Rates()
		rungs = append(rungs, Rung{
			Encoding: i, Sent: Sent(i, encodings), Height: e.height(), Rates: rates, Top: top, KeyBits: e.keyBits(), Full: e.full(),
		})
	}
	return rungs
}

// point is one thing that a subscription can be granted: a rung of its ladder, and a temporal layer.
type point struct {
	rung int
	t    uint8
	skip uint8 // of the parts of t
}

// appendPoints lists what a profile wants of a ladder, what it likes least first. Of the rung that is shown a part
// more may be left out before it is left: a wavering estimate is to cost frames and no switch.
func appendPoints(out []point, p Profile, ladder []Rung, shown int) []point {
	for i, r := range ladder {
		for t := range r.Top + 1 {
			if p != Detail && t > 0 && t == r.Top {
				for skip := uint8(Parts - 1); skip > 0; skip-- {
					if most := skips(p); i == 0 || skip <= most || skip == most+1 && i == shown {
						out = append(out, point{i, t, skip})
					}
				}
			}
			if keeps(p, i, t, r.Top, len(ladder)) {
				out = append(out, point{i, t, 0})
			}
		}
	}
	return out
}

// skips is how many parts may be left out of an encoding that has lower ones: with fewer frames than a profile's
// goal (20 a second, 25 where motion matters: docs/bandwidth.md, Q2 and Q8) more frames of those are better.
func skips(p Profile) uint8 {
	if p == Motion {
		return 1
	}
	return 2
}

// fewest is what a rung that has lower ones takes with as few frames as a profile has a use for.
func (r *Rung) fewest(p Profile) int {
	if p == Detail || r.Top == 0 {
		return r.rate(Frames, 0, 0)
	}
	return r.rate(Frames, r.Top, skips(p))
}

// grown is what a rate of the rung will come to.
func (r *Rung) grown(rate int) int {
	if whole := r.Rates[r.Top]; 0 < whole && whole < r.Full {
		return int(int64(rate) * int64(r.Full) / int64(whole))
	}
	return rate
}

// keeps tells whether a profile has a use for temporal layer t of rung i.
func keeps(p Profile, i int, t, top uint8, rungs int) bool {
	switch {
	case i == 0:
		return p != Detail || t == 0 || rungs == 1
	case p == Detail:
		return true
	}
	return t == top
}

// suffices is the part, in percent, of a tile's height that a picture should have: less looks soft,
// more is not seen. Tiles are a little larger than what fits them (640x360 in 770 pixels) all the time.
const suffices = 75

// seen returns the highest rung that a want has a use for: more than its tile shows would not be seen.
func seen(p Profile, w *Want) int {
	highest := len(w.Ladder) - 1
	if !w.Placed || w.Pinned && p == Detail { // to be looked at closely, and zoomed into
		return highest
	}
	for i, r := range w.Ladder {
		if r.Height == 0 || r.Height*100 >= w.Height*suffices {
			return i
		}
	}
	return highest
}
