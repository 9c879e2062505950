package consult_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// met is a consultation with a clinician, a patient, an interpreter and a device in the room.
func met(t *testing.T, change func(*consult.Spec)) *play {
	t.Helper()
	p := newPlay(t, func(s *consult.Spec) {
		s.People = append(s.People, consult.Person{ID: "dev", Role: wire.RoleDevice})
		if change != nil {
			change(s)
		}
	})
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	p.connect("int", "s3", "")
	p.connect("dev", "s4", "")
	p.admit("doc", "pat")
	p.admit("doc", "int")
	return p
}

func (p *play) did(e consult.Effects, err error) consult.Effects {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
	return e
}

func (p *play) wantAdmitted(want ...string) {
	p.Helper()
	if got := p.c.Admitted(); !slices.Equal(got, want) {
		p.Errorf("media between %v, want %v", got, want)
	}
}

func TestHold(t *testing.T) {
	p := met(t, nil)
	e := p.did(p.c.Hold("doc", "pat"))
	want := consult.Effects{Moved: []string{"pat", "dev"}, Events: []consult.Event{
		{Name: consult.EventHeld, Actor: "doc", Subject: "pat"},
		{Name: consult.EventHeld, Actor: "doc", Subject: "dev", Reason: consult.ReasonWithPatient},
	}}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("hold: %+v, want %+v", e, want)
	}
	p.wantAdmitted("doc", "int")
	if got, want := p.see("pat"), "pat:held"; got != want {
		t.Errorf("who is on hold sees %q, want %q", got, want)
	}
	if got, want := p.see("int"), "doc:admitted pat:held int:admitted dev:held"; got != want {
		t.Errorf("the room sees %q, want %q", got, want)
	}
	p.wantCode(p.c.MaySay("pat", "", "chat"), wire.CodeNotAdmitted)
	if err := p.c.MaySay("doc", "pat", "chat"); err != nil {
		t.Errorf("the clinician may not write to somebody on hold: %v", err)
	}
	p.wantCode(p.c.MaySay("int", "pat", "chat"), wire.CodeNoSuchParticipant)

	// A lost connection ends no hold, in either way of coming back.
	p.c.Disconnect(p.now, "pat", "s2")
	p.connect("pat", "s5", "s2")
	p.wantAdmitted("doc", "int")
	if got := p.c.State("pat"); got != wire.StateHeld {
		t.Errorf("back as %q, want held", got)
	}

	e = p.did(p.c.Unhold("doc", "pat"))
	if !e.Grants || !slices.Equal(e.Moved, []string{"pat", "dev"}) {
		t.Errorf("unhold: %+v", e)
	}
	p.wantAdmitted("doc", "pat", "int", "dev")

	p.connect("doc2", "s6", "")
	_, err := p.c.Hold("doc", "doc2")
	p.wantCode(err, wire.CodeForbidden)
}

func TestHandOver(t *testing.T) {
	p := met(t, nil)
	p.connect("doc2", "s5", "")
	before := p.see("pat")
	e := p.did(p.c.Leave(p.now, "doc", "s1", "doc2"))
	want := consult.Effects{Ended: []consult.Ended{{"doc", "s1", wire.EndedLeft}}, Events: []consult.Event{
		{Name: consult.EventHandedOver, Actor: "doc", Subject: "doc2"},
		{Name: consult.EventLeft, Actor: "doc", Subject: "doc"},
	}}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("hand over: %+v, want %+v", e, want)
	}
	if got, want := before, "doc:admitted pat:admitted int:admitted doc2:admitted dev:admitted"; got != want {
		t.Errorf("before, the patient sees %q, want %q", got, want)
	}
	p.wantAdmitted("pat", "int", "doc2", "dev")
	if got := p.c.Next(); !got.Equal(spec().To) {
		t.Errorf("something is due at %v: a clinician is here", got)
	}
}

func TestHandOverToALostConnection(t *testing.T) {
	p := met(t, nil)
	p.connect("doc2", "s5", "")
	p.c.Disconnect(p.now, "doc2", "s5")
	_, err := p.c.Leave(p.now, "doc", "s1", "doc2")
	p.wantCode(err, wire.CodeNoSuchParticipant)
	p.wantAdmitted("doc", "pat", "int", "dev")
}

