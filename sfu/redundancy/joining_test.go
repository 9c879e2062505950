package redundancy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/redundancy"
)

// Headers are to be no more than an eighth of a path, or a sixth with three frames.
func TestJoining(t *testing.T) {
	for _, tt := range []struct {
		name           string
		voices, budget int
		path           redundancy.Path
		want           int
	}{
		{"not measured", 2, 0, redundancy.Open, 1},
		{"nobody speaks", 0, 40_000, redundancy.Open, 1},
		{"wide", 2, 1_000_000, redundancy.Open, 1},
		{"two voices, just wide", 2, 410_000, redundancy.Open, 1},
		{"two voices, thin", 2, 384_000, redundancy.Open, 2},
		{"four are no more", 4, 410_000, redundancy.Open, 1},
		{"one voice, just wide", 1, 205_000, redundancy.Open, 1},
		{"one voice, thin", 1, 200_000, redundancy.Full, 2},
		{"one voice, not very thin", 1, 77_000, redundancy.Open, 2},
		{"one voice, very thin", 1, 60_000, redundancy.Open, 3},
		{"two voices, very thin", 2, 150_000, redundancy.Open, 3},
		{"no queue: the budget says nothing", 2, 60_000, redundancy.Idle, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var j redundancy.Joining
			var got int
			for i := range 10 {
				got = j.Decide(time.Unix(1000+int64(i), 0), tt.voices, redundancy.MostFrames, tt.budget, tt.path, false)
			}
			if got != tt.want {
				t.Errorf("%d frames, want %d", got, tt.want)
			}
		})
	}
}

// A voice that is alone has two frames in a packet, also if it had three.
func TestLoneVoice(t *testing.T) {
	var j redundancy.Joining
	var at []int
	frames, most := 1, redundancy.MostFrames
	for i := range 30 {
		if i == 10 {
			most = redundancy.LoneFrames
		}
		if i == 20 {
			most = redundancy.MostFrames
		}
		if got := j.Decide(time.Unix(1000+int64(i), 0), 1, most, 60_000, redundancy.Open, false); got != frames {
			frames = got
			at = append(at, i, got)
		}
	}
	if want := []int{0, 2, 4, 3, 10, 2, 20, 3}; !slices.Equal(at, want) {
		t.Errorf("frames change at %v, want %v", at, want)
	}
}

// changes lists from which second on packets have how many frames.
func changes(seconds int, path func(second, frames int) (budget int, p redundancy.Path, alone bool)) (at []int) {
	var j redundancy.Joining
	frames := 1
	for i := range seconds {
		budget, p, alone := path(i, frames)
		if got := j.Decide(time.Unix(1000+int64(i), 0), 2, redundancy.MostFrames, budget, p, alone); got != frames {
			frames = got
			at = append(at, i, got)
		}
	}
	return at
}

func TestJoiningInTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		path func(second, frames int) (int, redundancy.Path, bool)
		want []int
	}{
		{"a dip", func(s, _ int) (int, redundancy.Path, bool) {
			if s == 5 || s == 6 {
				return 100_000, redundancy.Full, false
			}
			return 250_000, redundancy.Open, false
		}, []int{0, 2}},
		{"wide after a while", func(s, _ int) (int, redundancy.Path, bool) {
			if s < 20 {
				return 60_000, redundancy.Open, false
			}
			return 2_000_000, redundancy.Open, false
		}, []int{0, 2, 4, 3, 64, 2, 79, 1}},
		{"just as wide as needed", func(s, _ int) (int, redundancy.Path, bool) {
			if s < 5 {
				return 300_000, redundancy.Open, false
			}
			return 420_000, redundancy.Open, false
		}, []int{0, 2}},
		{"alone, and a queue when they are short", func(s, frames int) (int, redundancy.Path, bool) {
			if frames > 1 {
				return 90_000, redundancy.Idle, true
			}
			return 90_000, redundancy.Full, true
		}, []int{0, 2, 30, 1, 31, 2, 91, 1, 92, 2, 212, 1, 213, 2}},
	} {
		if got := changes(300, tt.path); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestJoinedTraffic(t *testing.T) {
	voice := func(packets int, payload []byte) (x redundancy.Traffic) {
		for range packets {
			x.Add(payload)
		}
		return x
	}
	for _, tt := range []struct {
		name    string
		traffic redundancy.Traffic
		want    [3]int // packets with one, two, three frames
	}{
		{"20 ms", voice(50, []byte{0x78, 1, 2}), [3]int{50, 25, 17}},
		{"60 ms", voice(17, []byte{0x18, 1, 2}), [3]int{17, 17, 17}},
		{"what is no Opus", voice(50, []byte{0x7b}), [3]int{50, 25, 17}},
		{"nothing", voice(0, nil), [3]int{}},
	} {
		var got [3]int
		for i := range got {
			joined := tt.traffic.Joined(i + 1)
			got[i] = joined.Packets
			if want := 8 * (64*got[i] + tt.traffic.Bytes); joined.Bits(0) != want {
				t.Errorf("%s: %d bit/s, want %d", tt.name, joined.Bits(0), want)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	thin := redundancy.Voices{Packets: 100, Sound: 2 * time.Second}.Joined(3)
	if thin.Packets != 34 {
		t.Errorf("two voices are %d packets", thin.Packets)
	}
}

// What pairs and triples carry is within what RED can say.
func TestJoinedPatternsAreWithinReach(t *testing.T) {
	for pattern, frames := range map[redundancy.Pattern]int{
		redundancy.Near3: 3, redundancy.Pairs1: 2, redundancy.Pairs2: 2, redundancy.Pairs3: 2,
		redundancy.Triples1: 3, redundancy.Triples2: 3, redundancy.Triples3: 3,
	} {
		if offset := pattern.Reach() * frames * 960; offset > codec.MaxREDOffset {
			t.Errorf("%v reaches back %d, RED %d", pattern, offset, codec.MaxREDOffset)
		}
	}
	if d, far := redundancy.Triples2.Depth(), redundancy.Pairs3.Far(); d != 2 || !far {
		t.Errorf("triples 2 are %d, pairs far: %t", d, far)
	}
}

// Debts are forgotten in time: what had to be sent is not paid for minutes.
func TestDebts(t *testing.T) {
	var a redundancy.Allowance
	now := time.Unix(1000, 0)
	a.Set(now, 8000)
	a.Spend(1 << 20)
	if a.Left(now.Add(500 * time.Millisecond)) {
		t.Error("a debt is forgotten at once")
	}
	if !a.Left(now.Add(time.Second)) {
		t.Error("a debt is not forgotten after a second")
	}
}
