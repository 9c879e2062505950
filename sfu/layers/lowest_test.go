package layers_test

import (
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/layers"
)

// thin is a network that takes so many bit/s beside sound, for good.
func thin(t *testing.T, beside int, p layers.Profile, wants ...layers.Want) []int {
	t.Helper()
	var a layers.Allocator
	const audio = 64_000
	a.Allocate(at(0), (beside+audio)*100/95+100, audio, p, wants)
	return slices.Clone(a.Needs())
}

func TestNeeds(t *testing.T) {
	pinned, small := want(1), want(3)
	pinned.Pinned = true
	small.Placed, small.Height = true, 180
	flat, named := want(4), want(5)
	flat.Ladder = flat.Ladder[:1]
	flat.Ladder[0].Top, flat.Ladder[0].Rates = 0, [3]int{100_000, 100_000, 100_000}
	named.Ladder = named.Ladder[1:]
	for _, c := range []struct {
		name    string
		profile layers.Profile
		beside  int
		wants   []layers.Want
		needs   []int
	}{
		{"a larger picture", layers.General, 300_000, []layers.Want{want(1)}, []int{0}},
		{"all frames of the lowest", layers.General, 120_000, []layers.Want{want(1)}, []int{0}},
		{"half of the frames", layers.General, 90_000, []layers.Want{want(1)}, []int{0}},
		{"not even half of them", layers.General, 55_000, []layers.Want{want(1)}, []int{60_000}},
		{"much less", layers.General, 35_000, []layers.Want{want(1)}, []int{40_000}},
		{"no lower than a picture is of use", layers.General, 12_000, []layers.Want{want(1)}, []int{40_000}},
		{"nothing beside sound", layers.General, -5_000, []layers.Want{want(1)}, []int{0}},
		{"all frames where motion matters", layers.Motion, 70_000, []layers.Want{want(1)}, []int{40_000}},
		{"few of a still picture", layers.Detail, 60_000, []layers.Want{want(1)}, []int{0}},
		{"two, one of them pinned", layers.General, 80_000, []layers.Want{want(2), pinned}, []int{50_000, 50_000}},
		{"two, of whom one does without", layers.General, 50_000, []layers.Want{want(2), pinned}, []int{0, 40_000}},
		{"nobody but who is looked at moves", layers.General, 75_000, []layers.Want{want(1), want(2)}, []int{45_000, 45_000}},
		{"a small tile, too", layers.General, 50_000, []layers.Want{small}, []int{50_000}},
		{"an encoder without temporal layers", layers.General, 60_000, []layers.Want{flat}, []int{40_000}},
		{"a lowest encoding that is none of the page's", layers.General, 50_000, []layers.Want{named}, []int{0}},
		{"nothing has come", layers.General, 50_000, []layers.Want{{ID: 1}}, []int{0}},
		{"nobody", layers.General, 50_000, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := thin(t, c.beside, c.profile, c.wants...); !slices.Equal(got, c.needs) {
				t.Errorf("needs %d, want %d", got, c.needs)
			}
		})
	}
}

// What is asked for must not depend on what is sent because of it: or it goes round in circles.
func TestNeedsOfWhatIsAskedFor(t *testing.T) {
	for _, rate := range []int{100_000, 70_000, 40_000} {
		w := want(1)
		w.Ladder[0].Rates = [3]int{rate * 4 / 10, rate * 6 / 10, rate}
		if got := thin(t, 45_000, layers.General, w); !slices.Equal(got, []int{45_000}) {
			t.Errorf("needs %d while %d is sent", got, rate)
		}
	}
}

// Who asks for a lower rate has one part more than the frames that it is for, and what is left is sound's; with a
// larger network, everything again.
func TestThinHasNoMore(t *testing.T) {
	w := want(1)
	w.Pinned = true
	var a layers.Allocator
	granted := func(ms, beside int) string {
		grants, _ := a.Allocate(at(ms), (beside+64_000)*100/95+100, 64_000, layers.General, []layers.Want{w})
		return tell(grants)
	}
	w.Ladder[0].Rates = [3]int{20_000, 30_000, 50_000}
	for i, c := range []struct {
		beside int
		want   string
	}{{32_000, "q1"}, {45_000, "q2-3"}, {120_000, "q2"}} {
		granted(5000*i, c.beside)
		granted(5000*i+1500, c.beside)
		if got := granted(5000*i+3000, c.beside); got != c.want {
			t.Errorf("beside %d: granted %s, want %s", c.beside, got, c.want)
		}
	}
}

func TestLowest(t *testing.T) {
	type need struct{ from, rate int } // from that second on
	for _, c := range []struct {
		name  string
		needs []need
		asked []need // each change
	}{
		{"nobody needs less", []need{{0, 0}}, nil},
		{"at once, nearly", []need{{5, 45_000}}, []need{{6, 45_000}}},
		{"hardly less", []need{{5, 96_000}}, nil},
		{"for a moment", []need{{5, 45_000}, {6, 0}, {7, 45_000}}, []need{{8, 45_000}}},
		{"a rate that wavers", []need{{5, 45_000}, {20, 48_000}, {21, 42_000}, {22, 48_000}}, []need{{6, 45_000}}},
		{"less again", []need{{5, 60_000}, {7, 40_000}}, []need{{6, 60_000}, {9, 40_000}}},
		{"nobody needs it any more", []need{{5, 40_000}, {20, 0}}, []need{{6, 40_000}, {30, 60_000}, {40, 90_000}, {50, 0}}},
		{"somebody needs it again", []need{{5, 40_000}, {20, 0}, {35, 40_000}}, []need{{6, 40_000}, {30, 60_000}, {36, 40_000}}},
		{"more fits now and then", []need{{5, 40_000}, {20, 0}, {28, 40_000}, {29, 0}, {38, 40_000}}, []need{{6, 40_000}}},
		{"some more fits", []need{{5, 40_000}, {20, 70_000}, {25, 50_000}}, []need{{6, 40_000}, {30, 50_000}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l layers.Lowest
			var asked []need
			for ms, i, was := 0, 0, 0; ms < 60_000; ms += 100 {
				for i+1 < len(c.needs) && ms >= c.needs[i+1].from*1000 {
					i++
				}
				needed := 0
				if ms >= c.needs[i].from*1000 {
					needed = c.needs[i].rate
				}
				got := l.Decide(at(ms), needed)
				if got != l.Asked() {
					t.Fatalf("decided %d, asked %d", got, l.Asked())
				}
				if got != was {
					asked = append(asked, need{(ms + 50) / 1000, got})
					was = got
				}
			}
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked for %v, want %v", asked, c.asked)
			}
		})
	}
}

// However needs come, a rate is asked for that is of use, and not more often than an encoder follows.
func FuzzLowest(f *testing.F) {
	f.Add([]byte{0, 40, 255, 1, 40, 0, 0, 90})
	f.Add([]byte{40, 41, 60, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 45})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var l layers.Lowest
		var changed time.Time
		was := 0
		for i, b := range steps {
			for ms := range 10 {
				now := at((i*10 + ms) * 100)
				got := l.Decide(now, max(40_000, int(b)*1000)*min(1, int(b)))
				if got != 0 && (got < 40_000 || got >= 100_000) {
					t.Fatalf("asked for %d", got)
				}
				if got != was && !changed.IsZero() && now.Sub(changed) < 3*time.Second {
					t.Fatalf("asked again after %v", now.Sub(changed))
				}
				if got != was {
					was, changed = got, now
				}
			}
		}
	})
}
