package sim_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/bench/sim"
)

// load reads a scenario by its file or its name.
func load(t *testing.T, name string) scenario.Scenario {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		if data, err = scenario.Source(name); err != nil {
			t.Fatal(err)
		}
	}
	s, err := scenario.Parse(name, data)
	if err != nil {
		t.Fatalf("the scenario cannot be read:\n%v", err)
	}
	return s
}

// SCENARIO names a scenario or its file, which is played whole, one room after the other, and
// reported. Without it the shipped ones are played, one room of each and shortened.
func TestScenario(t *testing.T) {
	if name := os.Getenv("SCENARIO"); name != "" {
		s := load(t, name)
		for room := range s.Rooms.Count {
			t.Run(fmt.Sprintf("room %d", room), func(t *testing.T) {
				begun := time.Now()
				r := sim.PlayScenario(t, s, room, 0)
				for _, one := range r.Subscriptions {
					t.Logf("%s received of %s %s: %d packets, %d frames, from %v to %v",
						one.Subscriber, one.Publisher, one.Source, one.Packets, one.Frames, one.First, one.Last)
				}
				judge(t, r)
				t.Logf("figure: %s, room %d: %d joins, %v", s.Name, room, len(r.Joins), time.Since(begun))
			})
		}
		return
	}
	tests := []struct {
		name  string
		until time.Duration
		joins int
	}{
		{"consult", 10 * time.Second, 2},
		{"care-team", 40 * time.Second, 8},
		{"poor-patient", 40 * time.Second, 3},
		{"churn", 30 * time.Second, 15},
		{"hospital-firewall", 10 * time.Second, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			begun := time.Now()
			r := sim.PlayScenario(t, load(t, tt.name), 0, tt.until)
			judge(t, r)
			if len(r.Joins) != tt.joins {
				t.Errorf("%d joins, want %d", len(r.Joins), tt.joins)
			}
			if len(r.Subscriptions) == 0 {
				t.Error("nobody received anything")
			}
			t.Logf("figure: %s, %v of virtual time, %d joins in %v", tt.name, tt.until, len(r.Joins), time.Since(begun))
		})
	}
}

// judge reports what was measured, and fails the test for objectives that were missed.
func judge(t *testing.T, r sim.Played) {
	t.Helper()
	for _, f := range r.Failures {
		t.Log(f)
	}
	for _, v := range r.Violations {
		t.Error(v)
	}
	for _, v := range r.Verdicts {
		t.Logf("%s: %s", v.Outcome, v.Reason)
		if v.Outcome == scenario.Missed {
			t.Errorf("missed: %s", v.Reason)
		}
	}
}
