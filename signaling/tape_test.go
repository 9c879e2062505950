package signaling_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

const notice = "2026_11"

// withRecorder is a server with this recorder.
func withRecorder(r *fakeRecorder) func(*config.Signaling, *signaling.Deps) {
	return func(_ *config.Signaling, d *signaling.Deps) { d.Recorder = r }
}

// fakeRecorder writes nothing, and remembers.
type fakeRecorder struct {
	mu              sync.Mutex
	ready, startErr error
	slow            time.Duration // of Start
	sessions        []*fakeRecording
}

func (r *fakeRecorder) Ready() error { r.mu.Lock(); defer r.mu.Unlock(); return r.ready }

func (r *fakeRecorder) Start(ctx context.Context, o signaling.RecordingOptions) (signaling.RecordingSession, error) {
	r.mu.Lock()
	slow, err := r.slow, r.startErr
	r.mu.Unlock()
	if slow > 0 {
		timer := time.NewTimer(slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &fakeRecording{r: r, o: o, at: make(map[string]time.Time)}
	r.sessions = append(r.sessions, s)
	return s, nil
}

// only returns the recording that there must be one of.
func (r *fakeRecorder) only(t *testing.T) *fakeRecording {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sessions) != 1 {
		t.Fatalf("%d recordings", len(r.sessions))
	}
	return r.sessions[0]
}

type fakeRecording struct {
	r     *fakeRecorder
	o     signaling.RecordingOptions
	notes []string
	at    map[string]time.Time // when it was told that each happened
}

func (s *fakeRecording) ID() string                               { return "recording-1" }
func (s *fakeRecording) Tap(string, codec.Source, func()) sfu.Tap { return nil }
func (s *fakeRecording) Stop(_ context.Context, reason string) (string, error) {
	s.write("stop " + reason)
	return "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", nil
}
func (s *fakeRecording) Note(n signaling.RecordingNote) {
	s.write(strings.TrimSpace(n.Event + " " + n.Reason))
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.at[n.Event] = n.At
}
func (s *fakeRecording) write(line string) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.notes = append(s.notes, line)
}

func (s *fakeRecording) wantNotes(t *testing.T, want ...string) {
	t.Helper()
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if !slices.Equal(s.notes, want) {
		t.Errorf("the recorder was told %q, want %q", s.notes, want)
	}
	s.notes = nil
}

// tape is what the media plane was told of roster and capture, since the last call.
func (v *visit) plane(after *int) string {
	v.Helper()
	v.settle()
	all := v.media.history(v.ID)
	var lines []string
	for _, line := range all[*after:] {
		mark := "flow "
		if ids, ok := strings.CutPrefix(line, strings.TrimSpace(captureMark)); ok {
			mark, line = "record ", ids
		}
		lines = append(lines, strings.TrimSpace(mark+v.roles(strings.Fields(line))))
	}
	*after = len(all)
	return strings.Join(lines, ", ")
}

func (v *visit) wantPlane(after *int, want string) {
	v.Helper()
	if got := v.plane(after); got != want {
		v.Errorf("the media plane was told %q, want %q", got, want)
	}
}

// tape returns what a client was last told of the recording.
func (c *client) tape() string {
	m, ok := c.last("recording").(*wire.Recording)
	if !ok {
		return "nothing"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s missing %d %s", m.State, m.Reason, len(m.Missing), m.Consent))
}

func (c *client) wantTape(want string) {
	c.Helper()
	if got := c.tape(); got != want {
		c.Errorf("is told of the recording %q, want %q", got, want)
	}
}

var (
	ask   = &wire.Record{Action: wire.RecordRequest}
	yes   = &wire.Consent{Recording: wire.ConsentGranted, Notice: notice}
	no    = &wire.Consent{Recording: wire.ConsentDenied}
	never = &wire.Consent{Recording: wire.ConsentWithdrawn}
)

// recorded is a consultation that everybody has agreed to have recorded.
func recorded(w *world) (v *visit, doctor, patient *client, after *int) {
	w.Helper()
	v = w.open(`"recording":"ask",` + twoClinicians)
	doctor, patient = v.enter(0), v.enter(1)
	doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 9)
	after = new(int)
	v.plane(after)
	doctor.wantAnswer("done", ask, 10)
	patient.wantAnswer("done", yes, 10)
	v.wantPlane(after, "record clinician patient")
	return v, doctor, patient, after
}

