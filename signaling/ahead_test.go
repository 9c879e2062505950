package signaling_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

// withSlowAudit is a recorder, and an audit log in which one kind of record takes a disk's time once.
func withSlowAudit(slow audit.Name, disk time.Duration) func(*config.Signaling, *signaling.Deps) {
	return func(c *config.Signaling, d *signaling.Deps) {
		withRecorder(new(fakeRecorder))(c, d)
		once := true
		d.Audit = &watchedAudit{Audit: d.Audit, look: func(e audit.Event) {
			if e.Name == slow && once {
				once = false
				<-time.After(disk)
			}
		}}
	}
}

// A no takes effect when it is read, and it is read although what the same client asked for before it still
// waits for the disk.
func TestWithdrawalOvertakes(t *testing.T) {
	const disk = 400 * time.Millisecond
	inWorld(t, withSlowAudit(audit.PersonHeld, disk), func(w *world) {
		v, doctor, _, after := recorded(w)
		doctor.send(&wire.Hold{Participant: v.Participants[1].ID}, 20)
		w.settle() // it waits for the disk: a no that is read before it has begun is told alone
		doctor.send(&wire.Layout{}, 21)
		doctor.send(never, 22)
		v.wantPlane(after, "record clinician, record")
		if got := doctor.reply(20) + doctor.reply(21) + doctor.reply(22); got != "" {
			t.Errorf("answered %q before the disk has", got)
		}
		w.advance(disk)
		for id := uint64(20); id <= 22; id++ {
			if got := doctor.reply(id); got != "done" {
				t.Errorf("message %d is answered with %q", id, got)
			}
		}
		v.wantPlane(after, "flow clinician")
		doctor.wantTape("paused withdrawn missing 1 withdrawn")
		doctor.wantAnswer("done", yes, 23)
		v.wantPlane(after, "record clinician")
	})
}

// A no that comes behind the end of its session has stopped the recording, and does not stop what goes on
// without them.
func TestWithdrawalBehindTheEnd(t *testing.T) {
	const disk = 400 * time.Millisecond
	inWorld(t, withSlowAudit(audit.PersonRefused, disk), func(w *world) {
		v, doctor, patient, after := recorded(w)
		v.enter(2)
		doctor.send(&wire.Refuse{Participant: v.Participants[2].ID}, 0)
		w.settle()
		patient.send(&wire.Leave{}, 0)
		patient.send(never, 0)
		v.wantPlane(after, "record")
		w.advance(disk)
		patient.wantEnded("left", 1000)
		v.wantPlane(after, "flow clinician, record clinician")
	})
}

// Somebody in the lobby can say no, and neither stops nor cuts up the recording of the others by it.
func TestWithdrawalInTheLobby(t *testing.T) {
	inWorld(t, withRecorder(new(fakeRecorder)), func(w *world) {
		v, doctor, _, after := recorded(w)
		stranger := v.enter(2)
		for id := uint64(1); id <= 5; id++ {
			stranger.wantAnswer("done", yes, 2*id)
			stranger.wantAnswer("done", never, 2*id+1)
		}
		v.wantPlane(after, "")
		doctor.wantTape("recording  missing 0 granted")
	})
}

// A guardian's no reads as the patient's, from the lobby, too, and behind what the same guardian has said before.
func TestGuardianWithdraws(t *testing.T) {
	inWorld(t, withRecorder(new(fakeRecorder)), func(w *world) {
		v := w.open(`"recording":"ask","participants":[{"role":"clinician","ref":"d1"},{"role":"patient","ref":"p1"},{"role":"carer","proxy_for":"p1"}]`)
		doctor, _, guardian := v.enter(0), v.enter(1), v.enter(2)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 9)
		after := new(int)
		v.plane(after)
		doctor.wantAnswer("done", ask, 10)
		guardian.wantAnswer("done", yes, 10)
		v.wantPlane(after, "record clinician patient")
		guardian.wantAnswer("done", never, 11)
		v.wantPlane(after, "record")
		doctor.wantTape("paused joined missing 1 granted")
		guardian.send(yes, 12)
		guardian.send(never, 13)
		w.settle()
		if got := v.plane(after); got != "" && got != "record clinician patient, record" {
			t.Errorf("the media plane was told %q", got)
		}
	})
}

// What is read ahead of what is carried out is bounded, in messages and in bytes, and stays in order.
func TestReadingAheadIsBounded(t *testing.T) {
	const disk = time.Second
	tests := []struct {
		name        string
		body        int
		least, most int // that the client can send before the disk has answered
	}{
		// 64 wait, one is in the reader's hands, and four fit into the buffer of a connection.
		{"as many as fit", 900, 65, 71},
		{"as much as fits", 4000, 16, 20},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(c *config.Signaling, d *signaling.Deps) {
				withSlowAudit(audit.PersonHeld, disk)(c, d)
				c.Limits.MessagesInBurst = 1000
			}, func(w *world) {
				v, doctor, _, _ := recorded(w)
				doctor.send(&wire.Hold{Participant: v.Participants[1].ID}, 0)
				const all = 100
				var sent atomic.Int32
				finished := make(chan struct{})
				runSend := func() {
					defer close(finished)
					for i := range all {
						doctor.send(&wire.Say{Kind: "chat", Body: strings.Repeat("x", test.body)}, uint64(100+i))
						sent.Add(1)
					}
				}
				go runSend()
				w.settle()
				if got := int(sent.Load()); got < test.least || got > test.most {
					t.Errorf("%d messages were taken, want %d to %d", got, test.least, test.most)
				}
				w.advance(2 * disk)
				<-finished
				var order []uint64
				for _, m := range doctor.all() {
					if m.Re >= 100 {
						order = append(order, m.Re)
					}
				}
				if len(order) != all || !slices.IsSorted(order) {
					t.Errorf("answered %v", order)
				}
			})
		})
	}
}
