package layers_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/layers"
)

// camera returns the ladder of bedside.js as libvpx sends it; only the named encodings are being sent.
func camera(sent string) []layers.Rung {
	var out []layers.Rung
	for i, x := range []struct {
		rid        string
		height, bw int
	}{{"q", 180, 100_000}, {"h", 360, 260_000}, {"f", 720, 1_500_000}} {
		out = append(out, layers.Rung{
			Encoding: i, Sent: strings.Contains(sent, x.rid), Height: x.height, Top: 2, KeyBits: x.bw / 6,
			Rates: [3]int{x.bw * 4 / 10, x.bw * 6 / 10, x.bw},
		})
	}
	return out
}

func want(id uint64) layers.Want {
	return layers.Want{ID: id, Source: codec.Camera, Ladder: camera("qhf")}
}

func withOnly(sent string) layers.Want {
	w := want(1)
	w.Ladder = camera(sent)
	return w
}

// tell writes grants as "f2 h1 keys -".
func tell(grants []layers.Grant) string {
	var parts []string
	for _, g := range grants {
		s := "-"
		switch {
		case g.Encoding < 0:
		case g.Mode == layers.KeyFrames:
			s = "keys"
		case g.Mode == layers.Frames:
			s = fmt.Sprintf("%c%d", "qhf"[g.Encoding], g.Temporal)
			if g.Skip > 0 {
				s += fmt.Sprintf("-%d", g.Skip)
			}
		}
		if g.Next >= 0 {
			s += fmt.Sprintf(">%c", "qhf"[g.Next])
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

func TestAllocate(t *testing.T) {
	pinned, speaker, exam, signs, small, hidden := want(1), want(2), want(3), want(4), want(5), want(6)
	pinned.Pinned = true
	speaker.Speaking = true
	exam.Source, exam.Pinned = codec.Exam, true
	signs.Signs, signs.Pinned = true, true
	small.Placed, small.Height = true, 200
	hidden.Placed = true
	stopped, low, single := want(7), want(8), want(9)
	stopped.Ladder = camera("qh")
	low.Ladder = camera("hf")
	low.Placed, low.Height = true, 100
	single.Ladder = single.Ladder[2:]
	for _, c := range []struct {
		name    string
		profile layers.Profile
		budget  int // kbit/s, as much as can be used; 0 for no limit
		wants   []layers.Want
		grants  string
		reasons string
	}{
		{"no limit", layers.General, 0, []layers.Want{want(1), want(2)}, "f2 f2", "highest highest"},
		{"nothing sent yet", layers.General, 0, []layers.Want{{ID: 1}}, "-", "publisher"},
		{"small tile", layers.General, 0, []layers.Want{small, hidden}, "q2 q2", "size size"},
		{"smallest that is sent", layers.General, 0, []layers.Want{low}, "h2", "size"},
		{"the publisher cannot", layers.General, 0, []layers.Want{stopped}, "h2>f", "publisher"},
		{"what does not come must fit, too", layers.General, 500, []layers.Want{stopped}, "h2", "publisher"},
		{"one for all", layers.General, 1530, []layers.Want{want(1)}, "f2", "highest"},
		{"one at a lower rate", layers.General, 1210, []layers.Want{want(1)}, "f2-2", "budget"},
		{"one part more of what is shown", layers.General, 1060, []layers.Want{want(1)}, "f2-3", "budget"},
		{"one at half the size", layers.General, 1040, []layers.Want{want(1)}, "h2", "budget"},
		{"motion drops resolution", layers.Motion, 1000, []layers.Want{want(1)}, "h2", "budget"},
		{"motion keeps most frames, or more of a smaller picture", layers.Motion, 240, []layers.Want{want(1)}, "h2-1", "budget"},
		{"and no fewer", layers.Motion, 220, []layers.Want{want(1)}, "q2", "budget"},
		{"two who sign", layers.Motion, 175, []layers.Want{signs, want(5)}, "q2 q2-3", "budget budget"},
		{"motion drops frames last", layers.Motion, 70, []layers.Want{want(1)}, "q1", "budget"},
		{"detail drops frames", layers.Detail, 700, []layers.Want{want(1)}, "f0", "budget"},
		{"detail of a small picture", layers.Detail, 200, []layers.Want{want(1)}, "h1", "budget"},
		{"key frames", layers.General, 20, []layers.Want{want(1)}, "keys", "key_frames"},
		{"audio only", layers.General, 8, []layers.Want{want(1)}, "-", "audio_only"},
		{"pinned first", layers.General, 340, []layers.Want{want(2), pinned}, "q2-3 h2", "budget budget"},
		{"pinned is not all", layers.General, 300, []layers.Want{want(2), pinned}, "q1 h2-1", "budget budget"},
		{"speaker after pinned", layers.General, 420, []layers.Want{speaker, pinned}, "q2 h2", "budget budget"},
		{"exam before camera", layers.General, 340, []layers.Want{pinned, exam}, "q2-3 h2", "budget budget"},
		{"signs before exam", layers.Motion, 340, []layers.Want{exam, signs}, "q2-3 h2", "budget budget"},
		{"equals get the same", layers.General, 530, []layers.Want{want(1), want(2)}, "h2 h2", "budget budget"},
		{"everybody's least first", layers.General, 115, []layers.Want{want(2), pinned}, "q0 q2-3", "budget budget"},
		{"but for who is looked at, who moves", layers.General, 90, []layers.Want{want(2), pinned}, "keys q2-2", "key_frames budget"},
		{"least in order", layers.General, 60, []layers.Want{want(2), pinned}, "keys q0", "key_frames budget"},
		{"a still screen has one encoding", layers.General, 800, []layers.Want{single}, "f0", "budget"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a layers.Allocator
			const audio = 64_000
			budget := 0
			if c.budget > 0 {
				budget = (c.budget*1000 + audio) * 100 / 95
			}
			a.Allocate(at(0), 0, audio, c.profile, c.wants) // no key frame is missing
			grants, wanted := a.Allocate(at(100), budget, audio, c.profile, c.wants)
			if got := tell(grants); got != c.grants {
				t.Errorf("granted %s, want %s", got, c.grants)
			}
			var reasons []string
			for _, g := range grants {
				reasons = append(reasons, string(g.Reason))
			}
			if got := strings.Join(reasons, " "); got != c.reasons {
				t.Errorf("because of %s, want %s", got, c.reasons)
			}
			if wanted < audio {
				t.Errorf("%d wanted, less than audio", wanted)
			}
		})
	}
}

// stepper calls an allocator every 100 ms.
type stepper struct {
	a    layers.Allocator
	ms   int
	want layers.Want
}

// run keeps a budget for a while and returns what was granted, without repetitions.
func (s *stepper) run(kbits, ms int) (seen []string) {
	for end := s.ms + ms; s.ms < end; s.ms += 100 {
		grants, _ := s.a.Allocate(at(s.ms), kbits*1000, 0, layers.General, []layers.Want{s.want})
		if got := tell(grants); len(seen) == 0 || seen[len(seen)-1] != got {
			seen = append(seen, got)
		}
	}
	return seen
}

func TestDownAtOnceUpWhenItLasts(t *testing.T) {
	s := stepper{want: want(1)}
	for _, c := range []struct {
		name      string
		kbits, ms int
		seen      string
	}{
		{"begins with what fits, its key frame too", 300, 100, "[h2-1]"},
		{"which is soon had", 300, 2000, "[h2-1 h2]"},
		{"less at once", 220, 100, "[h2-2]"},
		{"more not for a moment", 2000, 900, "[h2-2]"},
		{"which is over", 220, 3000, "[h2-2]"},
		{"more for long", 2000, 3000, "[h2-2 f2]"},
		{"a budget that wavers by a twentieth", 1510, 60000, "[f2]"},
		{"too much", 1499, 100, "[f2-1]"},
	} {
		if got := fmt.Sprint(s.run(c.kbits, c.ms)); got != c.seen {
			t.Errorf("%s: %s, want %s", c.name, got, c.seen)
		}
	}
}

// Whoever goes up in vain waits longer for the next try, and is forgiven in time.
func TestPatienceGrows(t *testing.T) {
	s := stepper{want: want(1)}
	s.run(300, 1000)
	climb := func() (ms int) {
		for fmt.Sprint(s.run(2000, 100)) != "[f2]" {
			ms += 100
		}
		return ms
	}
	for i, want := range []int{1000, 2000, 4000, 8000, 16_000, 32_000, 32_000} {
		if got := climb(); got != want {
			t.Errorf("try %d after %d ms, want %d", i+1, got, want)
		}
		s.run(300, 1000)
	}
	climb()
	s.run(2000, 60_000)
	s.run(300, 1000)
	if got := climb(); got != 1000 {
		t.Errorf("after a minute: %d ms, want 1000", got)
	}
}

// Frames of the same picture come back as soon as they fit, whatever larger pictures wait for.
func TestFramesAreNotWaitedForLonger(t *testing.T) {
	s := stepper{want: want(1)}
	s.run(300, 1000)
	for range 4 { // larger pictures wait for 16 s now
		s.run(2000, 20_000)
		s.run(300, 1000)
	}
	s.run(220, 100)
	if got := fmt.Sprint(s.run(300, 1200)); got != "[h2-2 h2]" {
		t.Errorf("%s within a second, want [h2-2 h2]", got)
	}
}

// What the participant asks for is not waited for.
func TestLayoutAtOnce(t *testing.T) {
	s := stepper{want: want(1)}
	s.want.Placed, s.want.Height = true, 100
	s.run(2000, 1000)
	s.want.Height = 720
	if got := fmt.Sprint(s.run(2000, 100)); got != "[f2]" {
		t.Errorf("%s right after the tile has grown, want [f2]", got)
	}
}

// An encoding that was stopped is asked for, and taken when it comes.
func TestNext(t *testing.T) {
	s := stepper{want: want(1)}
	s.want.Ladder = camera("q")
	if got := fmt.Sprint(s.run(2000, 2000)); got != "[q2>f]" {
		t.Errorf("%s, want [q2>f]", got)
	}
	s.want.Ladder = camera("qf")
	if got := fmt.Sprint(s.run(2000, 2000)); got != "[f2]" {
		t.Errorf("%s when it has come, want [f2]", got)
	}
	s.want.Ladder = camera("q")
	if got := fmt.Sprint(s.run(2000, 100)); got != "[q2>f]" {
		t.Errorf("%s when it has gone, want [q2>f]", got)
	}
}

// While nothing is sent that is small enough for a tile, it has more than it shows: not for longer.
func TestNoMoreThanIsShown(t *testing.T) {
	s := stepper{want: want(1)}
	s.want.Placed, s.want.Height = true, 180
	s.want.Ladder = camera("h")
	if got := fmt.Sprint(s.run(2000, 1000)); got != "[h2]" {
		t.Errorf("%s while only that is sent, want [h2]", got)
	}
	s.want.Ladder = camera("qh")
	if got := fmt.Sprint(s.run(2000, 100)); got != "[q2]" {
		t.Errorf("%s when the small one has come back, want [q2]", got)
	}
}

// Where sound is to be alone nobody has key frames, and who has room for a picture has it.
func TestSoundOnly(t *testing.T) {
	s := stepper{want: want(1)}
	if got := fmt.Sprint(s.run(35, 2000)); got != "[keys]" {
		t.Errorf("%s with 35 kbit/s, want [keys]", got)
	}
	s.a.SoundOnly(true)
	if got := fmt.Sprint(s.run(35, 2000)); got != "[-]" {
		t.Errorf("%s when sound is to be alone, want [-]", got)
	}
	if got := s.run(150, 5000); got[len(got)-1] != "q2" {
		t.Errorf("%s with 150 kbit/s, want q2 at last", got)
	}
	s.a.SoundOnly(false)
	if got := s.run(35, 2000); got[len(got)-1] != "keys" {
		t.Errorf("%s when it need not be, want keys at last", got)
	}
}

// The ladder of D7 under RFC 8867 5.1 and 5.3 and a narrow link: whatever the trace, the highest set that
// fits in 95 % of the budget is there 90 % of the time from 5 s after each step on, and one that does not
// fit never. Of the narrow link's 330 kbit/s the larger picture's key frame would take what is left for more than a
// second: there it is the highest set that one can go over to.
func TestLadderFollowsTheBudget(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []int // kbit/s, 20 s each
		tight int   // of them
	}{
		{"RFC 8867 5.1", []int{1000, 1000, 2500, 600, 1000}, 0},
		{"RFC 8867 5.3", []int{2000, 1000, 500, 2000, 2000}, 0},
		{"narrow", []int{384, 180, 60, 330, 2000, 300, 2000}, 330},
	} {
		t.Run(c.name, func(t *testing.T) {
			const audio = 40_000
			var a layers.Allocator
			wants := []layers.Want{want(1), want(2)}
			wants[0].Pinned = true
			begun := []layers.Want{wants[0], want(2)} // whose key frames have come
			for i := range begun {
				begun[i].Ladder = slices.Clone(begun[i].Ladder)
				for j := range begun[i].Ladder {
					begun[i].Ladder[j].KeyBits = 0
				}
			}
			right, looked := 0, 0
			for ms := 0; ms < 20_000*len(c.steps); ms += 100 {
				budget := c.steps[ms/20_000] * 1000
				grants, _ := a.Allocate(at(ms), budget, audio, layers.General, wants)
				sum := audio
				for _, g := range grants {
					sum += g.Rate
				}
				if video := sum - audio; sum > budget && video > 0 {
					t.Fatalf("at %d ms %s takes %d of %d bit/s", ms, tell(grants), sum, budget)
				}
				if ms%20_000 < 5000 {
					continue
				}
				var fresh layers.Allocator
				from := begun
				if c.tight*1000 == budget {
					from = wants
				}
				best, _ := fresh.Allocate(at(ms), budget, audio, layers.General, from)
				looked++
				if tell(best) == tell(grants) {
					right++
				}
			}
			if right*10 < looked*9 {
				t.Errorf("the best set %d of %d times, want 90 %%", right, looked)
			}
			t.Logf("figure: %s: the best set that fits in 95 %% of the budget %.1f %% of the time", c.name, 100*float64(right)/float64(looked))
		})
	}
}

// Whatever is wanted and whatever the budget does: no set that does not fit, and what is granted is sent.
func TestNeverMoreThanFits(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var a layers.Allocator
		var wants []layers.Want
		for i := range 1 + rng.IntN(8) {
			w := want(uint64(i))
			w.Source = []codec.Source{codec.Camera, codec.Screen, codec.Exam}[rng.IntN(3)]
			w.Pinned, w.Signs, w.Placed, w.Height = rng.IntN(3) == 0, rng.IntN(5) == 0, rng.IntN(2) == 0, rng.IntN(1000)
			wants = append(wants, w)
		}
		budget := 1_000_000
		for ms := 0; ms < 60_000; ms += 100 {
			if rng.IntN(20) == 0 {
				budget = 50_000 + rng.IntN(4_000_000)
			}
			if i := rng.IntN(len(wants)); rng.IntN(30) == 0 {
				wants[i].Ladder = camera([]string{"qhf", "qh", "q", "qf"}[rng.IntN(4)])
			}
			profile := layers.Profile(seed % 3)
			grants, _ := a.Allocate(at(ms), budget, 60_000, profile, wants)
			sum := 60_000
			for i, g := range grants {
				sum += g.Rate
				if !wants[i].Ladder[g.Encoding].Sent || g.Next >= 0 && wants[i].Ladder[g.Next].Sent {
					t.Fatalf("seed %d at %d ms: %s of %+v", seed, ms, tell(grants[i:i+1]), wants[i].Ladder)
				}
				if g.Reason == "" {
					t.Fatalf("seed %d at %d ms: %s without a reason", seed, ms, tell(grants[i:i+1]))
				}
			}
			if sum > budget && sum > 60_000 {
				t.Fatalf("seed %d at %d ms: %d bit/s of %d: %s", seed, ms, sum, budget, tell(grants))
			}
		}
	}
}

