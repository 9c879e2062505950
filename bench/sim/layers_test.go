package sim_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// tile lets the patient show the doctor's camera that high.
func tile(height int) sim.Step {
	return sim.Do{Name: "layout", Func: func(w *sim.World) error {
		_, err := w.Client("patient").Call(w.Context(), &wire.Layout{Tiles: []wire.Tile{{
			Participant: w.ID("doctor"), Source: wire.SourceCamera, Width: height * 16 / 9, Height: height,
		}}})
		return err
	}}
}

// Somebody changes the size of a picture 200 times, now and then for so long that the publisher stops
// what nobody sees: every frame that comes can be decoded, and there is always one.
func TestLayersFollowTheLayout(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	changes := 200
	if raced { // the race detector makes cryptography eight times as slow
		changes = 40
	}
	var steps []sim.Step
	for i := range changes {
		pause := time.Duration(300+rng.IntN(1500)) * time.Millisecond
		if i%20 == 19 {
			pause = 7 * time.Second
		}
		steps = append(steps, tile([]int{180, 360, 720}[rng.IntN(3)]), sim.Pass{For: pause})
	}
	check(t, simulcast(steps...), func(w *sim.World) {
		s, f := camera(t, w, "patient", "doctor")
		smooth(t, s, 150*time.Millisecond)
		if int(f.Viewed.Switches) < changes*2/5 {
			t.Errorf("%d switches", f.Viewed.Switches)
		}
		t.Logf("figure: %d switches, frames by layer %v", f.Viewed.Switches, f.Viewed.Layers)
	})
}

// What nobody sees is not sent, and is there again within a moment of its being wanted.
func TestUnseenLayersAreNotSent(t *testing.T) {
	sent := func(w *sim.World, rid string) uint64 {
		for _, s := range w.Client("doctor").Report().Sent {
			if s.Source == wire.SourceCamera && s.RID == rid {
				return s.Packets
			}
		}
		return 0
	}
	var before [3]uint64
	note := sim.Do{Name: "note", Func: func(w *sim.World) error {
		for i, rid := range []string{"q", "h", "f"} {
			before[i] = sent(w, rid)
		}
		return nil
	}}
	var small bench.Flow
	check(t, simulcast(
		tile(180), sim.Pass{For: 7 * time.Second}, note, sim.Pass{For: 10 * time.Second},
		sim.Do{Name: "compare", Func: func(w *sim.World) error {
			if q, h, f := sent(w, "q"), sent(w, "h"), sent(w, "f"); q <= before[0] || h != before[1] || f != before[2] {
				t.Errorf("sent %d, %d and %d packets that nobody sees", q-before[0], h-before[1], f-before[2])
			}
			_, small = camera(t, w, "patient", "doctor")
			return nil
		}},
		tile(720), sim.Pass{For: 300 * time.Millisecond},
	), func(w *sim.World) {
		if _, f := camera(t, w, "patient", "doctor"); f.Layers[2] == small.Layers[2] {
			t.Error("no large picture 300 ms after it was asked for")
		}
	})
}

// The lowest encoding of a camera is sent so that 15 of its frames a second get through to a patient whose network
// does not carry half of it; who has a good network has all its frames, too. When the patient is gone it is what it was.
func TestTheLowestEncodingFollowsTheWorstLink(t *testing.T) {
	people := three()
	for i := range people {
		people[i].Stack, people[i].Media.Camera = bench.Lean, ladder()
		people[i].Media.Camera.Libvpx = true
	}
	people[1].Down = line(link.Constant(130*link.Kbit), 50*time.Millisecond, 0)
	small := func(ref string) sim.Step {
		return sim.Do{Name: "layout", Func: func(w *sim.World) error {
			shown := tileOf(w.ID("doctor"), 180, true)
			_, err := w.Client(ref).Call(w.Context(), &wire.Layout{Tiles: []wire.Tile{shown}})
			return err
		}}
	}
	mark := func(refs ...string) sim.Step {
		return sim.Do{Name: "mark", Func: func(w *sim.World) error {
			for _, ref := range refs {
				w.Client(ref).Mark()
			}
			return nil
		}}
	}
	const window = 10 * time.Second
	rate := func(f bench.Flow) int { return int(float64(f.Bytes) * 8 / window.Seconds()) }
	var thin, beside, after bench.Flow
	check(t, sim.Plan{Seed: 3, MaxParticipants: 3, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"}, sim.Admit{By: "doctor", Who: "patient"}, sim.Admit{By: "doctor", Who: "voice"},
		small("patient"), small("voice"), sim.Pass{For: 15 * time.Second}, mark("patient", "voice"), sim.Pass{For: window},
		sim.Do{Name: "look", Func: func(w *sim.World) error {
			_, thin = camera(t, w, "patient", "doctor")
			_, beside = camera(t, w, "voice", "doctor")
			return nil
		}},
		sim.Leave{Ref: "patient"}, sim.Pass{For: 35 * time.Second}, mark("voice"), sim.Pass{For: window},
	}}, func(w *sim.World) { _, after = camera(t, w, "voice", "doctor") })
	t.Logf("figure: behind 130 kbit/s %.1f frames a second of the lowest encoding, %.1f with a good network, of %d bit/s; afterwards of %d",
		fps(thin.Viewed), fps(beside.Viewed), rate(beside), rate(after))
	if fps(thin.Viewed) < 14.5 || thin.Viewed.Freezes > 0 {
		t.Errorf("behind a thin link %v", thin.Viewed)
	}
	if fps(beside.Viewed) < 29.5 || rate(beside) < 35_000 || rate(beside) > 80_000 {
		t.Errorf("with a good network %d bit/s, %v", rate(beside), beside.Viewed)
	}
	if rate(after) < 90_000 {
		t.Errorf("afterwards %d bit/s", rate(after))
	}
}