// TestRecordingsTimes: a recording goes on from when it is written down to when it is stopped, however long that
// takes to be written down.
func TestRecordingsTimes(t *testing.T) {
	const disk = 400 * time.Millisecond
	recorder := new(fakeRecorder)
	watched := &watchedAudit{look: func(audit.Event) {}}
	change := func(c *config.Signaling, d *signaling.Deps) {
		withRecorder(recorder)(c, d)
		watched.Audit, d.Audit = d.Audit, watched
	}
	inWorld(t, change, func(w *world) {
		v := w.open(`"recording":"ask",` + twoClinicians)
		doctor, patient := v.enter(0), v.enter(1)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 9)
		doctor.wantAnswer("done", ask, 10)
		watched.look = func(e audit.Event) {
			if e.Name == audit.RecordingStarted || e.Name == audit.RecordingStopped {
				<-time.After(disk)
			}
		}
		agreed := time.Now()
		patient.send(yes, 10)
		w.advance(time.Second)
		stopped := time.Now()
		doctor.send(&wire.Record{Action: wire.RecordStop}, 11)
		w.advance(time.Second)
		at := recorder.only(t).at
		if began, ended := at["recording.started"].Sub(agreed), at["recording.stopped"].Sub(stopped); began != disk || ended != 0 {
			t.Errorf("it goes on from %v after all agreed, want %v, until %v after it was stopped", began, disk, ended)
		}
	})
}

func TestRecordingFromRequestToEnd(t *testing.T) {
	recorder := new(fakeRecorder)
	inWorld(t, withRecorder(recorder), func(w *world) {
		v := w.open(`"recording":"ask",` + threePeople)
		doctor, patient, interpreter := v.three()
		after := new(int)
		v.plane(after)
		start := len(v.trail(0))
		doctor.wantTape("off  missing 0")
		doctor.wantAnswer("done", ask, 9)
		doctor.wantTape("requested  missing 2 granted")
		patient.wantTape("requested  missing 1")
		patient.wantAnswer("done", yes, 9)
		doctor.wantTape("requested  missing 1 granted")
		patient.wantTape("requested  missing 0 granted")
		v.wantPlane(after, "")
		interpreter.wantAnswer("notice_outdated", &wire.Consent{Recording: wire.ConsentGranted, Notice: "2025_01"}, 9)
		interpreter.wantAnswer("done", yes, 10)
		v.wantPlane(after, "record clinician patient interpreter")
		for _, c := range []*client{doctor, patient, interpreter} {
			c.wantTape("recording  missing 0 granted")
		}
		recording := recorder.only(t)
		if recording.o.Consultation != v.ID || recording.o.Tenant != "tenant-1" {
			t.Errorf("started with %+v", recording.o)
		}
		recording.wantNotes(t, "consent.granted "+notice, "consent.granted "+notice, "consent.granted "+notice, "recording.started")
		doctor.wantAnswer("done", &wire.Record{Action: wire.RecordStop}, 10)
		v.wantPlane(after, "record")
		recording.wantNotes(t, "recording.stopped stopped", "stop stopped")
		patient.wantTape("off stopped missing 0 granted")
		want := []string{"clinician consent.granted " + notice, "clinician consent.requested " + notice,
			"patient consent.granted " + notice, "interpreter consent.granted " + notice,
			"clinician recording.started", "clinician recording.stopped stopped", "server recording.sealed stopped"}
		if got := v.trail(start); !slices.Equal(got, want) {
			t.Errorf("the log tells %q, want %q", got, want)
		}
		doctor.send(&wire.End{}, 11)
		doctor.wantEnded("ended", 1000)
	})
}

// Who comes in without having agreed pauses the recording before anybody hears them, and everybody sees
// that it goes on before it does.
func TestLateClinicianPausesRecording(t *testing.T) {
	inWorld(t, withRecorder(new(fakeRecorder)), func(w *world) {
		v, doctor, patient, after := recorded(w)
		late := v.enter(3)
		v.wantPlane(after, "record, flow clinician patient clinician")
		late.wantTape("paused joined missing 1")
		patient.wantTape("paused joined missing 0 granted")
		doctor.wantTape("paused joined missing 1 granted")
		late.wantAnswer("done", yes, 9)
		v.wantPlane(after, "record clinician patient clinician")
		late.wantTape("recording  missing 0 granted")
		late.drop()
		v.wantPlane(after, "flow clinician patient, record clinician patient")
	})
}

