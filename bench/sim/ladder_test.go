package sim_test

import (
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// rung is what a link carries for so long: the layer of the doctor's camera that fits in 95 % of it beside a voice.
type rung struct {
	rate  link.Bitrate
	lasts time.Duration
	layer uint8
}

// filmed is what a patient gets of a camera in a second: how many frames of which layers.
type filmed struct {
	mu      sync.Mutex
	from    time.Time // zero: not yet
	seconds [][3]int
}

func (f *filmed) begin(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from = now
}

// packet takes what was not sent again, by when it was forwarded.
func (f *filmed) packet(a bench.Arrival, way time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := a.Tag.Sent.Add(way)
	if f.from.IsZero() || a.Tag.SourceOf() != wire.SourceCamera || a.Repaired || a.Tag.Packet != 0 || at.Before(f.from) {
		return
	}
	i := int(at.Sub(f.from) / time.Second)
	for len(f.seconds) <= i {
		f.seconds = append(f.seconds, [3]int{})
	}
	f.seconds[i][a.Tag.Layer]++
}

// The ladder of design D7 over a link whose rate changes: the largest picture that fits in 95 % of it beside the
// voice, at all its frames, 90 % of the time from five seconds after each change on; and one that does not fit
// never for more than a second.
func TestLadderFollowsTheLink(t *testing.T) {
	rungs := []rung{
		{850 * link.Kbit, 40 * time.Second, 1}, {2500 * link.Kbit, 20 * time.Second, 2}, {600 * link.Kbit, 20 * time.Second, 1},
		{200 * link.Kbit, 20 * time.Second, 0}, {850 * link.Kbit, 20 * time.Second, 1}, {2500 * link.Kbit, 20 * time.Second, 2},
	}
	seeds := uint64(3)
	if raced {
		seeds = 1
	}
	for seed := range seeds {
		var f filmed
		people := three()[:2]
		people[0].Media, people[1].Media.Camera = bench.Media{Camera: ladder(), Mic: bench.Microphone()}, nil
		for i := range people {
			people[i].Stack, people[i].Verify = bench.Lean, true
		}
		on := func(r rung) sim.Path { return line(link.Constant(r.rate), 100*time.Millisecond, 0) }
		people[1].Down = on(rungs[0])
		people[1].Packet = func(_ time.Time, a bench.Arrival) { f.packet(a, 5*time.Millisecond) }
		steps := []sim.Step{
			sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
			sim.Admit{By: "doctor", Who: "patient"},
			sim.Do{Name: "begin", Func: func(*sim.World) error { f.begin(time.Now()); return nil }},
		}
		for _, r := range rungs {
			steps = append(steps, sim.Do{Name: "rate", Func: func(w *sim.World) error {
				w.Host("patient").Set(sim.Path{Delay: 50 * time.Millisecond}, on(r))
				return nil
			}}, sim.Pass{For: r.lasts})
		}
		check(t, sim.Plan{Seed: seed + 1, MaxParticipants: 2, People: people, Steps: append(steps, sim.Pass{For: time.Second})}, func(*sim.World) {
			judgeLadder(t, rungs, f.seconds)
		})
	}
}

// judgeLadder compares what came with what was to come.
func judgeLadder(t *testing.T, rungs []rung, seconds [][3]int) {
	t.Helper()
	const most, settle = 30, 5
	right, all, over, longest, at := 0, 0, 0, 0, 0
	for _, r := range rungs {
		for i := range int(r.lasts / time.Second) {
			var s [3]int
			if at < len(seconds) {
				s = seconds[at]
			}
			at++
			larger := 0
			for _, n := range s[r.layer+1:] {
				larger += n
			}
			if over += larger; larger == 0 {
				over = 0
			}
			longest = max(longest, over)
			if i < settle {
				continue
			}
			all++
			if s[r.layer] >= most-2 && larger == 0 {
				right++
			}
		}
	}
	t.Logf("figure: the set that fits for %d of %d seconds, one that does not for %d frames at most", right, all, longest)
	if right*10 < all*9 || longest > most {
		t.Errorf("the set that fits for %d of %d seconds, one that does not for %d frames at most: %v", right, all, longest, seconds)
	}
}
