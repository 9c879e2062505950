package signaling_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestConsultationFromLobbyToEnd(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		patient := v.enter(1)
		patient.wantSee("patient:waiting")
		doctor := v.enter(0)
		doctor.wantSee("clinician:admitted patient:waiting")
		patient.wantSee("patient:waiting")
		if !patient.last("roster").(*wire.Roster).Facts.ClinicianPresent {
			t.Error("the patient is not told that the clinician has arrived")
		}
		if got, want := w.media.flowing(v.ID), []string{v.Participants[0].ID}; !slices.Equal(got, want) {
			t.Errorf("media flows between %v, want %v", got, want)
		}
		doctor.send(&wire.Admit{Participant: v.Participants[1].ID}, 2)
		w.settle()
		doctor.wantSee("clinician:admitted patient:admitted")
		patient.wantSee("clinician:admitted patient:admitted")
		// The roster that names the newcomer comes before the state, and that before any slots.
		if got, want := patient.types(), []string{"joined", "roster", "roster", "state", "slots"}; !slices.Equal(got, want) {
			t.Errorf("the patient got %v, want %v", got, want)
		}
		if got, want := doctor.types(), []string{"joined", "slots", "roster", "slots", "done"}; !slices.Equal(got, want) {
			t.Errorf("the clinician got %v, want %v", got, want)
		}
		doctor.send(&wire.Say{Kind: "chat", Body: "hello"}, 3)
		w.settle()
		want := wire.Said{From: v.Participants[0].ID, Kind: "chat", Body: "hello"}
		if got := patient.last("message"); got == nil || *got.(*wire.Said) != want {
			t.Errorf("the patient got %+v, want %+v", got, want)
		}
		if doctor.last("message") != nil {
			t.Error("the message came back to its sender")
		}
		patient.send(&wire.Leave{}, 4)
		w.settle()
		patient.wantEnded("left", 1000)
		doctor.wantSee("clinician:admitted")
		doctor.send(&wire.End{}, 5)
		w.settle()
		doctor.wantEnded("ended", 1000)
		if status, code := w.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[1]+`"}`, nil); status != 410 || code != "consultation_ended" {
			t.Errorf("join after the end: %d %s", status, code)
		}
	})
}

func TestResumeWithinGrace(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, _ := v.three()
		resume := patient.last("joined").(*wire.Joined).Resume
		patient.drop()
		w.settle()
		doctor.wantSee("clinician:admitted patient~:admitted interpreter:admitted")
		if slices.Contains(w.media.flowing(v.ID), v.Participants[1].ID) {
			t.Error("media flows to a participant whose connection is gone")
		}
		w.advance(60*time.Second - time.Nanosecond)
		again := w.dial()
		again.send(&wire.Join{Resume: resume}, 1)
		w.settle()
		again.wantSee("clinician:admitted patient:admitted interpreter:admitted")
		doctor.wantSee("clinician:admitted patient:admitted interpreter:admitted")
		third := w.dial()
		third.send(&wire.Join{Resume: resume}, 1) // a resume token is good for one session
		w.settle()
		third.wantEnded("token_invalid", 1008)
		again.drop()
		w.settle()
		w.advance(60 * time.Second)
		doctor.wantSee("clinician:admitted interpreter:admitted")
	})
}

func TestResumeIntoAnEmptyRoom(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(`"lobby":false,` + threePeople)
		patient := v.enter(1)
		resume := patient.last("joined").(*wire.Joined).Resume
		patient.drop()
		w.settle()
		w.advance(59 * time.Second)
		again := w.dial()
		again.send(&wire.Join{Resume: resume}, 1)
		w.settle()
		again.wantSee("patient:admitted")
		if w.media.opened != 1 {
			t.Errorf("%d media rooms were opened, want 1", w.media.opened)
		}
	})
}

