package consult

import (
	"slices"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Connect is a participant opening a session. Session is its ID, new and never used again; Resume
// is the ID of the session it continues, or empty.
type Connect struct {
	Participant string
	Epoch       uint32 // of the invitation behind the token
	Session     string
	Resume      string
	Untold      bool // nothing can be told to it: no roster
	Watch       bool // it is there to receive
}

// Connect lets a participant in: clinicians into the room, others into the lobby, unless they
// continue a session that had a place. A session the participant already has is replaced.
// The error is an *Error; nothing has changed then.
func (c *Consultation) Connect(now time.Time, cmd Connect) (Effects, error) {
	p, err := c.mayConnect(now, cmd)
	if err != nil {
		return Effects{}, err
	}
	e := Effects{Grants: cmd.Resume == ""}
	if p.connected() {
		e.Ended = append(e.Ended, Ended{p.ID, p.session, wire.EndedReplaced})
		if cmd.Resume == "" {
			e.note(EventReplaced, p.ID, p.ID, "")
		}
	}
	// A session that continues the last one inherits its place. Anybody else with the link, even
	// if the first device is still connected, waits: the clinician looks at who it is.
	resumed := cmd.Resume != ""
	arrived := now
	if resumed && !p.arrived.IsZero() {
		arrived = p.arrived // a lost connection does not send anybody to the end of the queue
	}
	if !resumed {
		p.consent = "" // whoever has the link now has agreed to nothing
	}
	p.session, p.muted, p.online, p.lapses = cmd.Session, nil, true, time.Time{}
	switch {
	case resumed && (p.place == admitted || p.place == held):
		e.note(EventRejoined, p.ID, p.ID, "")
	case p.Rights().May(VerbSkipLobby), !c.spec.Policy.Lobby && c.mayBeAdmitted(p) == nil:
		c.enter(now, p, Event{EventJoined, p.ID, p.ID, ""}, &e)
	case p.Role == wire.RoleDevice && !p.Watch && c.patientAdmitted():
		c.enter(now, p, Event{EventJoined, p.ID, p.ID, ReasonWithPatient}, &e)
	default:
		p.place, p.arrived = waiting, arrived
		e.note(EventWaiting, p.ID, p.ID, "")
	}
	c.watch(now)
	return e, nil
}

func (c *Consultation) mayConnect(now time.Time, cmd Connect) (*participant, error) {
	p := c.find(cmd.Participant)
	switch {
	case c.over == wire.EndedWindowClosed:
		return nil, c.spec.CheckWindow(c.spec.To) // says when it closed
	case c.over != "":
		return nil, &Error{Code: wire.CodeConsultationEnded, Detail: "the consultation is over"}
	case p == nil:
		return nil, &Error{Code: wire.CodeTokenInvalid, Detail: "the token names nobody of this consultation"}
	case p.Revoked || p.Epoch != cmd.Epoch:
		return nil, &Error{Code: wire.CodeInvitationRevoked, Detail: "the invitation has been withdrawn"}
	case cmd.Untold && p.Role != wire.RoleDevice:
		// A person must be told who listens.
		return nil, &Error{Code: wire.CodeForbidden, Detail: "only devices publish or watch without a WebSocket"}
	case cmd.Watch && !p.Rights().May(VerbSubscribe):
		return nil, &Error{Code: wire.CodeForbidden, Detail: "the device is not invited to watch"}
	case cmd.Resume != "" && cmd.Resume != p.session:
		return nil, &Error{Code: wire.CodeTokenInvalid, Detail: "the session has been replaced or is too old"}
	}
	if err := c.spec.CheckWindow(now); err != nil {
		return nil, err
	}
	if p.place == absent && !c.hasRoomFor(p) {
		return nil, &Error{Code: wire.CodeConsultationFull, Detail: "as many participants as allowed are here"}
	}
	return p, nil
}

// hasRoomFor counts everybody who has a place. While no clinician is here one place is kept free:
// a lobby full of relatives must not lock out the doctor.
func (c *Consultation) hasRoomFor(newcomer *participant) bool {
	taken, invited, present := 0, false, false
	for _, p := range c.people {
		if p.place != absent {
			taken++
		}
		if p.Role == wire.RoleClinician && !p.Revoked {
			invited = true
			present = present || p.place != absent
		}
	}
	if invited && !present && newcomer.Role != wire.RoleClinician {
		taken++
	}
	return taken < c.spec.Policy.MaxParticipants
}

// enter puts a connected participant into the room, and with a patient the devices that wait.
func (c *Consultation) enter(now time.Time, p *participant, why Event, e *Effects) {
	p.place, p.arrived = admitted, time.Time{}
	if p.Watch {
		why.Reason = ReasonWatches
	}
	e.Events = append(e.Events, why)
	if p.Role == wire.RolePatient {
		c.withPatient(waiting, admitted, Event{Name: EventAdmitted, Actor: why.Actor}, e)
	}
	in := func(f func(*participant) bool) bool {
		return slices.ContainsFunc(c.people, func(p participant) bool { return p.inRoom() && f(&p) })
	}
	clinician := func(p *participant) bool { return p.Role == wire.RoleClinician }
	patient := func(p *participant) bool { return p.Role == wire.RolePatient || p.Proxy }
	if c.started.IsZero() && in(clinician) && in(patient) {
		c.started, e.Started = now, true
		e.note(EventStarted, "", "", "")
	}
}

// withPatient moves the devices from one place to another: they go where their patient goes. With
// several patients nobody knows whose device it is, and a clinician decides. A device that watches goes
// out with its patient, and comes in by a clinician's word only: somebody looks at who listens.
func (c *Consultation) withPatient(from, to place, why Event, e *Effects) {
	if c.spec.Policy.Group {
		return
	}
	for i := range c.people {
		d := &c.people[i]
		if d.Role != wire.RoleDevice || d.place != from || from == waiting && !d.online || d.Watch && to == admitted {
			continue
		}
		d.place, d.arrived = to, time.Time{}
		e.Moved = append(e.Moved, d.ID)
		e.note(why.Name, why.Actor, d.ID, ReasonWithPatient)
	}
}

func (c *Consultation) patientAdmitted() bool {
	return !c.spec.Policy.Group && slices.ContainsFunc(c.people, func(p participant) bool {
		return p.Role == wire.RolePatient && p.place == admitted
	})
}

// Disconnect is a session losing its connection. Somebody in the room or on hold keeps their place
// for Grace; somebody in the lobby only their turn. A session that is not the participant's current
// one is ignored.
func (c *Consultation) Disconnect(now time.Time, id, session string) Effects {
	p := c.find(id)
	if p == nil || !p.connected() || p.session != session {
		return Effects{}
	}
	if p.place == waiting {
		p.place = absent
	}
	p.online, p.lapses = false, now.Add(Grace)
	c.watch(now)
	var e Effects
	e.note(EventDisconnected, id, id, "")
	return e
}

// Admit lets a waiting participant into the room. The error is an *Error.
func (c *Consultation) Admit(now time.Time, by, id string) (Effects, error) {
	p, err := c.target(by, VerbAdmit, id, waiting)
	if err != nil {
		return Effects{}, err
	}
	if err := c.mayBeAdmitted(p); err != nil {
		return Effects{}, err
	}
	e := Effects{Moved: []string{id}, Grants: true}
	c.enter(now, p, Event{EventAdmitted, by, id, ""}, &e)
	return e, nil
}

// Refuse sends a waiting participant away; the link stays good. The error is an *Error.
func (c *Consultation) Refuse(now time.Time, by, id string) (Effects, error) {
	p, err := c.target(by, VerbRefuse, id, waiting)
	if err != nil {
		return Effects{}, err
	}
	var e Effects
	e.note(EventRefused, by, id, "")
	c.leave(now, p, wire.EndedRefused, &e)
	return e, nil
}

// Hold takes somebody in the room out of the conversation, and with a patient the devices. The error
// is an *Error.
func (c *Consultation) Hold(by, id string) (Effects, error) {
	p, err := c.target(by, VerbHold, id, admitted)
	if err != nil {
		return Effects{}, err
	}
	if p.Role == wire.RoleClinician {
		return Effects{}, &Error{Code: wire.CodeForbidden, Detail: "a clinician cannot be put on hold"}
	}
	p.place = held
	e := Effects{Moved: []string{id}}
	e.note(EventHeld, by, id, "")
	if p.Role == wire.RolePatient {
		c.withPatient(admitted, held, Event{Name: EventHeld, Actor: by}, &e)
	}
	return e, nil
}

// Unhold takes somebody back who is on hold, and with a patient the devices. The error is an *Error.
func (c *Consultation) Unhold(by, id string) (Effects, error) {
	p, err := c.target(by, VerbHold, id, held)
	if err != nil {
		return Effects{}, err
	}
	p.place = admitted
	e := Effects{Moved: []string{id}, Grants: true}
	reason := ""
	if p.Watch {
		reason = ReasonWatches
	}
	e.note(EventResumed, by, id, reason)
	if p.Role == wire.RolePatient {
		c.withPatient(held, admitted, Event{Name: EventResumed, Actor: by}, &e)
	}
	return e, nil
}

// Remove takes a participant out, wherever they are, and revokes the link. The error is an *Error.
func (c *Consultation) Remove(now time.Time, by, id string) (Effects, error) {
	p, err := c.target(by, VerbRemove, id, waiting, admitted, held)
	if err != nil {
		return Effects{}, err
	}
	var e Effects
	e.note(EventRemoved, by, id, "")
	c.revoke(now, p, wire.EndedRemoved, &e)
	return e, nil
}

// Revoke is the scheduler withdrawing an invitation. An unknown participant is ignored.
func (c *Consultation) Revoke(now time.Time, id string) Effects {
	var e Effects
	if p := c.find(id); p != nil && !p.Revoked {
		c.revoke(now, p, wire.EndedRevoked, &e)
	}
	return e
}

func (c *Consultation) revoke(now time.Time, p *participant, reason string, e *Effects) {
	e.Revoked = append(e.Revoked, p.ID)
	p.Revoked = true
	p.Epoch++
	c.leave(now, p, reason, e)
}

// Leave is a participant going for good. They may come back with their link, through the lobby. With
// to it is a clinician who leaves the consultation to another; the error, an *Error, is for that.
func (c *Consultation) Leave(now time.Time, id, session, to string) (Effects, error) {
	p := c.find(id)
	if p == nil || p.session != session || !p.connected() {
		return Effects{}, nil
	}
	var e Effects
	if to != "" {
		heir, err := c.target(id, VerbHandOver, to, admitted)
		if err != nil {
			return Effects{}, err
		}
		if heir.Role != wire.RoleClinician || !heir.online {
			return Effects{}, noSuchParticipant()
		}
		e.note(EventHandedOver, id, to, "")
	}
	e.note(EventLeft, id, id, "")
	c.leave(now, p, wire.EndedLeft, &e)
	return e, nil
}

// End is a participant ending the consultation for everybody. The error is an *Error.
func (c *Consultation) End(now time.Time, by string) (Effects, error) {
	if _, err := c.actor(by, VerbEnd); err != nil {
		return Effects{}, err
	}
	return c.close(now, by, wire.EndedByClinician), nil
}

// Close ends the consultation for everybody, for a reason of package wire.
func (c *Consultation) Close(now time.Time, reason string) Effects { return c.close(now, "", reason) }

func (c *Consultation) close(now time.Time, by, reason string) Effects {
	if c.over != "" {
		return Effects{}
	}
	e := Effects{Over: reason}
	c.over = reason
	for i := range c.people {
		c.leave(now, &c.people[i], reason, &e)
	}
	e.note(EventEnded, by, "", reason)
	return e
}

// leave makes a participant absent, and their last session worthless.
func (c *Consultation) leave(now time.Time, p *participant, reason string, e *Effects) {
	if p.connected() {
		e.Ended = append(e.Ended, Ended{p.ID, p.session, reason})
	}
	*p = participant{Person: p.Person}
	c.watch(now)
}
