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
}

// Connect lets a participant in: clinicians into the room, others into the lobby, unless they
// continue a session that was in the room. A session the participant already has is replaced.
// The error is an *Error; nothing has changed then.
func (c *Consultation) Connect(now time.Time, cmd Connect) (Effects, error) {
	p, err := c.mayConnect(now, cmd)
	if err != nil {
		return Effects{}, err
	}
	var e Effects
	// A session that continues the last one inherits its place. Anybody else with the link, even
	// if the first device is still connected, waits: the clinician looks at who it is.
	inherits := cmd.Resume != "" && (p.presence == admitted || p.presence == restoring)
	since := now
	if cmd.Resume != "" && p.presence == waiting {
		since = p.since // a lost connection does not send anybody to the end of the queue
	}
	if p.connected() {
		e.Ended = append(e.Ended, Ended{p.ID, p.session, wire.EndedReplaced})
	}
	p.session, p.muted = cmd.Session, nil
	if inherits || RightsOf(p.Role).May(VerbSkipLobby) || !c.spec.Policy.Lobby {
		c.enter(now, p, &e)
	} else {
		p.presence, p.since = waiting, since
	}
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
	case cmd.Resume != "" && cmd.Resume != p.session:
		return nil, &Error{Code: wire.CodeTokenInvalid, Detail: "the session has been replaced or is too old"}
	}
	if err := c.spec.CheckWindow(now); err != nil {
		return nil, err
	}
	if p.presence == absent && !c.hasRoomFor(p) {
		return nil, &Error{Code: wire.CodeConsultationFull, Detail: "as many participants as allowed are here"}
	}
	return p, nil
}

// hasRoomFor counts everybody who has a place. While no clinician is here one place is kept free:
// a lobby full of relatives must not lock out the doctor.
func (c *Consultation) hasRoomFor(newcomer *participant) bool {
	taken, invited, present := 0, false, false
	for _, p := range c.people {
		if p.presence != absent {
			taken++
		}
		if p.Role == wire.RoleClinician && !p.Revoked {
			invited = true
			present = present || p.presence != absent
		}
	}
	if invited && !present && newcomer.Role != wire.RoleClinician {
		taken++
	}
	return taken < c.spec.Policy.MaxParticipants
}

// enter puts a connected participant into the room.
func (c *Consultation) enter(now time.Time, p *participant, e *Effects) {
	p.presence, p.since = admitted, time.Time{}
	in := func(role wire.Role) bool {
		return slices.ContainsFunc(c.people, func(p participant) bool { return p.Role == role && p.presence == admitted })
	}
	if c.started.IsZero() && in(wire.RoleClinician) && in(wire.RolePatient) {
		c.started, e.Started = now, true
	}
}

// Disconnect is a session losing its connection. Somebody in the room keeps their place for Grace;
// somebody in the lobby does not. A session that is not the participant's current one is ignored.
func (c *Consultation) Disconnect(now time.Time, id, session string) {
	p := c.find(id)
	if p == nil || !p.connected() || p.session != session {
		return
	}
	if p.presence == waiting {
		p.presence, p.since = absent, time.Time{}
		return
	}
	p.presence, p.since = restoring, now.Add(Grace)
}

// Admit lets a waiting participant into the room. The error is an *Error.
func (c *Consultation) Admit(now time.Time, by, id string) (Effects, error) {
	p, err := c.target(by, VerbAdmit, id, waiting)
	if err != nil {
		return Effects{}, err
	}
	e := Effects{Moved: []string{id}}
	c.enter(now, p, &e)
	return e, nil
}

// Refuse sends a waiting participant away; the link stays good. The error is an *Error.
func (c *Consultation) Refuse(by, id string) (Effects, error) {
	p, err := c.target(by, VerbRefuse, id, waiting)
	if err != nil {
		return Effects{}, err
	}
	var e Effects
	c.leave(p, wire.EndedRefused, &e)
	return e, nil
}

// Remove takes a participant out, wherever they are, and revokes the link. The error is an *Error.
func (c *Consultation) Remove(by, id string) (Effects, error) {
	p, err := c.target(by, VerbRemove, id, waiting, admitted, restoring)
	if err != nil {
		return Effects{}, err
	}
	return c.revoke(p, wire.EndedRemoved), nil
}

// Revoke is the scheduler withdrawing an invitation. An unknown participant is ignored.
func (c *Consultation) Revoke(id string) Effects {
	p := c.find(id)
	if p == nil || p.Revoked {
		return Effects{}
	}
	return c.revoke(p, wire.EndedRevoked)
}