// A withdrawal waits for nothing, not even for being written down.
func TestWithdrawalIsImmediate(t *testing.T) {
	recorder := new(fakeRecorder)
	inWorld(t, withRecorder(recorder), func(w *world) {
		v, doctor, patient, after := recorded(w)
		w.audit.Fail(audit.ErrUnavailable)
		patient.wantAnswer("done", never, 11)
		v.wantPlane(after, "record")
		doctor.wantTape("paused withdrawn missing 1 granted")
		patient.wantAnswer("audit_unavailable", yes, 12)
		v.wantPlane(after, "")
		w.audit.Fail(nil)
		patient.wantAnswer("done", yes, 13)
		v.wantPlane(after, "record clinician patient")
		patient.wantAnswer("done", no, 14)
		v.wantPlane(after, "record")
		v.wantFlowing("clinician patient")
	})
}

// What would go on by itself does not while that cannot be written down.
func TestRecordingNeedsTheAuditLog(t *testing.T) {
	change := func(c *config.Signaling, d *signaling.Deps) {
		withRecorder(new(fakeRecorder))(c, d)
		d.Unaudited = true // which is about care
	}
	inWorld(t, change, func(w *world) {
		v, doctor, _, after := recorded(w)
		late := v.enter(3)
		w.audit.Fail(audit.ErrUnavailable)
		late.send(&wire.Leave{}, 0)
		v.wantPlane(after, "record, flow clinician patient clinician, flow clinician patient")
		doctor.wantTape("paused audit_unavailable missing 0 granted")
		w.audit.Fail(nil)
		w.advance(12 * time.Second)
		doctor.wantTape("recording  missing 0 granted")
		v.wantPlane(after, "record clinician patient")
	})
}

func TestRecorderTroubles(t *testing.T) {
	t.Run("not ready", func(t *testing.T) {
		recorder := &fakeRecorder{ready: errors.New("no recipients")}
		inWorld(t, withRecorder(recorder), func(w *world) {
			v := w.open(`"recording":"ask",` + threePeople)
			doctor, patient, _ := v.three()
			doctor.wantAnswer("recording_failed", ask, 9)
			patient.wantTape("off  missing 0")
			patient.wantAlive()
		})
	})
	t.Run("does not start", func(t *testing.T) {
		recorder := &fakeRecorder{startErr: errors.New("disk full")}
		inWorld(t, withRecorder(recorder), func(w *world) {
			v := w.open(`"recording":"ask",` + threePeople)
			doctor, patient, interpreter := v.three()
			doctor.wantAnswer("done", ask, 9)
			patient.wantAnswer("done", yes, 9)
			interpreter.wantAnswer("done", yes, 9)
			doctor.wantTape("off unavailable missing 0 granted")
			patient.wantAlive()
			recorder.mu.Lock()
			recorder.startErr = nil
			recorder.mu.Unlock()
			doctor.wantAnswer("done", ask, 10)
			doctor.wantTape("recording  missing 0 granted")
		})
	})
	t.Run("starts when nobody wants it any more", func(t *testing.T) {
		recorder := &fakeRecorder{slow: 3 * time.Second}
		inWorld(t, withRecorder(recorder), func(w *world) {
			v := w.open(`"recording":"ask",` + threePeople)
			doctor, patient, interpreter := v.three()
			doctor.wantAnswer("done", ask, 9)
			patient.wantAnswer("done", yes, 9)
			interpreter.wantAnswer("done", yes, 9)
			doctor.wantTape("requested  missing 0 granted")
			patient.wantAnswer("done", no, 10)
			doctor.wantTape("off denied missing 0 granted")
			w.advance(4 * time.Second)
			recorder.only(t).wantNotes(t, "consent.granted "+notice, "consent.denied "+notice, "consent.granted "+notice, "stop denied")
			doctor.wantTape("off denied missing 0 granted")
		})
	})
	t.Run("storage fails", func(t *testing.T) {
		recorder := new(fakeRecorder)
		inWorld(t, withRecorder(recorder), func(w *world) {
			v, doctor, patient, after := recorded(w)
			recording := recorder.only(t)
			recording.o.Notify(signaling.RecorderNews{Changed: true, Fault: wire.RecordingStorage, Gaps: 1})
			patient.wantTape("paused storage missing 0 granted")
			v.wantPlane(after, "record")
			recording.o.Notify(signaling.RecorderNews{Changed: true})
			patient.wantTape("recording  missing 0 granted")
			v.wantPlane(after, "record clinician patient")
			w.advance(3 * time.Second)
			if got := doctor.last("recording").(*wire.Recording).Gaps; got != 1 {
				t.Errorf("the clinician is told of %d gaps, want 1", got)
			}
			if got := patient.last("recording").(*wire.Recording).Gaps; got != 0 {
				t.Errorf("the patient is told of %d gaps", got)
			}
		})
	})
	t.Run("everybody goes", func(t *testing.T) {
		recorder := new(fakeRecorder)
		inWorld(t, withRecorder(recorder), func(w *world) {
			v, doctor, patient, _ := recorded(w)
			patient.send(&wire.Leave{}, 0)
			w.settle()
			recorder.only(t).wantNotes(t, "consent.granted "+notice, "consent.granted "+notice, "recording.started")
			doctor.send(&wire.Leave{}, 0)
			w.settle()
			recorder.only(t).wantNotes(t, "recording.paused clinician_absent", "recording.stopped empty", "stop empty")
			if trail := v.trail(0); !slices.Equal(trail[len(trail)-2:], []string{"server recording.stopped empty", "server recording.sealed empty"}) {
				t.Errorf("the log ends with %q", trail[len(trail)-2:])
			}
		})
	})
}

