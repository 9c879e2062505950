package consult_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func spec() consult.Spec {
	return consult.Spec{
		Start: start, End: start.Add(20 * time.Minute),
		From: start.Add(-30 * time.Minute), To: start.Add(80 * time.Minute),
		Policy: consult.Policy{Lobby: true, MaxParticipants: 8},
		People: []consult.Person{
			{ID: "doc", Role: wire.RoleClinician, Display: "Dr A"},
			{ID: "pat", Role: wire.RolePatient, Display: "B"},
			{ID: "int", Role: wire.RoleInterpreter},
			{ID: "car", Role: wire.RoleCarer},
			{ID: "doc2", Role: wire.RoleClinician},
		},
	}
}

// play is a consultation with helpers that fail the test.
type play struct {
	*testing.T
	c   *consult.Consultation
	now time.Time
}

func newPlay(t *testing.T, change func(*consult.Spec)) *play {
	t.Helper()
	s := spec()
	if change != nil {
		change(&s)
	}
	c, err := consult.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return &play{t, c, start}
}

func (p *play) connect(id, session, resume string) consult.Effects {
	p.Helper()
	e, err := p.c.Connect(p.now, consult.Connect{Participant: id, Session: session, Resume: resume})
	if err != nil {
		p.Fatalf("connect %s: %v", id, err)
	}
	return e
}

// core is what a command does, without what is noted of it.
func core(e consult.Effects) consult.Effects {
	e.Events, e.Grants = nil, false
	return e
}

func (p *play) leave(id, session, to string) consult.Effects {
	p.Helper()
	e, err := p.c.Leave(p.now, id, session, to)
	if err != nil {
		p.Fatalf("leave %s: %v", id, err)
	}
	return e
}

func (p *play) admit(by, id string) consult.Effects {
	p.Helper()
	e, err := p.c.Admit(p.now, by, id)
	if err != nil {
		p.Fatalf("admit %s: %v", id, err)
	}
	return e
}

func (p *play) wantCode(err error, code string) {
	p.Helper()
	var refusal *consult.Error
	if !errors.As(err, &refusal) || refusal.Code != code {
		p.Errorf("error %v, want code %s", err, code)
	}
}

func (p *play) wantStates(want string) {
	p.Helper()
	var got []string
	for _, person := range spec().People {
		if s := p.c.State(person.ID); s != "" {
			got = append(got, person.ID+":"+string(s))
		}
	}
	if g := strings.Join(got, " "); g != want {
		p.Errorf("states %q, want %q", g, want)
	}
}

// see returns the roster as "id:state" with a ~ for those whose connection is being restored.
func (p *play) see(viewer string) string {
	var lines []string
	for _, l := range p.c.Roster(viewer).Participants {
		mark := ""
		if !l.Connected {
			mark = "~"
		}
		lines = append(lines, l.ID+mark+":"+string(l.State))
	}
	return strings.Join(lines, " ")
}