func TestResumeTokensRotate(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		_, patient, _ := v.three()
		first := patient.last("joined").(*wire.Joined).Resume
		w.advance(10*time.Minute + time.Second)
		second := patient.last("resume").(*wire.Resume).Token
		if n := strings.Count(strings.Join(patient.types(), " "), "resume"); n != 2 {
			t.Errorf("%d resume messages in 10 minutes, want 2", n)
		}
		patient.drop()
		w.settle()
		for _, tt := range []struct{ token, want string }{{first, "token_expired"}, {second, "joined"}} {
			c := w.dial()
			c.send(&wire.Join{Resume: tt.token}, 1)
			w.settle()
			if got, _ := c.ended(); c.reply(1) != tt.want && got != tt.want {
				t.Errorf("got %q %q, want %q", c.reply(1), got, tt.want)
			}
		}
	})
}

func TestSecondDeviceReplacesTheFirst(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, _ := v.three()
		second := v.enter(1)
		patient.wantEnded("replaced", 1000)
		second.wantSee("patient:waiting")
		doctor.wantSee("clinician:admitted interpreter:admitted patient:waiting")
		if slices.Contains(w.media.flowing(v.ID), v.Participants[1].ID) {
			t.Error("media flows to a second device that nobody admitted")
		}
	})
}

func TestHeartbeat(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, _ := v.three()
		// A client whose machine has been put to sleep: the connection is there, nobody answers.
		deaf := w.dial()
		deaf.ws.SetPingHandler(func(string) error { return nil })
		deaf.send(&wire.Join{Token: v.token(2)}, 1)
		w.settle()
		w.advance(44 * time.Second)
		doctor.wantSee("clinician:admitted patient:admitted interpreter:waiting")
		w.advance(time.Second)
		doctor.wantSee("clinician:admitted patient:admitted")
		w.advance(10 * time.Minute)
		patient.wantAlive()
	})
}

func TestWindowClosesTheRoom(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
		v := w.open(`"end":"` + end.UTC().Format(time.RFC3339) + `",` + threePeople)
		doctor, patient, _ := v.three()
		w.advance(time.Until(end.Add(time.Hour)) - time.Nanosecond)
		doctor.wantAlive()
		w.advance(time.Nanosecond)
		doctor.wantEnded("window_closed", 1000)
		patient.wantEnded("window_closed", 1000)
	})
}

func TestRemoveRevokesTheLink(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, _ := v.three()
		doctor.send(&wire.Remove{Participant: v.Participants[1].ID}, 9)
		w.settle()
		patient.wantEnded("removed", 1000)
		doctor.wantSee("clinician:admitted interpreter:admitted")
		if status, code := w.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[1]+`"}`, nil); status != 410 || code != "invitation_revoked" {
			t.Errorf("join after removal: %d %s", status, code)
		}
	})
}

func TestMuteIsShown(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, _ := v.three()
		patient.send(&wire.Offer{SDP: "good", Tracks: []wire.Track{{Mid: "0", Source: wire.SourceMic}}}, 5)
		patient.send(&wire.Mute{Mid: "0", Muted: true}, 6)
		patient.send(&wire.Mute{Mid: "7", Muted: true}, 7)
		w.settle()
		if got := []string{patient.reply(5), patient.reply(6), patient.reply(7)}; !slices.Equal(got, []string{"answer", "done", "unknown_mid"}) {
			t.Errorf("replies %v", got)
		}
		if got := doctor.last("roster").(*wire.Roster).Participants[1].Muted; !slices.Equal(got, []wire.Source{"mic"}) {
			t.Errorf("the clinician sees %v muted, want mic", got)
		}
	})
}

func TestEmptyRoomIsForgotten(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor := v.enter(0)
		doctor.send(&wire.Leave{}, 2)
		w.settle()
		w.advance(2 * time.Second)
		if n := w.media.open(); n != 0 {
			t.Errorf("%d media rooms are open after the last one left", n)
		}
		v.enter(0).wantSee("clinician:admitted")
		if w.media.opened != 2 {
			t.Errorf("%d rooms were opened, want 2", w.media.opened)
		}
	})
}
