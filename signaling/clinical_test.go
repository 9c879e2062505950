package signaling_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

const twoClinicians = `"participants":[{"role":"clinician","ref":"d1"},{"role":"patient","ref":"p1"},{"role":"interpreter"},{"role":"clinician","ref":"d2"}]`

// ask sends a message and returns how it was answered: done, a type or a code.
func (c *client) ask(m wire.ClientMessage, id uint64) string {
	c.Helper()
	c.send(m, id)
	c.settle()
	return c.reply(id)
}

func (c *client) wantAnswer(want string, m wire.ClientMessage, id uint64) {
	c.Helper()
	if got := c.ask(m, id); got != want {
		c.Errorf("%T is answered by %q, want %q", m, got, want)
	}
}

// roles names participants by their roles.
func (v *visit) roles(ids []string) string {
	var list []string
	for _, id := range ids {
		for _, p := range v.Participants {
			if p.ID == id {
				list = append(list, string(p.Role))
			}
		}
	}
	return strings.Join(list, " ")
}

func (v *visit) wantFlowing(want string) {
	v.Helper()
	v.settle()
	if got := v.roles(v.media.flowing(v.ID)); got != want {
		v.Errorf("media flows between %q, want %q", got, want)
	}
}

func TestHoldAndUnhold(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, interpreter := v.three()
		doctor.wantAnswer("done", &wire.Hold{Participant: v.Participants[1].ID}, 9)
		v.wantFlowing("clinician interpreter")
		if got := patient.last("state").(*wire.StateChanged).State; got != wire.StateHeld {
			t.Errorf("the patient is told %q, want held", got)
		}
		patient.wantSee("patient:held")
		interpreter.wantSee("clinician:admitted patient:held interpreter:admitted")
		patient.wantAnswer("not_admitted", &wire.Say{Kind: "chat", Body: "hello?"}, 9)

		doctor.wantAnswer("done", &wire.Say{To: v.Participants[1].ID, Kind: "chat", Body: "one minute"}, 10)
		if got := patient.last("message"); got == nil || got.(*wire.Said).Body != "one minute" {
			t.Errorf("the patient was told %v", got)
		}
		interpreter.wantAnswer("no_such_participant", &wire.Say{To: v.Participants[1].ID, Kind: "chat", Body: "x"}, 9)

		doctor.wantAnswer("done", &wire.Unhold{Participant: v.Participants[1].ID}, 11)
		v.wantFlowing("clinician patient interpreter")
		patient.wantSee("clinician:admitted patient:admitted interpreter:admitted")
	})
}

func TestMessageIntoTheLobby(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		patient, interpreter, doctor := v.enter(1), v.enter(2), v.enter(0)
		doctor.wantAnswer("done", &wire.Say{To: v.Participants[1].ID, Kind: "chat", Body: "ten minutes late"}, 9)
		if got := patient.last("message"); got == nil || got.(*wire.Said).Body != "ten minutes late" {
			t.Errorf("the patient was told %v", got)
		}
		// What goes to everybody goes to those in the room.
		doctor.wantAnswer("done", &wire.Say{Kind: "chat", Body: "to all"}, 10)
		if interpreter.last("message") != nil || patient.last("message").(*wire.Said).Body != "ten minutes late" {
			t.Error("a message to the room was heard in the lobby")
		}
		patient.wantAnswer("not_admitted", &wire.Say{To: v.Participants[0].ID, Kind: "chat", Body: "x"}, 9)
	})
}

// TestHandOver: the patient's media is touched by neither the coming nor the going.
func TestHandOver(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(twoClinicians)
		doctor, patient, _ := v.three()
		before := len(w.media.history(v.ID))
		heir := v.enter(3)
		doctor.wantAnswer("no_such_participant", &wire.Leave{To: v.Participants[1].ID}, 9)
		patient.wantAnswer("forbidden", &wire.Leave{To: v.Participants[3].ID}, 9)
		doctor.send(&wire.Leave{To: v.Participants[3].ID}, 10)
		doctor.wantEnded("left", 1000)
		heir.wantSee("patient:admitted interpreter:admitted clinician:admitted")
		want := wire.Said{From: v.Participants[0].ID, To: v.Participants[3].ID, Kind: wire.KindHandedOver}
		if got, ok := heir.last("message").(*wire.Said); !ok || *got != want {
			t.Errorf("who takes over is told %+v, want %+v", got, want)
		}
		if types := heir.types(); types[len(types)-1] != "roster" {
			t.Errorf("told after the roster that does not name the other any more: %v", types)
		}
		patient.wantAnswer("bad_message", &wire.Say{To: v.Participants[3].ID, Kind: wire.KindHandedOver}, 11)
		v.wantFlowing("patient interpreter clinician")
		for _, line := range w.media.history(v.ID)[before:] {
			if !strings.Contains(line, v.Participants[1].ID) {
				t.Errorf("media of the patient stopped: %q", line)
			}
		}
		w.advance(consult.HoldAfter)
		patient.wantAlive()
	})
}

