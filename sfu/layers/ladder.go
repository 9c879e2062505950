package layers

// Rung is one encoding as the allocator sees it.
type Rung struct {
	Encoding int  // its index in the publication
	Sent     bool // packets of it are coming
	Height   int  // lines, 0 where that is not known
	Rates    [Temporals]int
	Top      uint8 // its highest temporal layer
	KeyBits  int   // of a key frame
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
			Encoding: i, Sent: Sent(i, encodings), Height: e.height(), Rates: rates, Top: top, KeyBits: e.keyBits(),
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

// appendPoints lists what a profile wants of a ladder, what it likes least first.
func appendPoints(out []point, p Profile, ladder []Rung) []point {
	for i, r := range ladder {
		for t := range r.Top + 1 {
			if p != Detail && t > 0 && t == r.Top {
				for skip := uint8(Parts - 1); skip > 0; skip-- {
					if p != Motion || i == 0 || skip <= motionSkips {
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

// motionSkips is how many parts may be left out, where motion matters, of an encoding that has lower ones: more
// frames of those are better.
const motionSkips = 1

// keeps tells whether a profile has a use for temporal layer t of rung i.
func keeps(p Profile, i int, t, top uint8, rungs int) bool {
	switch {
	case i == 0:
		return p != Detail || t == 0 || rungs == 1
	case p == Motion:
		return t == top
	case p == Detail:
		return true
	}
	return t+1 >= top // a third of the frame rate with more lines helps nobody
}

// suffices is the part, in percent, of a tile's height that a picture should have: less looks soft,
// more is not seen. Tiles are a little larger than what fits them (640x360 in 770 pixels) all the time.
const suffices = 75

// limit returns the highest rung that a tile of a height has a use for.
func limit(ladder []Rung, w *Want) int {
	if !w.Placed {
		return len(ladder) - 1
	}
	for i, r := range ladder {
		if r.Height == 0 || r.Height*100 >= w.Height*suffices {
			return i
		}
	}
	return len(ladder) - 1
}