// TestLastClinicianGone is the rule of five minutes, to the nanosecond.
func TestLastClinicianGone(t *testing.T) {
	for _, tt := range []struct {
		name string
		gone func(*play)
		back string
		want string
	}{
		{"leaves", func(p *play) { p.leave("doc", "s1", "") }, "doc", "doc:admitted pat:held int:held"},
		{"loses the connection", func(p *play) { p.c.Disconnect(p.now, "doc", "s1") }, "doc", "doc:admitted pat:held int:held"},
		{"is revoked", func(p *play) { p.c.Revoke(p.now, "doc") }, "doc2", "pat:held int:held doc2:admitted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := met(t, nil)
			p.now = p.now.Add(time.Minute)
			tt.gone(p)
			due := p.now.Add(consult.HoldAfter)
			p.c.Tick(p.now.Add(consult.Grace))
			if got := p.c.Next(); !got.Equal(due) {
				t.Fatalf("next at %v, want %v", got, due)
			}
			p.c.Tick(due.Add(-1))
			p.wantAdmitted("pat", "int", "dev")
			e := p.c.Tick(due)
			p.wantAdmitted()
			p.wantStates("pat:held int:held")
			if !slices.Equal(e.Moved, []string{"pat", "int", "dev"}) || e.Grants {
				t.Errorf("%+v", e)
			}
			if got := p.c.Next(); !got.Equal(spec().To) {
				t.Errorf("then next at %v, want the end of the window", got)
			}
			// Whoever comes back admits nobody else.
			p.now = due
			p.connect(tt.back, "s9", "")
			p.wantStates(tt.want)
		})
	}
}

func TestAnotherClinicianIsEnough(t *testing.T) {
	p := met(t, nil)
	p.c.Disconnect(p.now, "doc", "s1")
	p.now = p.now.Add(consult.HoldAfter - 1)
	p.c.Tick(p.now)
	p.connect("doc2", "s5", "")
	p.c.Tick(p.now.Add(time.Hour / 2))
	p.wantAdmitted("pat", "int", "doc2", "dev")
}

func TestWithoutALobbyNobodyIsHeld(t *testing.T) {
	p := newPlay(t, func(s *consult.Spec) { s.Policy.Lobby = false })
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	p.leave("doc", "s1", "")
	p.c.Tick(p.now.Add(consult.HoldAfter))
	p.wantAdmitted("pat")
}

func TestDeviceGoesWithItsPatient(t *testing.T) {
	p := newPlay(t, func(s *consult.Spec) { s.People = append(s.People, consult.Person{ID: "dev", Role: wire.RoleDevice}) })
	p.connect("dev", "s1", "")
	p.connect("doc", "s2", "")
	p.connect("pat", "s3", "")
	e := p.admit("doc", "pat")
	if !slices.Equal(e.Moved, []string{"pat", "dev"}) {
		t.Errorf("moved %v", e.Moved)
	}
	p.wantAdmitted("doc", "pat", "dev")
	p.leave("dev", "s1", "")
	p.connect("dev", "s4", "") // its patient is there
	p.wantAdmitted("doc", "pat", "dev")

	p = newPlay(t, func(s *consult.Spec) {
		s.Policy.Group = true
		s.People = append(s.People, consult.Person{ID: "dev", Role: wire.RoleDevice})
	})
	p.connect("dev", "s1", "")
	p.connect("doc", "s2", "")
	p.connect("pat", "s3", "")
	p.admit("doc", "pat")
	p.wantAdmitted("doc", "pat") // whose device is it?
	p.admit("doc", "dev")
	p.wantAdmitted("doc", "pat", "dev")
}