func TestNobodyStaysWithoutAClinician(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, interpreter := v.three()
		doctor.drop()
		w.settle()
		w.advance(consult.HoldAfter - time.Nanosecond)
		v.wantFlowing("patient interpreter")
		w.advance(time.Nanosecond)
		v.wantFlowing("")
		for _, c := range []*client{patient, interpreter} {
			got := c.last("state").(*wire.StateChanged)
			if got.State != wire.StateHeld || got.Facts.ClinicianPresent {
				t.Errorf("told %+v", got)
			}
		}
		doctor = v.enter(0)
		v.wantFlowing("clinician") // who comes back admits nobody
		doctor.wantSee("clinician:admitted patient:held interpreter:held")
		doctor.wantAnswer("done", &wire.Unhold{Participant: v.Participants[1].ID}, 9)
		v.wantFlowing("clinician patient")
	})
}

func TestDeviceAndObserver(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(`"participants":[{"role":"clinician"},{"role":"patient"},{"role":"device"},{"role":"observer"},{"role":"carer","proxy_for":"p1"}]`)
		doctor, _, device, observer, guardian := v.enter(0), v.enter(1), v.enter(2), v.enter(3), v.enter(4)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 9)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[3].ID}, 10)
		v.wantFlowing("clinician patient device observer") // the device came with its patient
		joined := device.last("joined").(*wire.Joined)
		if joined.Slots != (wire.SlotCount{}) || !slices.Equal(joined.Policy.Publish, []wire.Source{wire.SourceExam, wire.SourceAuscultation}) {
			t.Errorf("the device is told %+v", joined)
		}
		device.wantAnswer("done", &wire.Say{Kind: "vitals", Body: `{"spo2":97}`}, 9)
		device.wantAnswer("forbidden", &wire.Say{Kind: "chat", Body: "x"}, 10)
		observer.wantAnswer("forbidden", &wire.Say{Kind: "chat", Body: "x"}, 9)
		if got := observer.last("joined").(*wire.Joined).Policy.Publish; len(got) != 0 {
			t.Errorf("the observer may publish %v", got)
		}
		if got := guardian.last("joined").(*wire.Joined); !slices.Contains(got.Policy.Publish, wire.SourceExam) || !got.Roster[0].Proxy {
			t.Errorf("the guardian is told %+v", got)
		}
		doctor.wantAnswer("done", &wire.Hold{Participant: v.Participants[1].ID}, 11)
		v.wantFlowing("clinician observer")
	})
}

// TestRestart is bar 1 seen from a participant: who was in the room is in it again, who was on hold
// is on hold, who was sent away stays away.
func TestRestart(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(*world)
	}{{"in order", (*world).restart}, {"crash", (*world).crash}} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, withKeys, func(w *world) {
				v := w.open(`"participants":[{"role":"clinician"},{"role":"patient"},{"role":"interpreter"},{"role":"carer"},{"role":"observer"}]`)
				doctor, patient, interpreter, carer, observer := v.enter(0), v.enter(1), v.enter(2), v.enter(3), v.enter(4)
				for i := range 3 {
					doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[i+1].ID}, uint64(10+i))
				}
				doctor.wantAnswer("done", &wire.Hold{Participant: v.Participants[2].ID}, 20)
				doctor.wantAnswer("done", &wire.Remove{Participant: v.Participants[3].ID}, 21)
				unused := v.token(1)
				w.advance(10 * time.Second)
				tt.stop(w)
				w.advance(20 * time.Second)

				resume := func(c *client) *client {
					again := w.dial()
					again.send(&wire.Join{Resume: c.last("joined").(*wire.Joined).Resume}, 1)
					w.settle()
					return again
				}
				patient, interpreter, carer, observer = resume(patient), resume(interpreter), resume(carer), resume(observer)
				carer.wantEnded("invitation_revoked", 1008)
				v.wantFlowing("patient")
				doctor = resume(doctor)
				doctor.wantSee("clinician:admitted patient:admitted interpreter:held observer:waiting")
				interpreter.wantSee("interpreter:held")
				v.wantFlowing("clinician patient")
				if got := doctor.last("joined").(*wire.Joined).Roster[3].Waiting; got != w.arrivals(t, observer) {
					t.Errorf("the observer's waiting time is not what it was")
				}
				doctor.wantAnswer("done", &wire.Unhold{Participant: v.Participants[2].ID}, 22)
				patient.wantAlive()

				late := w.dial()
				late.send(&wire.Join{Token: unused}, 1)
				late.wantEnded("token_expired", 1008)
			})
		})
	}
}

