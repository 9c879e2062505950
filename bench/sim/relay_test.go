package sim_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// relayedFor is how long the relayed talk; with SOAK=1, longer than an allocation and a credential last
// by themselves.
func relayedFor() time.Duration {
	if os.Getenv("SOAK") == "1" {
		return 21 * time.Minute
	}
	return 30 * time.Second
}

// relayedVisit is a visit in which the patient's media goes through the server's relay.
func relayedVisit(stack bench.Stack, check func(when string, w *sim.World) error) sim.Plan {
	people := three()[:2]
	for i := range people {
		people[i].Stack, people[i].Verify = stack, true
	}
	people[1].Relay = bench.RelayUDP
	at := func(when string) sim.Do {
		return sim.Do{Name: when, Func: func(w *sim.World) error { return check(when, w) }}
	}
	return sim.Plan{Seed: 11, MaxParticipants: 2, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"},
		sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Admit{By: "doctor", Who: "patient"},
		sim.Pass{For: relayedFor()},
		at("relayed"),
		sim.Leave{Ref: "patient"},
		sim.Pass{For: 10 * time.Second},
		at("gone"),
	}}
}

func TestRelayedVisit(t *testing.T) {
	for name, stack := range map[string]bench.Stack{"pion": bench.Pion, "lean": bench.Lean} {
		t.Run(name, func(t *testing.T) {
			report := sim.Run(t, relayedVisit(stack, func(when string, w *sim.World) error {
				n, out := w.Metric("bedside_turn_allocations"), w.Metric("bedside_turn_packets_total")
				switch {
				case when == "relayed" && (n != 1 || out < 100*relayedFor().Seconds()):
					return fmt.Errorf("%v allocations, %v packets relayed", n, out)
				case when == "gone" && n != 0:
					return fmt.Errorf("%v allocations of somebody who has gone", n)
				case w.Metric("bedside_turn_dropped_total") > 5:
					return fmt.Errorf("%v dropped", w.Metric("bedside_turn_dropped_total"))
				}
				return nil
			}))
			if len(report.Violations) > 0 {
				t.Errorf("violations: %v", report.Violations)
			}
			seconds := int(relayedFor().Seconds()) - 5 // what connecting takes is not theirs
			for _, source := range []wire.Source{wire.SourceMic, wire.SourceCamera} {
				there, back := frames(report, "patient", "doctor", source), frames(report, "doctor", "patient", source)
				least := map[wire.Source]int{wire.SourceMic: 50 * seconds, wire.SourceCamera: 15 * seconds}[source]
				if there < least || back < least {
					t.Errorf("%s: %d to the relayed, %d from them, want %d", source, there, back, least)
				}
			}
		})
	}
}

// The relay is gone from one instant to the next: those who do not use it miss nothing.
func TestRelayIsGone(t *testing.T) {
	visit := func(gone bool) sim.Report {
		people := three()
		people[1].Relay = bench.RelayUDP
		return sim.Run(t, sim.Plan{Seed: 12, MaxParticipants: 4, People: people, Steps: []sim.Step{
			sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"},
			sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
			sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"},
			sim.Admit{By: "doctor", Who: "patient"}, sim.Admit{By: "doctor", Who: "voice"},
			sim.Pass{For: 5 * time.Second},
			sim.Do{Name: "the relay is killed", Func: func(w *sim.World) error {
				if !gone {
					return nil
				}
				return w.CloseRelay()
			}},
			sim.Pass{For: 10 * time.Second},
		}})
	}
	with, without := visit(false), visit(true)
	for _, source := range []wire.Source{wire.SourceMic, wire.SourceCamera} {
		for _, pair := range [][2]string{{"doctor", "voice"}, {"voice", "doctor"}} {
			if a, b := frames(with, pair[0], pair[1], source), frames(without, pair[0], pair[1], source); a == 0 || a != b {
				t.Errorf("%s got %d of %s's %s with the relay, %d without", pair[0], a, pair[1], source, b)
			}
		}
		if a, b := frames(with, "doctor", "patient", source), frames(without, "doctor", "patient", source); b > a/2 {
			t.Errorf("of the relayed %s, %d of %d arrive without the relay", source, b, a)
		}
	}
	if len(without.Violations) > 0 {
		t.Errorf("violations: %v", without.Violations)
	}
}

// frames is how many one has received of another.
func frames(r sim.Report, to, from string, source wire.Source) int {
	for _, s := range r.Subscriptions {
		if s.Subscriber == to && s.Publisher == from && s.Source == source {
			return int(s.Frames)
		}
	}
	return 0
}
