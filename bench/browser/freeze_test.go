package browser_test

import (
	"slices"
	"testing"
)

// What a switch may cost: no longer freeze, and this much more than without switching.
const (
	longestFreeze = 200 // ms
	longestExcess = 100 // ms
)

// followed is what test.follow of page.js saw: times in ms since 1970.
type followed struct {
	Frames []float64
	Count  []int        // of frames shown until then
	Stalls [][2]float64 // in which the page had no time
}

// freeze is a time without a frame, and how long a control had to wait meanwhile.
type freeze struct{ At, Length, Elsewhere float64 }

// witnesses saw the same picture without switching.
type witnesses struct {
	control followed
	sent    sent
}

// sent is what the publisher did: times in ms since 1970.
type sent struct {
	Q, H []float64    // when another frame was encoded
	Held [][2]float64 // in which packets waited for room on the way
}

// longest time without an event that has something of the time between from and to.
func longest(events []float64, from, to float64) (gap float64) {
	for i := 1; i < len(events); i++ {
		if events[i] > from && events[i-1] < to {
			gap = max(gap, events[i]-events[i-1])
		}
	}
	return gap
}

// pause is the same, and goes on until to when nothing more came.
func pause(events []float64, from, to float64) float64 {
	return longest(append(slices.Clone(events), to), from, to)
}

// own lists the freezes that are the follower's own: the machine has no time for everybody now and then, and
// encoders leave frames out, which shows at the witnesses and in stalls of the page.
func (f *followed) own(w *witnesses) (own []freeze) {
	for i := 1; i < len(f.Frames); i++ {
		from, to := f.Frames[i-1], f.Frames[i]
		// Frames that were shown and that the page was not told of are no freeze.
		if to-from <= longestFreeze || f.Count[i] != f.Count[i-1]+1 {
			continue
		}
		// Shown at the next refresh, two pages see a stall up to two frames apart.
		from, to = from-70, to+70
		elsewhere := max(longest(w.control.Frames, from, to), longest(w.sent.Q, from, to), longest(w.sent.H, from, to))
		for _, s := range slices.Concat(f.Stalls, w.sent.Held) {
			if s[1] > from && s[0] < to {
				elsewhere = max(elsewhere, s[1]-s[0])
			}
		}
		if length := f.Frames[i] - f.Frames[i-1]; length-elsewhere > longestExcess {
			own = append(own, freeze{from - f.Frames[0], length, elsewhere})
		}
	}
	return own
}

func TestOwnFreezes(t *testing.T) {
	steady := func(but ...float64) *followed { // 30 frames/s for 2 s, but for those between two times
		f := &followed{}
		for i := range 60 {
			at := float64(i) * 100 / 3
			if len(but) == 2 && at > but[0] && at < but[1] {
				continue
			}
			f.Frames, f.Count = append(f.Frames, at), append(f.Count, len(f.Count))
		}
		return f
	}
	stalled := steady(500, 800)
	stalled.Stalls = [][2]float64{{500, 790}}
	elsewhere := steady(500, 800)
	elsewhere.Stalls = [][2]float64{{1200, 1490}}
	missed := steady()
	missed.Frames, missed.Count = append(missed.Frames[:10:10], missed.Frames[20:]...), append(missed.Count[:10:10], missed.Count[20:]...)
	for _, tt := range []struct {
		name       string
		f, control *followed
		sent       []float64 // of the large encoding
		want       int
	}{
		{"none", steady(), steady(), nil, 0},
		{"its own", steady(500, 800), steady(), nil, 1},
		{"short", steady(500, 650), steady(), nil, 0},
		{"the publisher's", steady(500, 800), steady(500, 800), nil, 0},
		{"the publisher's, seen a little later", steady(500, 800), steady(560, 860), nil, 0},
		{"the publisher's, and then much more", steady(500, 1000), steady(500, 800), nil, 1},
		{"another time's", steady(500, 800), steady(1000, 1300), nil, 1},
		{"the large encoding's", steady(500, 800), steady(), steady(400, 700).Frames, 0},
		{"the large encoding's at another time", steady(500, 800), steady(), steady(1000, 1300).Frames, 1},
		{"the page's", stalled, steady(), nil, 0},
		{"the page's at another time", elsewhere, steady(), nil, 1},
		{"frames that the page was not told of", missed, steady(), nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &witnesses{control: *tt.control}
			w.sent.H = tt.sent
			if got := tt.f.own(w); len(got) != tt.want {
				t.Errorf("%+v, want %d", got, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		name string
		held [2]float64
		want int
	}{
		{"packets that the publisher held", [2]float64{500, 790}, 0},
		{"packets that the publisher held at another time", [2]float64{1200, 1490}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &witnesses{control: *steady(), sent: sent{Held: [][2]float64{tt.held}}}
			if got := steady(500, 800).own(w); len(got) != tt.want {
				t.Errorf("%+v, want %d", got, tt.want)
			}
		})
	}
}

func TestPause(t *testing.T) {
	events := []float64{0, 30, 400, 430, 460}
	for _, tt := range []struct {
		name           string
		from, to, want float64
	}{
		{"within", 10, 450, 370}, {"afterwards", 500, 900, 440}, {"never", 425, 460, 30},
	} {
		if got := pause(events, tt.from, tt.to); got != tt.want {
			t.Errorf("%s: %v ms, want %v", tt.name, got, tt.want)
		}
	}
	if len(events) != 5 {
		t.Error("the events were changed")
	}
}
