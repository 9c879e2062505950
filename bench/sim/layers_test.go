package sim_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
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
