package sim_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// leanVisit is a visit of people on the cheap stack: one who verifies everything, one who counts, and
// an interpreter who verifies on a bad line.
func leanVisit() sim.Plan {
	people := three()
	for i := range people {
		people[i].Stack, people[i].Verify = bench.Lean, i != 1
	}
	people[0].Media.Camera = bench.SimulcastCamera()
	people[2].Up, people[2].Down = badLine(), badLine()
	return sim.Plan{Seed: 3, MaxParticipants: 4, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"},
		sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"}, sim.Pass{For: time.Second},
		sim.Admit{By: "doctor", Who: "patient"},
		sim.Pass{For: 5 * time.Second},
		sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"}, sim.Pass{For: time.Second},
		sim.Admit{By: "doctor", Who: "voice"},
		sim.Pass{For: 40 * time.Second},
		sim.Mute{Ref: "doctor", Source: wire.SourceCamera, Muted: true},
		sim.Pass{For: 5 * time.Second},
		sim.Mute{Ref: "doctor", Source: wire.SourceCamera},
		sim.Pass{For: time.Second},
		sim.Drop{Ref: "patient"},
		sim.Pass{For: 2 * time.Second},
		sim.Reconnect{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Pass{For: 20 * time.Second},
	}}
}

// sorted is the text of a report without the order of what happens at one instant: who has muted is
// told by the roster and by the slots, in either order.
func sorted(r sim.Report) string {
	lines := strings.Split(text(r), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A plan of lean clients is played the same on every run, and everybody gets what a PeerConnection
// would have got.
func TestLeanVisit(t *testing.T) {
	first := sim.Run(t, leanVisit())
	if len(first.Violations) > 0 {
		t.Errorf("violations: %v", first.Violations)
	}
	compare(t, sorted(first), sorted(sim.Run(t, leanVisit())))
	pion := leanVisit()
	for i := range pion.People {
		pion.People[i].Stack = bench.Pion
	}
	want := sim.Run(t, pion)
	if len(first.Subscriptions) != len(want.Subscriptions) {
		t.Fatalf("%d subscriptions, %d with pion", len(first.Subscriptions), len(want.Subscriptions))
	}
	for i, got := range first.Subscriptions {
		w := want.Subscriptions[i]
		if got.Subscriber != w.Subscriber || got.Publisher != w.Publisher || got.Source != w.Source {
			t.Fatalf("subscription %d is %+v, %+v with pion", i, got, w)
		}
		// They connect some ticks earlier or later, and draw other losses.
		if ratio := float64(got.Frames) / float64(w.Frames); ratio < 0.95 || ratio > 1.05 {
			t.Errorf("%s of %s: %s got %d frames, %d with pion", got.Source, got.Publisher, got.Subscriber, got.Frames, w.Frames)
		}
	}
}

// A line that goes dead is given up 30 s after the last answer to a check (RFC 7675 section 5.1).
func TestLeanConsentExpires(t *testing.T) {
	people := three()[:2]
	people[1].Stack = bench.Lean
	var cut time.Time
	r := sim.Run(t, sim.Plan{Seed: 5, MaxParticipants: 4, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Admit{By: "doctor", Who: "patient"},
		sim.Pass{For: 12 * time.Second},
		sim.Do{Name: "cut", Func: func(w *sim.World) error {
			cut = time.Now()
			w.Host("patient").Cut(true)
			return nil
		}},
		sim.Pass{For: 40 * time.Second},
		sim.Do{Name: "when", Func: func(w *sim.World) error {
			at := w.EventAt("patient", "media connected: false")
			if after := at - w.Since(cut); after < 25*time.Second || after > 31*time.Second {
				t.Errorf("given up %v after the line was cut", after)
			}
			ctx, cancel := context.WithTimeout(w.Context(), time.Second)
			defer cancel()
			if err := w.Client("patient").RequestKey("0"); err == nil {
				t.Error("RTCP was sent without consent")
			}
			return ctx.Err()
		}},
	}})
	if len(r.Violations) > 0 {
		t.Errorf("violations: %v", r.Violations)
	}
}
