package sim_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
)

// What a publisher loses on the way to the server is no loss on the way to a subscriber: his estimate
// is that of a run without it (design D6), to the bit.
func TestUplinkLossIsNotDownlinkLoss(t *testing.T) {
	run := func(loss float64) (estimates float64) {
		people := three()[:2]
		people[0].Media = bench.Media{Camera: &bench.Video{FPS: 30, Temporal: 1, Layers: []bench.Layer{{Width: 640, Height: 360, Bitrate: 900_000}}}}
		people[1].Media = bench.Media{}
		people[0].Up = sim.Path{Delay: 20 * time.Millisecond, Loss: loss}
		people[0].Stack, people[1].Stack = bench.Lean, bench.Lean
		sim.Run(t, sim.Plan{Seed: 3, MaxParticipants: 4, People: people, Steps: []sim.Step{
			sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
			sim.Admit{By: "doctor", Who: "patient"},
			sim.Pass{For: time.Minute},
			sim.Do{Name: "count", Func: func(w *sim.World) error {
				estimates = w.Metric("bedside_bwe_bitrate")
				return nil
			}},
		}})
		return estimates
	}
	clean, lossy := run(0), run(0.1)
	t.Logf("figure: estimates of a minute with 10 %% lost by the publisher: %.3f of those without (%.0f)", lossy/clean, clean)
	if clean == 0 || lossy != clean {
		t.Errorf("the estimates of both add up to %.0f without loss of the publisher's, %.0f with", clean, lossy)
	}
}