// A device that is invited to watch hears what is said: a clinician lets it in, each time. It goes out with
// its patient, who would watch on it.
func TestWatchingDevice(t *testing.T) {
	p := met(t, func(s *consult.Spec) {
		s.People = append(s.People, consult.Person{ID: "wall", Role: wire.RoleDevice, Watch: true})
	})
	connect := func(session string, watch bool) error {
		_, err := p.c.Connect(p.now, consult.Connect{Participant: "wall", Session: session, Untold: true, Watch: watch})
		return err
	}
	if err := connect("s5", true); err != nil {
		t.Fatal(err)
	}
	p.wantAdmitted("doc", "pat", "int", "dev")
	// Who looks at the log afterwards must see that it listened.
	e := p.did(p.c.Admit(p.now, "doc", "wall"))
	if want := []consult.Event{{Name: consult.EventAdmitted, Actor: "doc", Subject: "wall", Reason: consult.ReasonWatches}}; !slices.Equal(e.Events, want) {
		t.Errorf("admit: %+v, want %+v", e.Events, want)
	}
	p.wantAdmitted("doc", "pat", "int", "dev", "wall")
	for _, viewer := range []string{"doc", "pat", "int"} {
		for _, line := range p.c.Roster(viewer).Participants {
			if line.Watch != (line.ID == "wall") {
				t.Errorf("%s is told of %s that it watches: %v", viewer, line.ID, line.Watch)
			}
		}
	}
	p.did(p.c.Hold("doc", "pat"))
	p.wantAdmitted("doc", "int")
	p.did(p.c.Unhold("doc", "pat"))
	p.wantAdmitted("doc", "pat", "int", "dev")
	e = p.did(p.c.Unhold("doc", "wall"))
	if want := []consult.Event{{Name: consult.EventResumed, Actor: "doc", Subject: "wall", Reason: consult.ReasonWatches}}; !slices.Equal(e.Events, want) {
		t.Errorf("unhold: %+v, want %+v", e.Events, want)
	}
	p.wantAdmitted("doc", "pat", "int", "dev", "wall")
	if err := connect("s6", true); err != nil { // whoever has the link
		t.Fatal(err)
	}
	p.wantAdmitted("doc", "pat", "int", "dev")
	for _, tt := range []struct {
		name, id string
		watch    bool
		want     bool
	}{
		{"a device that is not invited to", "dev", true, false},
		{"a device that only sends", "dev", false, true},
		{"a person, who has to be told who is there", "int", true, false},
	} {
		_, err := p.c.Connect(p.now, consult.Connect{Participant: tt.id, Session: tt.name, Untold: true, Watch: tt.watch})
		if (err == nil) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	s := spec()
	s.People[1].Watch = true
	if _, err := consult.New(s); !errors.Is(err, consult.ErrWatch) {
		t.Errorf("a patient as a wall display: %v", err)
	}
}

func TestQueueIsInTheOrderOfArrival(t *testing.T) {
	p := newPlay(t, nil)
	p.connect("doc", "s1", "")
	for i, id := range []string{"car", "int", "pat"} {
		p.now = p.now.Add(time.Second)
		p.connect(id, string(rune('a'+i)), "")
	}
	if got, want := p.see("doc"), "doc:admitted car:waiting int:waiting pat:waiting"; got != want {
		t.Errorf("queue %q, want %q", got, want)
	}
	p.c.Disconnect(p.now, "car", "a")
	if got, want := p.see("doc"), "doc:admitted int:waiting pat:waiting"; got != want {
		t.Errorf("queue %q, want %q", got, want)
	}
	p.now = p.now.Add(consult.Grace - 1)
	p.connect("car", "d", "a") // in time: nobody loses their turn by a lost connection
	if got, want := p.see("doc"), "doc:admitted car:waiting int:waiting pat:waiting"; got != want {
		t.Errorf("queue %q, want %q", got, want)
	}
	p.c.Disconnect(p.now, "car", "d")
	p.now = p.now.Add(consult.Grace)
	p.c.Tick(p.now)
	p.connect("car", "e", "")
	if got, want := p.see("doc"), "doc:admitted int:waiting pat:waiting car:waiting"; got != want {
		t.Errorf("queue %q, want %q", got, want)
	}
}

func TestGuardian(t *testing.T) {
	p := newPlay(t, func(s *consult.Spec) { s.People[3].Proxy = true })
	p.connect("doc", "s1", "")
	p.connect("car", "s2", "")
	if e := p.admit("doc", "car"); !e.Started {
		t.Error("a clinician and a guardian have met, and nothing started")
	}
	line := p.c.Roster("doc").Participants[1]
	if !line.Proxy || line.Role != wire.RoleCarer {
		t.Errorf("the roster says %+v", line)
	}
	for _, tt := range []struct {
		proxy bool
		want  bool
	}{{true, true}, {false, false}} {
		if got := consult.RightsFor(wire.RoleCarer, tt.proxy).MayPublish(wire.SourceExam); got != tt.want {
			t.Errorf("a carer with proxy %v may publish an exam camera: %v", tt.proxy, got)
		}
	}
	if consult.RightsFor(wire.RoleObserver, true).MayPublish(wire.SourceMic) {
		t.Error("proxy makes an observer speak")
	}
}

// TestRestore is a server that stops and starts again.
func TestRestore(t *testing.T) {
	p := met(t, nil)
	p.did(p.c.Hold("doc", "int"))
	p.connect("car", "s5", "")
	p.now = p.now.Add(10 * time.Second)
	seats := p.c.Seats()
	want := []consult.Seat{
		{Participant: "doc", Session: "s1", State: wire.StateAdmitted},
		{Participant: "pat", Session: "s2", State: wire.StateAdmitted},
		{Participant: "int", Session: "s3", State: wire.StateHeld},
		{Participant: "car", Session: "s5", State: wire.StateWaiting, Arrived: start},
		{Participant: "dev", Session: "s4", State: wire.StateAdmitted},
	}
	if !reflect.DeepEqual(seats, want) {
		t.Fatalf("seats %+v, want %+v", seats, want)
	}
	again := func(change func(*consult.Spec)) *play {
		n := newPlay(t, func(s *consult.Spec) {
			s.People = append(s.People, consult.Person{ID: "dev", Role: wire.RoleDevice})
			if change != nil {
				change(s)
			}
		})
		n.now = p.now
		n.c.Restore(n.now, n.now.Add(consult.Grace), seats)
		return n
	}

	n := again(nil)
	n.wantAdmitted()
	n.connect("pat", "t1", "s2")
	n.connect("int", "t2", "s3")
	n.connect("car", "t3", "s5")
	n.connect("doc", "t4", "s1")
	n.wantStates("doc:admitted pat:admitted int:held car:waiting")
	if got, want := n.c.Roster("doc").Participants[4].Waiting, start.UnixMilli(); got != want {
		t.Errorf("the carer waits since %d, want %d", got, want)
	}

	n = again(func(s *consult.Spec) { s.People[1].Revoked, s.People[1].Epoch = true, 1 })
	_, err := n.c.Connect(n.now, consult.Connect{Participant: "pat", Session: "t1", Resume: "s2"})
	n.wantCode(err, wire.CodeInvitationRevoked)

	n = again(nil)
	n.now = n.now.Add(consult.Grace)
	n.c.Tick(n.now)
	_, err = n.c.Connect(n.now, consult.Connect{Participant: "pat", Session: "t1", Resume: "s2"})
	n.wantCode(err, wire.CodeTokenInvalid)
	if !n.c.Empty() {
		t.Error("somebody is still expected")
	}
}

func TestCloneIsApart(t *testing.T) {
	p := met(t, nil)
	before := p.see("doc")
	clone := p.c.Clone()
	p.did(p.c.Hold("doc", "pat"))
	p.c.Mute("int", wire.SourceMic, true)
	p.leave("int", "s3", "")
	p.c = clone
	if got := p.see("doc"); got != before {
		t.Errorf("the clone has changed from %q to %q", before, got)
	}
}

func TestChange(t *testing.T) {
	p := met(t, nil)
	s := spec()
	s.People = append(s.People, consult.Person{ID: "dev", Role: wire.RoleDevice}, consult.Person{ID: "new", Role: wire.RoleCarer})
	s.To = s.To.Add(time.Hour)
	if err := p.c.Change(s); err != nil {
		t.Fatal(err)
	}
	p.wantAdmitted("doc", "pat", "int", "dev")
	if got := p.c.Next(); !got.Equal(s.To) {
		t.Errorf("closes at %v, want %v", got, s.To)
	}
	p.connect("new", "s9", "")
	s.People = append(s.People, consult.Person{ID: "pat2", Role: wire.RolePatient})
	if err := p.c.Change(s); err == nil {
		t.Error("a second patient was let in")
	}
	_, err := p.c.Connect(p.now, consult.Connect{Participant: "pat2", Session: "s8"})
	p.wantCode(err, wire.CodeTokenInvalid)
}
