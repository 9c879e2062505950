package redundancy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/redundancy"
)

func TestRate(t *testing.T) {
	one := redundancy.Voices{Packets: 50, Sound: time.Second} // 49,600 bit/s at the usual rate
	for _, tt := range []struct {
		name   string
		voices redundancy.Voices
		budget int
		path   redundancy.Path
		depth  int
		want   int
	}{
		{"not measured", one, 0, redundancy.Open, 2, 0},
		{"room for all", one, 1_000_000, redundancy.Open, 3, 0},
		{"just room", one, 50_000, redundancy.Open, 0, 0},
		{"nothing lost, little room", one, 45_000, redundancy.Open, 0, 16_000},
		{"room for one copy of 16 kbit/s", one, 60_000, redundancy.Open, 1, 16_000},
		{"room for one copy of 12 kbit/s", one, 56_000, redundancy.Open, 1, 12_000},
		{"what is more than it is worth is not asked for", one, 80_000, redundancy.Open, 3, 16_000},
		{"no room at all", one, 30_000, redundancy.Open, 2, 12_000},
		{"no queue: the budget says nothing", one, 30_000, redundancy.Idle, 2, 0},
		{"two voices", redundancy.Voices{Packets: 100, Sound: 2 * time.Second}, 90_000, redundancy.Open, 0, 16_000},
		{"beside a stethoscope", redundancy.Voices{Packets: 50, Sound: time.Second, Others: 90_000}, 135_000, redundancy.Open, 0, 16_000},
		{"nobody speaks", redundancy.Voices{}, 30_000, redundancy.Open, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r redundancy.Rate
			if got := r.Decide(time.Unix(1000, 0), tt.voices, tt.budget, tt.path, tt.depth); got != tt.want {
				t.Errorf("%d bit/s, want %d", got, tt.want)
			}
		})
	}
}

func TestWithCopies(t *testing.T) {
	for _, tt := range []struct{ copies, asked, want int }{
		{0, 0, 0}, {1, 0, 0}, {2, 0, 16_000}, {3, 0, 16_000}, {0, 12_000, 12_000}, {2, 12_000, 12_000}, {2, 16_000, 16_000},
	} {
		if got := redundancy.WithCopies(tt.copies, tt.asked); got != tt.want {
			t.Errorf("%d copies where %d is asked for: %d, want %d", tt.copies, tt.asked, got, tt.want)
		}
	}
	browsers := redundancy.Traffic{Packets: 50, Bytes: 3000}.Bits(1)
	if asked := (redundancy.Traffic{Packets: 50, Bytes: 2000}).Bits(2); asked > browsers*21/20 {
		t.Errorf("two copies take %d bit/s, one of a browser's %d", asked, browsers)
	}
}

// It goes down at once and up step by step; where a better rate makes a queue, the next is tried later and
// later.
func TestRateComesBack(t *testing.T) {
	voice := redundancy.Voices{Packets: 50, Sound: time.Second}
	changes := func(seconds int, fits int) (at []int) {
		var r redundancy.Rate
		last, now := 0, time.Unix(1000, 0)
		for i := range seconds {
			// A path that shows a queue as soon as more is sent than fits.
			path := redundancy.Open
			if i > 0 && (fits == 0 || last != 0 && last <= fits) {
				path = redundancy.Idle
			}
			got := r.Decide(now, voice, 45_000, path, 0)
			if got != last {
				at = append(at, i, got)
			}
			last, now = got, now.Add(time.Second)
		}
		return at
	}
	if got, want := changes(300, 0), []int{0, 16_000, 15, 0}; !slices.Equal(got, want) {
		t.Errorf("on a path that is wide again: %v, want %v", got, want)
	}
	got := changes(600, 16_000)
	if want := []int{0, 16_000, 15, 0, 16, 16_000, 46, 0, 47, 16_000, 107, 0, 108, 16_000, 228, 0, 229, 16_000, 469, 0, 470, 16_000}; !slices.Equal(got, want) {
		t.Errorf("on a path that is not: %v, want %v", got, want)
	}
}

func TestMeterOfWhatComesIn(t *testing.T) {
	var m redundancy.Meter
	for range 10 {
		m.Came(2, 20*time.Millisecond)
		m.Came(0, 20*time.Millisecond)
		m.Came(0, 20*time.Millisecond)
	}
	m.Came(100, 20*time.Millisecond) // an outage is no burst
	if loss, ok := m.Loss(); !ok || loss < 0.79 || loss > 0.80 {
		t.Errorf("loss %f, known %t", loss, ok)
	}
	if got := m.Burst(); got != 40*time.Millisecond {
		t.Errorf("bursts of %v", got)
	}
}

func TestDistances(t *testing.T) {
	for p, want := range map[redundancy.Pattern][]int{
		redundancy.None: nil, redundancy.Near1: {1}, redundancy.Near2: {1, 3}, redundancy.Far2: {4, 9}, redundancy.Far3: {3, 6, 9},
	} {
		if got := p.Distances(); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", p, got, want)
		}
	}
}
