package sim_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// repairs is what RTX did about seeded loss.
type repairs struct {
	missing  uint64 // packets that the network lost
	repaired uint64 // of these, received after all
}

func (r repairs) rate() float64 { return float64(r.repaired) / float64(r.missing) }

// Two percent of everything, in either direction alone: on the way down the client notices and the
// server repairs, on the way up the other way round. Audio has no RTX and is left out.
func TestRTXRepairsLoss(t *testing.T) {
	for _, tt := range []struct {
		name, direction string
		stack           bench.Stack
		verify          bool
		loss            float64
	}{
		{"down", "down", bench.Pion, true, 0.02},
		{"up", "up", bench.Pion, true, 0.02},
		{"down, lean", "down", bench.Lean, true, 0.02},
		{"down, lean and counting", "down", bench.Lean, false, 0.02},
		{"up, lean", "up", bench.Lean, true, 0.02},
		{"down, 5 %", "down", bench.Lean, true, 0.05},
		{"up, 5 %", "up", bench.Lean, true, 0.05},
	} {
		direction := tt.direction
		t.Run(tt.name, func(t *testing.T) {
			people := three()[:2]
			for i := range people {
				people[i].Stack, people[i].Verify = tt.stack, tt.verify
			}
			people[0].Media = bench.Media{Camera: &bench.Video{FPS: 30, Temporal: 1, Layers: []bench.Layer{{Width: 640, Height: 360, Bitrate: 450_000}}}}
			people[1].Media = bench.Media{}
			lossy := sim.Path{Delay: 20 * time.Millisecond, Loss: tt.loss}
			if direction == "down" {
				people[1].Down = lossy
			} else {
				people[0].Up = lossy
			}
			var got repairs
			sim.Run(t, sim.Plan{Seed: 7, MaxParticipants: 4, People: people, Steps: []sim.Step{
				sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
				sim.Admit{By: "doctor", Who: "patient"},
				sim.Pass{For: 2 * time.Minute},
				sim.Do{Name: "count", Func: func(w *sim.World) error {
					got = repaired(w, direction)
					return nil
				}},
			}})
			t.Logf("figure: %s: %d video packets lost once, %d repaired: %.2f %%", direction, got.missing, got.repaired, 100*got.rate())
			if got.missing < 100 || got.rate() < 0.995 {
				t.Errorf("repaired %d of %d", got.repaired, got.missing)
			}
		})
	}
}

// repaired compares what the network lost with what the patient still misses of the doctor's camera.
func repaired(w *sim.World, direction string) repairs {
	var missing, lost uint64
	for _, s := range w.Client("patient").Report().Slots {
		if s.Video {
			lost += s.Lost
		}
	}
	if direction == "up" {
		camera, _ := find(w.Client("doctor").Report().Sent, wire.SourceCamera)
		missing = w.Host("doctor").Up()[camera.SSRC].Dropped
	} else {
		down := w.Host("patient").Down()
		for _, s := range w.Client("patient").Streams() {
			if s.RTX != 0 {
				missing += down[s.Media].Dropped
			}
		}
	}
	return repairs{missing: missing, repaired: missing - lost}
}

func find(sent []bench.SentReport, source wire.Source) (bench.SentReport, bool) {
	for _, s := range sent {
		if s.Source == source {
			return s, true
		}
	}
	return bench.SentReport{}, false
}