func (c *Consultation) revoke(p *participant, reason string) Effects {
	e := Effects{Revoked: []string{p.ID}}
	p.Revoked = true
	p.Epoch++
	c.leave(p, reason, &e)
	return e
}

// Leave is a participant going for good. They may come back with their link, through the lobby.
func (c *Consultation) Leave(id, session string) Effects {
	var e Effects
	if p := c.find(id); p != nil && p.session == session && p.connected() {
		c.leave(p, wire.EndedLeft, &e)
	}
	return e
}

// End is a participant ending the consultation for everybody. The error is an *Error.
func (c *Consultation) End(by string) (Effects, error) {
	if _, err := c.actor(by, VerbEnd); err != nil {
		return Effects{}, err
	}
	return c.Close(wire.EndedByClinician), nil
}

// Close ends the consultation for everybody, for a reason of package wire.
func (c *Consultation) Close(reason string) Effects {
	if c.over != "" {
		return Effects{}
	}
	e := Effects{Over: reason}
	c.over = reason
	for i := range c.people {
		c.leave(&c.people[i], reason, &e)
	}
	return e
}

// Mute records which of a participant's sources are muted, for the roster.
func (c *Consultation) Mute(id string, source wire.Source, muted bool) {
	p := c.find(id)
	if p == nil || !p.connected() {
		return
	}
	had := slices.Contains(p.muted, source)
	switch {
	case muted && !had:
		p.muted = append(slices.Clone(p.muted), source)
		slices.Sort(p.muted)
	case !muted && had:
		p.muted = slices.DeleteFunc(slices.Clone(p.muted), func(s wire.Source) bool { return s == source })
	}
}

// MaySay refuses a message that the sender may not send or nobody may get. The error is an *Error.
func (c *Consultation) MaySay(from, to, kind string) error {
	verb := VerbMessage
	if kind == KindVitals {
		verb = VerbVitals
	}
	if _, err := c.actor(from, verb); err != nil {
		return err
	}
	if to == "" {
		return nil
	}
	if p := c.find(to); p == nil || p.presence != admitted || to == from {
		return &Error{Code: wire.CodeNoSuchParticipant, Detail: "nobody with that id is in the room"}
	}
	return nil
}

// Tick does what is due: places lapse after Grace, the consultation closes with its window.
func (c *Consultation) Tick(now time.Time) Effects {
	if !now.Before(c.spec.To) {
		return c.Close(wire.EndedWindowClosed)
	}
	for i := range c.people {
		if p := &c.people[i]; p.presence == restoring && !now.Before(p.since) {
			p.presence, p.since, p.session, p.muted = absent, time.Time{}, "", nil
		}
	}
	return Effects{}
}

// Next returns when Tick has something to do next; the zero time once the consultation is over.
func (c *Consultation) Next() time.Time {
	if c.over != "" {
		return time.Time{}
	}
	next := c.spec.To
	for _, p := range c.people {
		if p.presence == restoring && p.since.Before(next) {
			next = p.since
		}
	}
	return next
}

// leave makes a participant absent, and their last session worthless.
func (c *Consultation) leave(p *participant, reason string, e *Effects) {
	if p.connected() {
		e.Ended = append(e.Ended, Ended{p.ID, p.session, reason})
	}
	p.presence, p.since, p.session, p.muted = absent, time.Time{}, "", nil
}

// actor returns the participant if they are in the room and may do v.
func (c *Consultation) actor(id string, v Verb) (*participant, error) {
	p := c.find(id)
	if p == nil || p.presence != admitted {
		return nil, &Error{Code: wire.CodeNotAdmitted, Detail: "only in the room"}
	}
	if !RightsOf(p.Role).May(v) {
		return nil, &Error{Code: wire.CodeForbidden, Detail: "the role may not do this"}
	}
	return p, nil
}

// target returns the participant whom somebody wants to do v to, if they stand where it makes sense.
func (c *Consultation) target(by string, v Verb, id string, where ...presence) (*participant, error) {
	if _, err := c.actor(by, v); err != nil {
		return nil, err
	}
	p := c.find(id)
	if p == nil || id == by || !slices.Contains(where, p.presence) {
		return nil, &Error{Code: wire.CodeNoSuchParticipant, Detail: "nobody with that id is where this can be done"}
	}
	return p, nil
}