// arrivals is since when a client was told to wait, in its own roster.
func (w *world) arrivals(t *testing.T, c *client) int64 {
	t.Helper()
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of every bubble
	waiting := c.last("joined").(*wire.Joined).Roster[0].Waiting
	if waiting != start.UnixMilli() {
		t.Errorf("waiting since %d, want %d: before the restart", waiting, start.UnixMilli())
	}
	return waiting
}

func TestPlacesLapseAfterARestart(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		v := w.open(threePeople)
		_, patient, _ := v.three()
		token := patient.last("joined").(*wire.Joined).Resume
		w.crash()
		w.advance(consult.Grace)
		again := w.dial()
		again.send(&wire.Join{Resume: token}, 1)
		again.wantEnded("token_invalid", 1008)
	})
}

func withKeys(c *config.Signaling, _ *signaling.Deps) {
	c.TokenKey, c.InvitationSecret = config.NewSecret(tokenSeed), config.NewSecret(tokenSeed)
}

// trail returns what the audit log says of a consultation, one line a record.
func (v *visit) trail(after int) []string {
	v.Helper()
	page, err := v.audit.Read(v.Context(), audit.Query{Consultation: v.ID})
	if err != nil {
		v.Fatal(err)
	}
	var lines []string
	for _, r := range page.Records[after:] {
		line := fmt.Sprintf("%s %s", r.Actor.Kind, r.Name)
		if r.Actor.Kind == audit.KindParticipant {
			line = fmt.Sprintf("%s %s", r.Actor.Role, r.Name)
		}
		for _, more := range []string{r.Subject.Role, r.Reason} {
			if more != "" {
				line += " " + more
			}
		}
		if r.Tenant != "tenant-1" || r.Outcome == "" || r.Time.IsZero() {
			v.Errorf("record %+v", r)
		}
		lines = append(lines, line)
	}
	return lines
}

// TestTrail tells a consultation from its audit log alone.
func TestTrail(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		v := w.open(twoClinicians)
		patient, doctor := v.enter(1), v.enter(0)
		doctor.ask(&wire.Admit{Participant: v.Participants[1].ID}, 9)
		doctor.ask(&wire.Hold{Participant: v.Participants[1].ID}, 10)
		doctor.ask(&wire.Unhold{Participant: v.Participants[1].ID}, 11)
		patient.ask(&wire.End{}, 9)
		interpreter := v.enter(2)
		doctor.ask(&wire.Refuse{Participant: v.Participants[2].ID}, 12)
		interpreter.wantEnded("refused", 1000)
		patient.drop()
		w.settle()
		again := w.dial()
		again.send(&wire.Join{Resume: patient.last("joined").(*wire.Joined).Resume}, 1)
		w.settle()
		v.enter(1) // on another device
		v.enter(3)
		doctor.ask(&wire.Leave{To: v.Participants[3].ID}, 13)
		w.call("PATCH", "/v1/consultations/"+v.ID, apiKey, `{"profile":"motion"}`, nil)
		w.call("POST", "/v1/consultations/"+v.ID+"/participants", apiKey, `{"role":"carer"}`, nil)
		w.call("DELETE", "/v1/consultations/"+v.ID+"/participants/"+v.Participants[1].ID, apiKey, "", nil)
		w.call("DELETE", "/v1/consultations/"+v.ID+"/participants/"+v.Participants[1].ID, apiKey, "", nil)
		w.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[1]+`"}`, nil)
		w.call("DELETE", "/v1/consultations/"+v.ID, apiKey, "", nil)
		w.call("DELETE", "/v1/consultations/"+v.ID, apiKey, "", nil)
		want := strings.Split(`key consultation.created
patient invitation.exchanged
patient person.waiting
clinician invitation.exchanged
clinician person.joined
clinician person.admitted patient
server consultation.started
clinician person.held patient
clinician person.resumed patient
patient access.denied forbidden
interpreter invitation.exchanged
interpreter person.waiting
clinician person.refused interpreter
patient person.disconnected
patient person.rejoined
patient invitation.exchanged
patient person.replaced
patient person.waiting
clinician invitation.exchanged
clinician person.joined
clinician person.handed_over clinician
clinician person.left
key consultation.updated
key invitation.created carer
key invitation.revoked patient
patient invitation.refused invitation_revoked
key consultation.cancelled`, "\n")
		if got := v.trail(0); !slices.Equal(got, want) {
			t.Errorf("the log tells\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}

		var page signaling.AuditPage
		if status, code := w.call("GET", "/v1/audit?limit=5&consultation="+v.ID, apiKey, "", &page); status != 200 {
			t.Fatalf("%d %s", status, code)
		}
		if len(page.Records) != 5 || !page.More || page.Records[0].Name != audit.ConsultationCreated || page.Records[0].Actor.ID != "one" {
			t.Errorf("page %+v", page)
		}
		if got := page.Records[1].Actor.Ref; got != "p1" {
			t.Errorf("the patient's ref is %q", got)
		}
		if status, _ := w.call("GET", "/v1/audit", otherAPIKey, "", &page); status != 200 {
			t.Fatal(status)
		}
		if len(page.Records) != 1 || page.Records[0].Name != audit.AuditRead || page.Records[0].Tenant != "tenant-2" {
			t.Errorf("another tenant reads %+v", page.Records)
		}
	})
}