func TestProfileOf(t *testing.T) {
	for name, want := range map[string]layers.Profile{"general": layers.General, "": layers.General, "motion": layers.Motion, "detail": layers.Detail} {
		if got := layers.ProfileOf(name); got != want {
			t.Errorf("%q is %d, want %d", name, got, want)
		}
	}
}

func BenchmarkAllocate(b *testing.B) {
	wants := make([]layers.Want, 8)
	for i := range wants {
		wants[i] = want(uint64(i))
	}
	var a layers.Allocator
	b.ReportAllocs()
	for i := range b.N {
		a.Allocate(epoch.Add(time.Duration(i)*100*time.Millisecond), 2_000_000, 60_000, layers.General, wants)
	}
}

// Who is shown nothing has a key frame as soon as that fits, however long more has to fit before it is granted.
func TestNobodyWaitsInTheDark(t *testing.T) {
	var a layers.Allocator
	wants := []layers.Want{want(1), want(2)}
	now := time.Unix(0, 0)
	step := func(budget int) string {
		now = now.Add(100 * time.Millisecond)
		grants, _ := a.Allocate(now, budget*1000, 46_000, layers.General, wants)
		return tell(grants)
	}
	for i, tt := range []struct {
		budget int
		grants string
	}{
		{200, "q2-3 q2-3"}, {40, "- -"}, {50, "- -"},
		{58, "keys -"}, // one is 8.3
		{65, "keys -"}, // both are 16.7, of 95 %
		{67, "keys keys"},
		{200, "keys keys"}, // all fits, but not for long enough
	} {
		if got := step(tt.budget); got != tt.grants {
			t.Errorf("step %d, %d kbit/s: %s, want %s", i, tt.budget, got, tt.grants)
		}
	}
	for range 10 {
		step(200)
	}
	if got := step(200); got != "q2-3 q2-3" {
		t.Errorf("after a second: %s", got)
	}
}