func TestSpecValidate(t *testing.T) {
	two := []consult.Person{{ID: "a", Role: wire.RolePatient}, {ID: "b", Role: wire.RolePatient}}
	for _, tt := range []struct {
		name   string
		change func(*consult.Spec)
		want   error
	}{
		{"as it is", func(*consult.Spec) {}, nil},
		{"nobody", func(s *consult.Spec) { s.People = nil }, consult.ErrNobody},
		{"two patients", func(s *consult.Spec) { s.People = two }, consult.ErrTwoPatients},
		{"a patient who decides for a patient", func(s *consult.Spec) { s.People[1].Proxy = true }, consult.ErrProxy},
		{"two patients in a group", func(s *consult.Spec) { s.People, s.Policy.Group = two, true }, nil},
		{"no such role", func(s *consult.Spec) { s.People[0].Role = "doctor" }, consult.ErrRole},
		{"one place", func(s *consult.Spec) { s.Policy.MaxParticipants = 1 }, consult.ErrCapacity},
		{"201 places", func(s *consult.Spec) { s.Policy.MaxParticipants = 201 }, consult.ErrCapacity},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := spec()
			tt.change(&s)
			if got := s.Validate(); !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if _, err := consult.New(s); !errors.Is(err, tt.want) {
				t.Errorf("New: got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestLobby(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("pat", "s1", "")
	p.connect("int", "s2", "")
	p.wantStates("pat:waiting int:waiting")
	if got, want := p.see("pat"), "pat:waiting"; got != want {
		t.Errorf("the patient sees %q, want %q", got, want)
	}
	if p.c.Facts().ClinicianPresent {
		t.Error("a clinician is present before one came")
	}
	p.connect("doc", "s3", "")
	p.wantStates("doc:admitted pat:waiting int:waiting")
	if got, want := p.see("doc"), "doc:admitted pat:waiting int:waiting"; got != want {
		t.Errorf("the clinician sees %q, want %q", got, want)
	}
	if got, want := p.see("pat"), "pat:waiting"; got != want {
		t.Errorf("the patient sees %q, want %q", got, want)
	}
	if !p.c.Roster("pat").Facts.ClinicianPresent {
		t.Error("the patient is not told that the clinician is here")
	}
	want := consult.Effects{Moved: []string{"pat"}, Started: true}
	if got := p.admit("doc", "pat"); !reflect.DeepEqual(core(got), want) {
		t.Errorf("admit: %+v, want %+v", got, want)
	}
	if got, want := p.see("pat"), "doc:admitted pat:admitted"; got != want {
		t.Errorf("the admitted patient sees %q, want %q (who waits is not theirs to know)", got, want)
	}
	if got, want := p.c.Facts().Started, "2026-11-22T09:00:00Z"; got != want {
		t.Errorf("started %q, want %q", got, want)
	}
	if got, want := p.admit("doc", "int"), (consult.Effects{Moved: []string{"int"}}); !reflect.DeepEqual(core(got), want) {
		t.Errorf("admit: %+v, want %+v (it starts once)", got, want)
	}
	if got, want := p.c.Admitted(), []string{"doc", "pat", "int"}; !slices.Equal(got, want) {
		t.Errorf("admitted %v, want %v", got, want)
	}
}

func TestNoLobby(t *testing.T) {
	p := newPlay(t, func(s *consult.Spec) { s.Policy.Lobby = false })
	p.connect("pat", "s1", "")
	p.wantStates("pat:admitted")
}

func TestRefusals(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	p.connect("int", "s3", "")
	p.admit("doc", "pat")
	for _, tt := range []struct {
		name string
		do   func() error
		code string
	}{
		{"admit by a patient", func() error { _, err := p.c.Admit(p.now, "pat", "int"); return err }, wire.CodeForbidden},
		{"admit by somebody who waits", func() error { _, err := p.c.Admit(p.now, "int", "int"); return err }, wire.CodeNotAdmitted},
		{"admit by a clinician who is not here", func() error { _, err := p.c.Admit(p.now, "doc2", "int"); return err }, wire.CodeNotAdmitted},
		{"admit by nobody", func() error { _, err := p.c.Admit(p.now, "x", "int"); return err }, wire.CodeNotAdmitted},
		{"admit somebody who is in", func() error { _, err := p.c.Admit(p.now, "doc", "pat"); return err }, wire.CodeNoSuchParticipant},
		{"admit somebody who is not here", func() error { _, err := p.c.Admit(p.now, "doc", "car"); return err }, wire.CodeNoSuchParticipant},
		{"admit nobody", func() error { _, err := p.c.Admit(p.now, "doc", ""); return err }, wire.CodeNoSuchParticipant},
		{"refuse by a patient", func() error { _, err := p.c.Refuse(p.now, "pat", "int"); return err }, wire.CodeForbidden},
		{"refuse somebody who is in", func() error { _, err := p.c.Refuse(p.now, "doc", "pat"); return err }, wire.CodeNoSuchParticipant},
		{"remove by a patient", func() error { _, err := p.c.Remove(p.now, "pat", "doc"); return err }, wire.CodeForbidden},
		{"remove oneself", func() error { _, err := p.c.Remove(p.now, "doc", "doc"); return err }, wire.CodeNoSuchParticipant},
		{"end by a patient", func() error { _, err := p.c.End(p.now, "pat"); return err }, wire.CodeForbidden},
		{"end from the lobby", func() error { _, err := p.c.End(p.now, "int"); return err }, wire.CodeNotAdmitted},
		{"say from the lobby", func() error { return p.c.MaySay("int", "", "chat") }, wire.CodeNotAdmitted},
		{"say into the lobby by a patient", func() error { return p.c.MaySay("pat", "int", "chat") }, wire.CodeNoSuchParticipant},
		{"say to nobody", func() error { return p.c.MaySay("doc", "car", "chat") }, wire.CodeNoSuchParticipant},
		{"hold by a patient", func() error { _, err := p.c.Hold("pat", "doc"); return err }, wire.CodeForbidden},
		{"hold somebody who waits", func() error { _, err := p.c.Hold("doc", "int"); return err }, wire.CodeNoSuchParticipant},
		{"hold oneself", func() error { _, err := p.c.Hold("doc", "doc"); return err }, wire.CodeNoSuchParticipant},
		{"unhold somebody who is in", func() error { _, err := p.c.Unhold("doc", "pat"); return err }, wire.CodeNoSuchParticipant},
		{"unhold by a patient", func() error { _, err := p.c.Unhold("pat", "int"); return err }, wire.CodeForbidden},
		{"hand over by a patient", func() error { _, err := p.c.Leave(p.now, "pat", "s2", "doc"); return err }, wire.CodeForbidden},
		{"hand over to a patient", func() error { _, err := p.c.Leave(p.now, "doc", "s1", "pat"); return err }, wire.CodeNoSuchParticipant},
		{"hand over to a clinician who is not here", func() error { _, err := p.c.Leave(p.now, "doc", "s1", "doc2"); return err }, wire.CodeNoSuchParticipant},
		{"connect as nobody", func() error { _, err := p.c.Connect(p.now, consult.Connect{Participant: "x"}); return err }, wire.CodeTokenInvalid},
		{"connect as a person who can be told nothing", func() error {
			_, err := p.c.Connect(p.now, consult.Connect{Participant: "car", Session: "s9", Untold: true})
			return err
		}, wire.CodeForbidden},
		{"connect with an old invitation", func() error {
			_, err := p.c.Connect(p.now, consult.Connect{Participant: "car", Epoch: 7})
			return err
		}, wire.CodeInvitationRevoked},
		{"resume another session", func() error {
			_, err := p.c.Connect(p.now, consult.Connect{Participant: "pat", Session: "s9", Resume: "s3"})
			return err
		}, wire.CodeTokenInvalid},
		{"resume a session that never was", func() error {
			_, err := p.c.Connect(p.now, consult.Connect{Participant: "car", Session: "s9", Resume: "s8"})
			return err
		}, wire.CodeTokenInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := p.see("doc")
			(&play{t, p.c, p.now}).wantCode(tt.do(), tt.code)
			if after := p.see("doc"); after != before {
				t.Errorf("a refused command changed %q to %q", before, after)
			}
		})
	}
	if err := p.c.MaySay("doc", "pat", "chat"); err != nil {
		t.Errorf("the clinician may not write to the patient: %v", err)
	}
}

func TestWindow(t *testing.T) {
	s := spec()
	for _, tt := range []struct {
		name string
		at   time.Time
		want *consult.Error
	}{
		{"a nanosecond early", s.From.Add(-1), &consult.Error{Code: wire.CodeNotYetOpen, Detail: "the consultation is not open yet", OpensAt: s.From}},
		{"as it opens", s.From, nil},
		{"at the last moment", s.To.Add(-1), nil},
		{"as it closes", s.To, &consult.Error{Code: wire.CodeWindowClosed, Detail: "the consultation is closed", ClosedAt: s.To}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlay(t, nil)
			_, err := p.c.Connect(tt.at, consult.Connect{Participant: "doc", Session: "s1"})
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !reflect.DeepEqual(err, tt.want) {
				t.Errorf("got %+v, want %+v", err, tt.want)
			}
		})
	}
}

func TestWindowCloses(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	to := spec().To
	if got := p.c.Next(); !got.Equal(to) {
		t.Errorf("next at %v, want %v", got, to)
	}
	if got := p.c.Tick(to.Add(-1)); !reflect.DeepEqual(got, consult.Effects{}) {
		t.Errorf("a nanosecond early: %+v", got)
	}
	want := consult.Effects{Over: "window_closed", Ended: []consult.Ended{{"doc", "s1", "window_closed"}, {"pat", "s2", "window_closed"}}}
	if got := p.c.Tick(to); !reflect.DeepEqual(core(got), want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !p.c.Empty() || p.c.Over() != "window_closed" || !p.c.Next().IsZero() {
		t.Error("the consultation is not over")
	}
}

func TestGrace(t *testing.T) {
	for _, tt := range []struct {
		name   string
		after  time.Duration
		resume string
		want   wire.State
	}{
		{"back with the resume token in time", consult.Grace - 1, "s2", wire.StateAdmitted},
		{"back with the link in time", consult.Grace - 1, "", wire.StateWaiting},
		{"back with the link too late", consult.Grace, "", wire.StateWaiting},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlay(t, nil)
			p.connect("doc", "s1", "")
			p.connect("pat", "s2", "")
			p.admit("doc", "pat")
			p.c.Disconnect(p.now, "pat", "s2")
			if got, want := p.see("doc"), "doc:admitted pat~:admitted"; got != want {
				t.Errorf("the clinician sees %q, want %q", got, want)
			}
			if got, want := p.c.Admitted(), []string{"doc"}; !slices.Equal(got, want) {
				t.Errorf("admitted %v, want %v: nothing may flow to a lost connection", got, want)
			}
			if got, want := p.c.Next(), p.now.Add(consult.Grace); !got.Equal(want) {
				t.Errorf("next at %v, want %v", got, want)
			}
			p.now = p.now.Add(tt.after)
			p.c.Tick(p.now)
			p.connect("pat", "s3", tt.resume)
			if got := p.c.State("pat"); got != tt.want {
				t.Errorf("state %q, want %q", got, tt.want)
			}
		})
	}
}