// TestAuditUnavailable: nothing is granted without a record, and everything that only takes away is
// done; what runs goes on.
func TestAuditUnavailable(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		v := w.open(threePeople)
		doctor, patient := v.enter(0), v.enter(1)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 8)
		interpreter := v.enter(2)
		token := v.token(2)
		w.audit.Fail(audit.ErrUnavailable)

		doctor.wantAnswer("audit_unavailable", &wire.Admit{Participant: v.Participants[2].ID}, 9)
		interpreter.wantSee("interpreter:waiting")
		v.wantFlowing("clinician patient")
		for _, tt := range []struct{ method, path, key, body string }{
			{"POST", "/v1/consultations", apiKey, "{" + threePeople + "}"},
			{"PATCH", "/v1/consultations/" + v.ID, apiKey, `{"profile":"motion"}`},
			{"POST", "/v1/consultations/" + v.ID + "/participants", apiKey, `{"role":"carer"}`},
			{"POST", "/v1/join", "", `{"invitation":"` + v.invitations[2] + `"}`},
			{"GET", "/v1/audit", apiKey, ""},
		} {
			if status, code := w.call(tt.method, tt.path, tt.key, tt.body, nil); status != 503 || code != "audit_unavailable" {
				t.Errorf("%s %s: %d %s, want 503 audit_unavailable", tt.method, tt.path, status, code)
			}
		}
		late := w.dial()
		late.send(&wire.Join{Token: token}, 1)
		late.wantEnded("audit_unavailable", 1013)
		interpreter.wantSee("interpreter:waiting") // and was not replaced by it

		// The running call goes on, a lost connection comes back, and whoever must go goes.
		patient.wantAlive()
		patient.drop()
		w.settle()
		again := w.dial()
		again.send(&wire.Join{Resume: patient.last("joined").(*wire.Joined).Resume}, 1)
		again.wantSee("clinician:admitted patient:admitted")
		doctor.wantAnswer("done", &wire.Hold{Participant: v.Participants[1].ID}, 10)
		doctor.wantAnswer("audit_unavailable", &wire.Unhold{Participant: v.Participants[1].ID}, 11)
		doctor.wantAnswer("done", &wire.Remove{Participant: v.Participants[1].ID}, 12)
		again.wantEnded("removed", 1000)
		if got := w.metricsText(); !strings.Contains(got, "bedside_audit_missing_total 14") {
			t.Errorf("the events that are missing are not counted: %s", grep(got, "bedside_audit"))
		}

		w.audit.Fail(nil)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[2].ID}, 13)
		v.wantFlowing("clinician interpreter")
		doctor.send(&wire.End{}, 14)
		doctor.wantEnded("ended", 1000)
	})
}

func grep(text, word string) string {
	var found []string
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "\n")
}

func TestUnauditedCareComesFirst(t *testing.T) {
	change := func(c *config.Signaling, d *signaling.Deps) { d.Unaudited = true }
	inWorld(t, change, func(w *world) {
		v := w.open(threePeople)
		doctor, _ := v.enter(0), v.enter(1)
		w.audit.Fail(audit.ErrUnavailable)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 9)
		v.wantFlowing("clinician patient")
		if got := w.metricsText(); !strings.Contains(got, "\nbedside_audit_missing_total 2\n") {
			t.Errorf("admitted and started are missing: %s", grep(got, "audit_missing"))
		}
	})
}
