package sim_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/sim"
)

// Somebody behind a bad link changes nothing for who is behind a good one: the same layers, but for the first frame.
func TestABadLinkIsNobodyElses(t *testing.T) {
	run := func(down sim.Path) (voice, patient bench.Viewed) {
		people := talkers()
		people[1].Down = down
		check(t, sim.Plan{Seed: 8, MaxParticipants: 4, People: people, Steps: []sim.Step{
			sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
			sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"}, sim.Pass{For: 2 * time.Second},
			sim.Admit{By: "doctor", Who: "patient"}, sim.Admit{By: "doctor", Who: "voice"}, sim.Pass{For: 30 * time.Second},
		}}, func(w *sim.World) {
			_, v := camera(t, w, "voice", "doctor")
			_, p := camera(t, w, "patient", "doctor")
			voice, patient = v.Viewed, p.Viewed
		})
		return voice, patient
	}
	delay := 40 * time.Millisecond
	good, same := run(sim.Path{Delay: delay})
	bad, poor := run(sim.Path{Delay: delay, Loss: 0.05, Rate: link.Constant(250 * link.Kbit)})
	first := int64(bad.Layers[2]) - int64(good.Layers[2]) // somebody else's request may bring the key frame forward
	if first < 0 || first > 1 || good.Layers[0] != bad.Layers[0] || good.Layers[1] != bad.Layers[1] || good.Switches != bad.Switches || bad.Freezes != 0 {
		t.Errorf("beside a good link %v, beside a bad one %v", good, bad)
	}
	if poor.Layers[2] >= same.Layers[2]/2 {
		t.Errorf("the bad link carries %v: the test tests nothing", poor.Layers)
	}
	t.Logf("figure: frames by layer beside a good link %v, beside a bad one %v, on it %v", good.Layers, bad.Layers, poor.Layers)
}
