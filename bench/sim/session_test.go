package sim_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Somebody in the lobby who sends media all the same is heard by nobody, and hears nobody. Admitted,
// they are seen and heard at once.
func TestMediaFromTheLobby(t *testing.T) {
	people := three()[:2]
	people[1].Defects.MediaInLobby = true
	p := sim.Plan{Seed: 3, MaxParticipants: 3, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Pass{For: 5 * time.Second},
		sim.Do{Name: "silence", Func: func(w *sim.World) error {
			sent, _ := find(w.Client("patient").Report().Sent, wire.SourceCamera)
			if sent.Packets < 100 {
				t.Errorf("the patient has sent %d packets: the test tests nothing", sent.Packets)
			}
			for _, ref := range []string{"doctor", "patient"} {
				down := w.Host(ref).Down()
				for _, s := range w.Client(ref).Streams() {
					if n := down[s.Media].Sent; n > 0 {
						t.Errorf("%d packets were forwarded to %s", n, ref)
					}
				}
			}
			// On the streams of retransmissions there is padding: the first look at the path.
			if n := w.Metric("bedside_retransmitted_total"); n != 0 {
				t.Errorf("%v packets were sent again", n)
			}
			if counted := w.Metric("bedside_lobby_packets_total"); counted < 300 {
				t.Errorf("the server counts %v packets from the lobby", counted)
			}
			return nil
		}},
		sim.Admit{By: "doctor", Who: "patient"}, sim.Pass{For: time.Second},
	}}
	check(t, p, func(w *sim.World) {
		admitted := w.EventAt("patient", "state admitted")
		s, _ := camera(t, w, "doctor", "patient")
		// The encoder has been running: its next key frame is asked for, which takes one round trip
		// and one frame interval.
		if wait := w.Since(s.FirstFrame) - admitted; wait > 250*time.Millisecond {
			t.Errorf("the first frame came after %v", wait)
		} else {
			t.Logf("figure: the first frame came after %v", wait)
		}
		smooth(t, s, 100*time.Millisecond)
	})
}

// A clinician whose connection is lost comes back with the resume token straight into the room, and
// that admits nobody else.
func TestReconnect(t *testing.T) {
	people := three()
	var back time.Duration
	p := sim.Plan{Seed: 4, MaxParticipants: 4, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Admit{By: "doctor", Who: "patient"}, sim.Pass{For: 3 * time.Second},
		sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"},
		sim.Drop{Ref: "doctor"}, sim.Pass{For: 5 * time.Second},
		sim.Do{Name: "note", Func: func(w *sim.World) error { back = w.Elapsed(); return nil }},
		sim.Reconnect{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Pass{For: 3 * time.Second},
	}}
	check(t, p, func(w *sim.World) {
		if v := w.Client("doctor").View(); v.State != wire.StateAdmitted {
			t.Errorf("the clinician is %s", v.State)
		}
		if v := w.Client("voice").View(); v.State != wire.StateWaiting {
			t.Errorf("the interpreter is %s", v.State)
		}
		slots := w.Client("doctor").Report().Slots
		again := slots[len(slots)/2:] // the second connection's
		shown := false
		for _, s := range again {
			if s.Video && s.Decodable > 0 {
				shown = true
				t.Logf("figure: the clinician sees the patient again %v after coming back", w.Since(s.FirstFrame)-back)
			}
		}
		if !shown {
			t.Error("the clinician sees nobody after coming back")
		}
		s, _ := camera(t, w, "patient", "doctor")
		if wait := w.Since(s.FirstFrame) - back; wait <= 0 || wait > time.Second {
			t.Errorf("the patient sees the clinician again after %v", wait)
		}
		if s.Wrong+s.Broken+s.Lost != 0 {
			t.Errorf("faults: %+v", s)
		}
	})
}

// A screen comes beside the camera, in a slot of its own, and goes again.
func TestShare(t *testing.T) {
	people := three()[:2]
	people[0].Media.Screen = bench.Screen()
	var shared time.Duration
	p := sim.Plan{Seed: 6, MaxParticipants: 3, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Admit{By: "doctor", Who: "patient"}, sim.Pass{For: 3 * time.Second},
		sim.Do{Name: "note", Func: func(w *sim.World) error { shared = w.Elapsed(); return nil }},
		sim.Share{Ref: "doctor", On: true}, sim.Pass{For: 10 * time.Second},
		sim.Share{Ref: "doctor", On: false}, sim.Pass{For: 3 * time.Second},
	}}
	check(t, p, func(w *sim.World) {
		sent, _ := find(w.Client("doctor").Report().Sent, wire.SourceScreen)
		f := w.Client("patient").Report().Received(w.ID("doctor"), wire.SourceScreen)
		t.Logf("figure: the first frame of the screen came after %v; %d of %d frames", w.Since(f.First)-shared, f.Frames, sent.Frames)
		// The announcement gives it a slot before its first packet, so the key frame that it begins
		// with is not missed: at five frames a second the first comes within 200 ms and the way.
		if wait := w.Since(f.First) - shared; f.First.IsZero() || wait > 250*time.Millisecond {
			t.Errorf("the first frame of the screen came after %v", wait)
		}
		if f.Frames != sent.Frames {
			t.Errorf("%d of %d frames", f.Frames, sent.Frames)
		}
		s, _ := camera(t, w, "patient", "doctor")
		smooth(t, s, 100*time.Millisecond)
	})
}