func TestRequiredRecordingAdmitsNobodyElse(t *testing.T) {
	inWorld(t, withRecorder(new(fakeRecorder)), func(w *world) {
		v := w.open(`"recording":"required",` + twoClinicians)
		doctor, patient := v.enter(0), v.enter(1)
		if got := patient.last("joined").(*wire.Joined).Policy; got.Recording != "required" || got.Notice != notice || !slices.Contains(got.Can, "consent") {
			t.Errorf("told %+v", got)
		}
		patient.wantTape("off  missing 1")
		doctor.wantAnswer("consent_required", &wire.Admit{Participant: v.Participants[1].ID}, 9)
		patient.wantAnswer("done", yes, 9)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 10)
		doctor.wantTape("requested  missing 1")
		doctor.wantAnswer("done", yes, 11)
		patient.wantTape("recording  missing 0 granted")
	})
}

// Without a recorder there is nothing to ask for, whatever a record says that was made before.
func TestServerWithoutARecorder(t *testing.T) {
	change := func(c *config.Signaling, d *signaling.Deps) {
		withKeys(c, d)
		withRecorder(new(fakeRecorder))(c, d)
	}
	inWorld(t, change, func(w *world) {
		v := w.open(`"recording":"required",` + threePeople)
		w.close()
		w.deps.Recorder, w.deps.Recordings = nil, nil
		w.again(w.store)
		doctor, patient, _ := v.three()
		doctor.wantSee("clinician:admitted patient:admitted interpreter:admitted")
		if got := doctor.last("joined").(*wire.Joined).Policy; got.Recording != "never" || got.Notice != "" || slices.Contains(got.Can, "record") || slices.Contains(got.Can, "consent") {
			t.Errorf("told %+v", got)
		}
		doctor.wantAnswer("recording_forbidden", ask, 20)
		patient.wantAnswer("recording_forbidden", yes, 20)
		patient.wantTape("nothing")
		if status, code := w.call("POST", "/v1/consultations", apiKey, `{"recording":"ask",`+threePeople+"}", nil); status != 422 || code != "not_supported" {
			t.Errorf("asked to record: %d %s", status, code)
		}
		if status, code := w.call("GET", "/v1/recordings", apiKey, "", nil); status != 404 || code != "not_found" {
			t.Errorf("list recordings: %d %s", status, code)
		}
	})
}
