package sim_test

import (
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

// consultation is the visit that everything is for: lobby, admit, ten minutes, leave, end.
func consultation() sim.Plan {
	return sim.Plan{Seed: 1, MaxParticipants: 4, People: three(), Steps: []sim.Step{
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

func TestConsultation(t *testing.T) {
	begun := time.Now()
	first := sim.Run(t, consultation())
	t.Logf("ten minutes of three people: %v of wall time", time.Since(begun))
	for _, v := range first.Violations {
		t.Error(v)
	}
	for _, e := range first.Events {
		t.Logf("%12v %-8s %s", e.At, e.Ref, e.What)
	}
	for _, s := range first.Subscriptions {
		t.Logf("%+v", s)
	}
	for _, s := range first.Slots {
		t.Logf("%+v", s)
	}
	for range 2 {
		again := sim.Run(t, consultation())
		same(t, "events", first.Events, again.Events)
		same(t, "subscriptions", first.Subscriptions, again.Subscriptions)
		same(t, "slots", first.Slots, again.Slots)
	}
}

// same compares two lists and names the entries that differ.
func same[T comparable](t *testing.T, what string, a, b []T) {
	t.Helper()
	if len(a) != len(b) {
		t.Errorf("%d %s, then %d", len(a), what, len(b))
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Errorf("%s differ between runs:\n%+v\n%+v", what, a[i], b[i])
		}
	}
}