func TestGraceLapses(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	p.admit("doc", "pat")
	p.c.Disconnect(p.now, "pat", "s2")
	p.now = p.now.Add(consult.Grace)
	p.c.Tick(p.now)
	if got, want := p.see("doc"), "doc:admitted"; got != want {
		t.Errorf("the clinician sees %q, want %q", got, want)
	}
	_, err := p.c.Connect(p.now, consult.Connect{Participant: "pat", Session: "s3", Resume: "s2"})
	p.wantCode(err, wire.CodeTokenInvalid)
}

func TestSecondDevice(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	p.admit("doc", "pat")
	want := consult.Effects{Ended: []consult.Ended{{"pat", "s2", "replaced"}}}
	if got := p.connect("pat", "s3", ""); !reflect.DeepEqual(core(got), want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p.wantStates("doc:admitted pat:waiting")
	p.c.Disconnect(p.now, "pat", "s2") // the first device's socket closes after all this
	p.wantStates("doc:admitted pat:waiting")
	_, err := p.c.Connect(p.now, consult.Connect{Participant: "pat", Session: "s4", Resume: "s2"})
	p.wantCode(err, wire.CodeTokenInvalid)

	p.admit("doc", "pat")
	if got := p.connect("pat", "s5", "s3"); !reflect.DeepEqual(got.Ended, []consult.Ended{{"pat", "s3", "replaced"}}) {
		t.Errorf("ended %+v", got.Ended)
	}
	p.wantStates("doc:admitted pat:admitted")
	// The clinician's second device goes straight to the room: only clinicians have such a link.
	p.connect("doc", "s6", "")
	p.wantStates("doc:admitted pat:admitted")
}

func TestWaitingKeepsItsPlaceInTheQueue(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("pat", "s1", "")
	p.now = p.now.Add(time.Minute)
	p.connect("pat", "s2", "s1")
	p.connect("doc", "s3", "")
	if got, want := p.c.Roster("doc").Participants[1].Waiting, start.UnixMilli(); got != want {
		t.Errorf("waiting since %d, want %d", got, want)
	}
}

func TestRemoveRevokes(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	p.admit("doc", "pat")
	e, err := p.c.Remove(p.now, "doc", "pat")
	want := consult.Effects{Ended: []consult.Ended{{"pat", "s2", "removed"}}, Revoked: []string{"pat"}}
	if err != nil || !reflect.DeepEqual(core(e), want) {
		t.Errorf("got %+v, %v, want %+v", e, err, want)
	}
	for _, cmd := range []consult.Connect{{Participant: "pat", Session: "s3"}, {Participant: "pat", Session: "s3", Resume: "s2"}} {
		_, err = p.c.Connect(p.now, cmd)
		p.wantCode(err, wire.CodeInvitationRevoked)
	}
	if got := p.c.Revoke(p.now, "pat"); !reflect.DeepEqual(got, consult.Effects{}) {
		t.Errorf("revoked twice: %+v", got)
	}
	if got, want := p.c.Revoke(p.now, "int"), (consult.Effects{Revoked: []string{"int"}}); !reflect.DeepEqual(core(got), want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLeaveAndRefuse(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	e, err := p.c.Refuse(p.now, "doc", "pat")
	want := consult.Effects{Ended: []consult.Ended{{"pat", "s2", "refused"}}}
	if err != nil || !reflect.DeepEqual(core(e), want) {
		t.Errorf("got %+v, %v, want %+v", e, err, want)
	}
	p.connect("pat", "s3", "") // may knock again
	if got := p.leave("pat", "s2", ""); !reflect.DeepEqual(got, consult.Effects{}) {
		t.Errorf("an old session left: %+v", got)
	}
	want = consult.Effects{Ended: []consult.Ended{{"pat", "s3", "left"}}}
	if got := p.leave("pat", "s3", ""); !reflect.DeepEqual(core(got), want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p.wantStates("doc:admitted")
}

func TestEnd(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	e, err := p.c.End(p.now, "doc")
	want := consult.Effects{Over: "ended", Ended: []consult.Ended{{"doc", "s1", "ended"}, {"pat", "s2", "ended"}}}
	if err != nil || !reflect.DeepEqual(core(e), want) {
		t.Errorf("got %+v, %v, want %+v", e, err, want)
	}
	_, err = p.c.Connect(p.now, consult.Connect{Participant: "pat", Session: "s3"})
	p.wantCode(err, wire.CodeConsultationEnded)
	if got := p.c.Close(p.now, "cancelled"); !reflect.DeepEqual(got, consult.Effects{}) {
		t.Errorf("ended twice: %+v", got)
	}
}

func TestCapacityKeepsAPlaceForTheClinician(t *testing.T) {
	p := newPlay(t, func(s *consult.Spec) { s.Policy.MaxParticipants = 3 })
	p.connect("pat", "s1", "")
	p.connect("int", "s2", "")
	_, err := p.c.Connect(p.now, consult.Connect{Participant: "car", Session: "s3"})
	p.wantCode(err, wire.CodeConsultationFull)
	p.connect("doc", "s4", "")
	_, err = p.c.Connect(p.now, consult.Connect{Participant: "doc2", Session: "s5"})
	p.wantCode(err, wire.CodeConsultationFull)
	p.admit("doc", "pat")
	p.c.Disconnect(p.now, "pat", "s1") // still counts, and still gets in
	_, err = p.c.Connect(p.now, consult.Connect{Participant: "car", Session: "s6"})
	p.wantCode(err, wire.CodeConsultationFull)
	p.connect("pat", "s7", "s1")
	p.leave("pat", "s7", "")
	p.connect("car", "s8", "")
}

func TestMutedIsInTheRoster(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("doc", "s1", "")
	muted := func() string { return fmt.Sprint(p.c.Roster("doc").Participants[0].Muted) }
	p.c.Mute("doc", wire.SourceMic, true)
	p.c.Mute("doc", wire.SourceCamera, true)
	p.c.Mute("doc", wire.SourceMic, true)
	if got, want := muted(), "[camera mic]"; got != want {
		t.Errorf("muted %s, want %s", got, want)
	}
	p.c.Mute("doc", wire.SourceMic, false)
	if got, want := muted(), "[camera]"; got != want {
		t.Errorf("muted %s, want %s", got, want)
	}
	p.connect("doc", "s2", "s1") // a new session publishes anew
	if got, want := muted(), "[]"; got != want {
		t.Errorf("muted %s, want %s", got, want)
	}
}
