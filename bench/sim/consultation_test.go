package sim_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// media is a camera and a microphone.
func media() bench.Media {
	return bench.Media{Camera: bench.Camera(), Mic: bench.Microphone()}
}

// three is a clinician, a patient and an interpreter.
func three() []sim.Person {
	return []sim.Person{
		{Ref: "doctor", Role: wire.RoleClinician, Media: media()},
		{Ref: "patient", Role: wire.RolePatient, Media: media()},
		{Ref: "voice", Role: wire.RoleInterpreter, Media: media()},
	}
}

// badLine is the interpreter's: two packets in a hundred are lost, either way.
func badLine() sim.Path { return sim.Path{Delay: 30411 * time.Microsecond, Loss: 0.02} }

// consultation is the visit that everything is for: lobby, admit, ten minutes, leave, end.
func consultation() sim.Plan {
	people := three()
	people[2].Up, people[2].Down = badLine(), badLine()
	return sim.Plan{Seed: 1, MaxParticipants: 4, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"},
		sim.Pass{For: 5 * time.Second},
		sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Pass{For: 5 * time.Second},
		sim.Admit{By: "doctor", Who: "patient"},
		sim.Pass{For: 10 * time.Second},
		sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"},
		sim.Pass{For: 3 * time.Second},
		sim.Admit{By: "doctor", Who: "voice"},
		sim.Pass{For: 9 * time.Minute},
		sim.Leave{Ref: "voice"},
		sim.Pass{For: 30 * time.Second},
		sim.End{By: "doctor"},
		sim.Pass{For: 2 * time.Second},
	}}
}

// update rewrites the golden files with what the code does now.
func update() bool { return os.Getenv("SIM_UPDATE") == "1" }

// Ten minutes of three people are the same on every run, with and without the race detector: what
// was forwarded, delivered and lost on every subscription, what everybody was told, and when.
func TestConsultation(t *testing.T) {
	const golden = "testdata/consultation.golden"
	want, err := os.ReadFile(golden)
	if err != nil && !update() {
		t.Fatal(err)
	}
	runs := 3
	if raced {
		runs = 1 // it is held against the same golden file
	}
	for run := range runs {
		begun := time.Now()
		r := sim.Run(t, consultation())
		t.Logf("figure: run %d: %v of virtual time in %v", run, 10*time.Minute, time.Since(begun))
		for _, v := range r.Violations {
			t.Error(v)
		}
		got := text(r)
		if run == 0 && update() {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			want = []byte(got)
		}
		compare(t, string(want), got)
	}
}

// text writes a report, one fact a line.
func text(r sim.Report) string {
	var b strings.Builder
	for _, e := range r.Events {
		fmt.Fprintf(&b, "%v %s: %s\n", e.At, e.Ref, e.What)
	}
	for _, s := range r.Subscriptions {
		fmt.Fprintf(&b, "%s received of %s %s: %d packets, %d frames, from %v to %v\n",
			s.Subscriber, s.Publisher, s.Source, s.Packets, s.Frames, s.First, s.Last)
	}
	for _, s := range r.Slots {
		fmt.Fprintf(&b, "%s slot %s: %d forwarded, %d dropped, %d delivered; %d sent again, %d of them dropped\n",
			s.Subscriber, s.Mid, s.Forwarded, s.Dropped, s.Delivered, s.Resent, s.ResentLost)
	}
	return b.String()
}

// compare names the lines that differ.
func compare(t *testing.T, want, got string) {
	t.Helper()
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("line %d:\n\twant %s\n\tgot  %s", i+1, x, y)
		}
	}
	if t.Failed() {
		t.Log("if the change is meant: SIM_UPDATE=1 go test ./bench/sim -run TestConsultation")
	}
}