// A budget of what is said to be wanted is enough for all of it, also when rates waver by a twentieth meanwhile.
func TestWantedIsEnough(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	for range 100 {
		var a layers.Allocator
		var wants []layers.Want
		for i := range 1 + rng.IntN(4) {
			w := want(uint64(i + 1))
			w.Placed, w.Height = true, []int{180, 360, 720}[rng.IntN(3)]
			wants = append(wants, w)
		}
		best, wanted := a.Allocate(time.Unix(0, 0), 0, 92_800, layers.General, wants)
		all := tell(best)
		for i := range wants {
			for j := range wants[i].Ladder {
				for k := range wants[i].Ladder[j].Rates {
					wants[i].Ladder[j].Rates[k] += wants[i].Ladder[j].Rates[k] / 20
				}
			}
		}
		var b layers.Allocator
		b.Allocate(time.Unix(0, 0), 150_000, 92_800, layers.General, wants)
		for i := range 100 {
			best, _ = b.Allocate(time.Unix(0, 0).Add(time.Duration(i)*100*time.Millisecond), wanted, 92_800, layers.General, wants)
		}
		if got := tell(best); got != all {
			t.Fatalf("%d bit/s are said to be wanted, and with them there is %s instead of %s", wanted, got, all)
		}
	}
}
