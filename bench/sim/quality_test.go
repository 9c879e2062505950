package sim_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/sfu/quality"
	"github.com/bedside-video/bedside/signaling"
)

// The patient's uplink and the interpreter's downlink lose packets. The report names exactly those two,
// with the loss that the network has had, whoever the clients are.
func TestReportNamesWhoseLinkIsBad(t *testing.T) {
	const lost = 0.05
	for _, tt := range []struct {
		name     string
		stack    bench.Stack
		up, down float64 // the patient's, the interpreter's
		want     []string
	}{
		{"pion", bench.Pion, lost, lost, []string{"patient uplink", "voice downlink"}},
		{"lean", bench.Lean, lost, lost, []string{"patient uplink", "voice downlink"}},
		{"the uplink alone", bench.Lean, lost, 0, []string{"patient uplink"}},
		{"the downlink alone", bench.Lean, 0, lost, []string{"voice downlink"}},
		{"nobody", bench.Lean, 0, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			people := three()
			for i := range people {
				people[i].Stack = tt.stack
			}
			people[1].Up = sim.Path{Delay: 20 * time.Millisecond, Loss: tt.up}
			people[2].Down = sim.Path{Delay: 20 * time.Millisecond, Loss: tt.down}
			var got signaling.QualityReport
			names := map[string]string{}
			sim.Run(t, sim.Plan{Seed: 11, MaxParticipants: 4, People: people, Steps: []sim.Step{
				sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
				sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"},
				sim.Admit{By: "doctor", Who: "patient"}, sim.Admit{By: "doctor", Who: "voice"},
				sim.Pass{For: time.Minute},
				sim.Do{Name: "report", Func: func(w *sim.World) (err error) {
					for _, p := range people {
						names[w.ID(p.Ref)] = p.Ref
					}
					got, err = w.Report()
					return err
				}},
			}})
			var found []string
			for _, f := range got.Findings {
				found = append(found, names[f.Participant]+" "+f.Link)
				if f.Loss < 0.04 || f.Loss > 0.06 {
					t.Errorf("%s %s: loss %v", names[f.Participant], f.Link, f.Loss)
				}
			}
			// No name, no address: ids and the scheduler's own references only.
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			for _, private := range []string{"canary", "10.0."} {
				if strings.Contains(string(text), private) {
					t.Errorf("the report holds %q: %s", private, text)
				}
			}
			slices.Sort(found)
			if found = slices.Compact(found); !reflect.DeepEqual(found, tt.want) {
				t.Errorf("the report names %q, not %q", found, tt.want)
			}
			t.Logf("figure: findings %q; packets lost %+v", found, got.Lost)
			if (got.Lost.Uplink > 0) != (tt.up > 0) || (got.Lost.Downlink > 0) != (tt.down > 0) || got.Lost.Server > 0 {
				t.Errorf("lost %+v", got.Lost)
			}
			for _, p := range got.Participants {
				if p.Total.Uplink.Packets < 2000 || p.Total.Downlink.Packets < 2000 {
					t.Errorf("%s: %+v", names[p.ID], p.Total)
				}
			}
			if len(got.Participants) != len(people) {
				t.Errorf("%d participants", len(got.Participants))
			}
		})
	}
}

// The load generator must not share code with the server that it judges; what both make of the E-model
// is one formula all the same.
func TestScoresAgree(t *testing.T) {
	for _, loss := range []float64{0, 0.001, 0.01, 0.05, 0.1, 0.3, 1} {
		for _, delay := range []time.Duration{0, 20, 100, 150, 300, 1000} {
			delay *= time.Millisecond
			if a, b := quality.Score(loss, delay), result.Score(loss, delay); a != b {
				t.Errorf("loss %v, delay %v: %s", loss, delay, fmt.Sprint(a, " and ", b))
			}
		}
	}
}
