package sim_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Somebody on hold receives nothing and is heard by nobody, even if their client goes on sending; taken
// back, they are there again at once.
func TestHold(t *testing.T) {
	people := three()
	people[1].Defects.MediaInLobby = true // and on hold
	var held, back time.Duration
	p := sim.Plan{Seed: 21, MaxParticipants: 4, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"},
		sim.Admit{By: "doctor", Who: "patient"}, sim.Admit{By: "doctor", Who: "voice"}, sim.Pass{For: 3 * time.Second},
		sim.Hold{By: "doctor", Who: "patient"},
		sim.Do{Name: "held", Func: func(w *sim.World) error { held = w.Elapsed(); return nil }},
		sim.Pass{For: 8 * time.Second}, // more would be a break in the timestamps for the bench
		sim.Do{Name: "silence", Func: func(w *sim.World) error {
			for _, pair := range [][2]string{{"doctor", "patient"}, {"patient", "doctor"}, {"patient", "voice"}} {
				_, s := camera(t, w, pair[0], pair[1])
				if last := w.Since(s.Last); last > held+100*time.Millisecond {
					t.Errorf("%s received %s until %v, held at %v", pair[0], pair[1], last, held)
				}
			}
			s, _ := camera(t, w, "voice", "doctor")
			smooth(t, s, 100*time.Millisecond) // the others notice nothing
			back = w.Elapsed()
			return nil
		}},
		sim.Unhold{By: "doctor", Who: "patient"}, sim.Pass{For: 2 * time.Second},
	}}
	check(t, p, func(w *sim.World) {
		_, s := camera(t, w, "doctor", "patient")
		if got := w.Since(s.Last); got < back+1900*time.Millisecond {
			t.Errorf("taken back at %v, last seen at %v", back, got)
		}
	})
}

// One clinician hands over to another: the patient's media does not stop in either direction.
func TestHandOver(t *testing.T) {
	people := append(three(), sim.Person{Ref: "second", Role: wire.RoleClinician, Media: three()[0].Media})
	p := sim.Plan{Seed: 22, MaxParticipants: 4, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"},
		sim.Admit{By: "doctor", Who: "patient"}, sim.Admit{By: "doctor", Who: "voice"}, sim.Pass{For: 3 * time.Second},
		sim.Join{Ref: "second"}, sim.Connected{Ref: "second"}, sim.Pass{For: 3 * time.Second},
		sim.HandOver{By: "doctor", To: "second"}, sim.Pass{For: 3 * time.Second},
	}}
	check(t, p, func(w *sim.World) {
		s, _ := camera(t, w, "voice", "patient")
		smooth(t, s, 100*time.Millisecond)
		s, _ = camera(t, w, "patient", "voice")
		smooth(t, s, 100*time.Millisecond)
		s, _ = camera(t, w, "patient", "second")
		smooth(t, s, 100*time.Millisecond)
		t.Logf("figure: across a hand-over the patient's longest gap was %v", s.LongestGap)
	})
}

// The server is stopped and started again: everybody comes back with the resume token to where they
// were, who was on hold stays there, and nobody is admitted again.
func TestRestart(t *testing.T) {
	var back time.Duration
	p := sim.Plan{Seed: 23, MaxParticipants: 4, People: three(), Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"},
		sim.Admit{By: "doctor", Who: "patient"}, sim.Admit{By: "doctor", Who: "voice"}, sim.Pass{For: 3 * time.Second},
		sim.Hold{By: "doctor", Who: "voice"},
		sim.Restart{}, sim.Pass{For: time.Second},
		sim.Do{Name: "back", Func: func(w *sim.World) error { back = w.Elapsed(); return nil }},
		sim.Together{Steps: []sim.Step{sim.Reconnect{Ref: "doctor"}, sim.Reconnect{Ref: "patient"}, sim.Reconnect{Ref: "voice"}}},
		sim.Pass{For: 3 * time.Second},
	}}
	check(t, p, func(w *sim.World) {
		for _, tt := range []struct {
			ref  string
			want wire.State
		}{{"doctor", wire.StateAdmitted}, {"patient", wire.StateAdmitted}, {"voice", wire.StateHeld}} {
			if got := w.Client(tt.ref).View().State; got != tt.want {
				t.Errorf("%s is %q after the restart, want %q", tt.ref, got, tt.want)
			}
		}
		first, last := lastSeen(w, "doctor", "patient")
		if first < back || last < back+2900*time.Millisecond {
			t.Errorf("came back at %v, and the patient was seen from %v to %v", back, first, last)
		}
		t.Logf("figure: %v from resuming to the first packet of the other", first-back)
		if first, _ := lastSeen(w, "doctor", "voice"); first > back {
			t.Errorf("who is on hold was seen at %v, after the restart at %v", first, back)
		}
	})
}

// lastSeen is when the last of several connections received the first and the last packet of a camera.
func lastSeen(w *sim.World, subscriber, publisher string) (first, last time.Duration) {
	for _, s := range w.Client(subscriber).Report().Slots {
		for _, f := range s.Flows {
			if f.Sender == bench.SenderHash(w.ID(publisher)) && f.Source == wire.SourceCamera && w.Since(f.Last) > last {
				first, last = w.Since(f.First), w.Since(f.Last)
			}
		}
	}
	return first, last
}
