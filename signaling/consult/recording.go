package consult

import (
	"slices"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// RequestTimeout is how long a request to record waits for everybody's word.
const RequestTimeout = 2 * time.Minute

// recording is where the recording of a consultation stands:
//
//	off ──request──► requested ──everybody agrees──► recording ◄──everybody agrees──► paused
//	 ▲                   │ denied, no answer              │ stop                          │ stop
//	 └───────────────────┴────────────────────────────────┴───────────────────────────────┘
//
// The arrows that nobody commands are taken by Consultation.Record.
type recording struct {
	state   wire.RecordingState // "" is off
	reason  string              // of package wire; why it is off or paused
	by      string              // who asked; "" for the policy
	expires time.Time           // of a request
	ready   bool                // the recorder has said that it can
	fault   string              // why nothing can be recorded now, consent or not
}

// Recording returns what a participant is to be told of the recording.
func (c *Consultation) Recording(viewer string) wire.Recording {
	r := wire.Recording{State: c.recordingState(), Notice: c.spec.Notice, Reason: c.recording.reason}
	p := c.find(viewer)
	if p == nil || c.spec.Policy.never() {
		return wire.Recording{State: wire.RecordingOff}
	}
	r.Consent = p.consent
	switch {
	case !p.inRoom() && p.captured() && !c.agreed(p):
		r.Missing = []string{p.ID} // they can say so before they are let in
	case p.inRoom() && c.recordingState() != wire.RecordingOff:
		for _, id := range c.missing() {
			if id == viewer || p.Rights().May(VerbRecord) {
				r.Missing = append(r.Missing, id)
			}
		}
	}
	return r
}

func (c *Consultation) recordingState() wire.RecordingState {
	if c.recording.state == "" {
		return wire.RecordingOff
	}
	return c.recording.state
}

// Recorded reports whether a recording has begun that has not been stopped.
func (c *Consultation) Recorded() bool {
	return c.recording.state == wire.RecordingOn || c.recording.state == wire.RecordingPaused
}

// Requested reports whether nothing is missing but a recorder that says that it can record.
func (c *Consultation) Requested() bool {
	return c.recording.state == wire.RecordingRequested && !c.recording.ready && c.obstacle() == ""
}

// Captured returns those whose media may be written now: all or, while anybody who would be captured has
// not agreed, nobody. It follows from the present state, whatever Record has been told of.
func (c *Consultation) Captured() []string {
	if c.recording.state != wire.RecordingOn || c.obstacle() != "" {
		return nil
	}
	var ids []string
	for i := range c.people {
		if p := &c.people[i]; p.inRoom() && (p.captured() || p.Role == wire.RoleDevice && c.patientsAgreed()) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// patientsAgreed reports whether there are patients in the room, connected or about to be again, who have
// all agreed. What a device sends of somebody who never could be asked is not recorded.
func (c *Consultation) patientsAgreed() bool {
	one := false
	for i := range c.people {
		if p := &c.people[i]; p.Role == wire.RolePatient && p.place == admitted {
			if one = true; !c.agreed(p) {
				return false
			}
		}
	}
	return one
}

// captured reports whether a participant is recorded by their own consent. An observer sends nothing, and
// what a device sends is the patient's.
func (p *participant) captured() bool { return p.Rights().May(VerbConsent) }

// agreed reports whether somebody has agreed to the present notice, or is a patient whose guardian, in
// the room too or waiting beside them, has. The patient's own no counts in any case.
func (c *Consultation) agreed(p *participant) bool {
	if p.consent != "" {
		return p.consent == wire.ConsentGranted
	}
	return slices.ContainsFunc(c.people, func(g participant) bool {
		return g.Proxy && g.For == p.ID && g.online && g.place != absent && g.consent == wire.ConsentGranted
	})
}

// missing returns those in the room who would be captured and have not agreed.
func (c *Consultation) missing() []string {
	var ids []string
	for i := range c.people {
		if p := &c.people[i]; p.inRoom() && p.captured() && !c.agreed(p) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// obstacle is why nothing may be recorded now; empty if everything may. A withdrawal is named before
// other reasons: it is what people have to see.
func (c *Consultation) obstacle() string {
	missing := c.missing()
	said := func(id string) bool {
		d := c.find(id).consent
		return d == wire.ConsentWithdrawn || d == wire.ConsentDenied
	}
	switch {
	case slices.ContainsFunc(missing, said):
		return wire.RecordingWithdrawn
	case len(missing) > 0:
		return wire.RecordingJoined
	case !c.attended():
		return wire.RecordingClinicianAbsent
	}
	return c.recording.fault
}

// Consent is somebody's word about being recorded. The error is an *Error.
func (c *Consultation) Consent(now time.Time, id string, d wire.Decision, notice string) (Effects, error) {
	p := c.find(id)
	switch {
	case c.spec.Policy.never():
		return Effects{}, recordingForbidden()
	case p == nil || !p.connected():
		return Effects{}, &Error{Code: wire.CodeNotAdmitted, Detail: "only in the consultation"}
	case !p.captured():
		return Effects{}, &Error{Code: wire.CodeForbidden, Detail: "nobody of this role is recorded"}
	case d == wire.ConsentGranted && notice != c.spec.Notice:
		return Effects{}, &Error{Code: wire.CodeNoticeOutdated, Detail: "consent is to the notice that is shown now"}
	case d == p.consent:
		return Effects{}, nil
	}
	name, ok := map[wire.Decision]string{
		wire.ConsentGranted: EventConsentGranted, wire.ConsentDenied: EventConsentDenied, wire.ConsentWithdrawn: EventConsentWithdrawn,
	}[d]
	if !ok {
		return Effects{}, &Error{Code: wire.CodeBadMessage, Detail: "consent is granted, denied or withdrawn"}
	}
	p.consent, p.decided = d, now
	e := Effects{Grants: d == wire.ConsentGranted}
	e.note(name, id, id, c.spec.Notice)
	if e.Grants && !c.spec.Policy.Lobby {
		c.letIn(now, &e)
	}
	return e, nil
}

// letIn brings those into the room who waited for nothing but consent.
func (c *Consultation) letIn(now time.Time, e *Effects) {
	for i := range c.people {
		if p := &c.people[i]; p.place == waiting && c.mayBeAdmitted(p) == nil {
			c.enter(now, p, Event{EventJoined, p.ID, p.ID, ""}, e)
			e.Moved = append(e.Moved, p.ID)
		}
	}
}

// RequestRecording is a clinician asking everybody for their consent, which is the clinician's own, too.
// Asked again while it is paused, it asks those once more who have said no. The error is an *Error.
func (c *Consultation) RequestRecording(now time.Time, by string) (Effects, error) {
	p, err := c.actor(by, VerbRecord)
	if err != nil {
		return Effects{}, err
	}
	if c.spec.Policy.never() {
		return Effects{}, recordingForbidden()
	}
	if c.recording.state == wire.RecordingRequested || c.recording.state == wire.RecordingOn {
		return Effects{}, nil
	}
	for i := range c.people {
		if o := &c.people[i]; o.inRoom() && o.consent != wire.ConsentGranted {
			o.consent = ""
		}
	}
	e := Effects{Grants: true}
	if p.consent != wire.ConsentGranted {
		p.consent, p.decided = wire.ConsentGranted, now
		e.note(EventConsentGranted, by, by, c.spec.Notice)
	}
	e.note(EventConsentRequested, by, "", c.spec.Notice)
	if c.recording.state != wire.RecordingPaused {
		c.recording = recording{state: wire.RecordingRequested, by: by, expires: now.Add(RequestTimeout)}
	}
	return e, nil
}

// StopRecording is a clinician ending it. Everybody's consent stays as it is. The error is an *Error.
func (c *Consultation) StopRecording(by string) (Effects, error) {
	if _, err := c.actor(by, VerbRecord); err != nil {
		return Effects{}, err
	}
	var e Effects
	if c.recordingState() != wire.RecordingOff {
		c.stopRecording(by, wire.RecordingStopped, &e)
	}
	return e, nil
}

func (c *Consultation) stopRecording(by, reason string, e *Effects) {
	name := EventRecordingStopped
	if !c.Recorded() {
		name = EventConsentLapsed
	}
	c.recording = recording{reason: reason}
	e.note(name, by, "", reason)
}

// Agreement is what somebody has said about being recorded.
type Agreement struct {
	Participant string
	Decision    wire.Decision
	Notice      string
	At          time.Time
}

// Agreements returns what those who are here have said, who have said anything.
func (c *Consultation) Agreements() []Agreement {
	var list []Agreement
	for _, p := range c.people {
		if p.consent != "" {
			list = append(list, Agreement{p.ID, p.consent, c.spec.Notice, p.decided})
		}
	}
	return list
}

// EndRecording is nobody being left, or the server stopping.
func (c *Consultation) EndRecording(reason string) (e Effects) {
	if c.recordingState() != wire.RecordingOff {
		c.stopRecording("", reason, &e)
	}
	return e
}

// RecorderReady is the recorder saying that it can record.
func (c *Consultation) RecorderReady() { c.recording.ready = true }

// RecordingReason is why nothing is recorded, of package wire; empty while something is, or never was.
func (c *Consultation) RecordingReason() string { return c.recording.reason }

// Ready reports whether a request has its recorder.
func (c *Consultation) Ready() bool {
	return c.recording.state == wire.RecordingRequested && c.recording.ready
}

// RecorderFault returns what RecorderFails was last told.
func (c *Consultation) RecorderFault() string { return c.recording.fault }

// RecorderFails is the recorder saying that it cannot go on, for a reason of package wire; with none it
// can again. One that could not begin ends the request.
func (c *Consultation) RecorderFails(reason string) Effects {
	var e Effects
	if c.recording.state == wire.RecordingRequested && reason != "" {
		c.stopRecording("", wire.RecordingUnavailable, &e)
		return e
	}
	c.recording.fault = reason
	return e
}

// Record takes the steps of the recording that follow from where everybody stands now. It is to be called
// after every command and with Tick. Effects.Grants: something begins to be written that was not, and
// only its effects may be refused, by going back to the state before.
func (c *Consultation) Record(now time.Time) (e Effects) {
	r := &c.recording
	if c.over != "" || c.spec.Policy.never() {
		if c.recordingState() != wire.RecordingOff {
			c.stopRecording("", c.over, &e)
		}
		return e
	}
	if c.recordingState() == wire.RecordingOff && c.spec.Policy.Recording == wire.PolicyRequired && r.reason == "" && c.met() {
		*r = recording{state: wire.RecordingRequested}
		e.note(EventConsentRequested, "", "", c.spec.Notice)
	}
	obstacle := c.obstacle()
	switch {
	case r.state == wire.RecordingRequested && obstacle == wire.RecordingWithdrawn && r.by != "":
		c.stopRecording("", wire.RecordingDenied, &e)
	case r.state == wire.RecordingRequested && !r.expires.IsZero() && !now.Before(r.expires):
		reason := wire.RecordingUnanswered
		if !r.ready {
			reason = wire.RecordingUnavailable
		}
		c.stopRecording("", reason, &e)
	case r.state == wire.RecordingRequested && obstacle == "" && r.ready:
		*r = recording{state: wire.RecordingOn, by: r.by, ready: true}
		e.Grants = true
		e.note(EventRecordingStarted, r.by, "", "")
	case r.state == wire.RecordingOn && obstacle != "":
		r.state, r.reason = wire.RecordingPaused, obstacle
		e.note(EventRecordingPaused, "", "", obstacle)
	case r.state == wire.RecordingPaused && obstacle == "":
		r.state, r.reason = wire.RecordingOn, ""
		e.Grants = true
		e.note(EventRecordingResumed, "", "", "")
	case r.state == wire.RecordingPaused:
		r.reason = obstacle
	}
	return e
}

// met reports whether a clinician and a patient, or a guardian, are in the room.
func (c *Consultation) met() bool {
	return c.attended() && slices.ContainsFunc(c.people, func(p participant) bool {
		return p.inRoom() && (p.Role == wire.RolePatient || p.Proxy)
	})
}

// mayBeAdmitted refuses whom the policy lets in only when they have agreed.
func (c *Consultation) mayBeAdmitted(p *participant) error {
	if c.spec.Policy.Recording == wire.PolicyRequired && p.captured() && !c.agreed(p) {
		return &Error{Code: wire.CodeConsentRequired, Detail: "the consultation is recorded, and they have not agreed yet"}
	}
	return nil
}

func (p Policy) never() bool { return p.Recording == "" || p.Recording == wire.PolicyNever }

func recordingForbidden() error {
	return &Error{Code: wire.CodeRecordingForbidden, Detail: "this consultation is not recorded"}
}
