package consult

import (
	"slices"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

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

// MaySay refuses a message that the sender may not send or nobody may get: without an addressee it
// is for everybody in the room; whoever may admit may also write to somebody who waits or is on
// hold. The error is an *Error.
func (c *Consultation) MaySay(from, to, kind string) error {
	verb := VerbMessage
	if kind == KindVitals {
		verb = VerbVitals
	}
	sender, err := c.actor(from, verb)
	if err != nil || to == "" {
		return err
	}
	p := c.find(to)
	if p == nil || to == from || !p.connected() || !p.inRoom() && !sender.Rights().May(VerbAdmit) {
		return noSuchParticipant()
	}
	return nil
}

// Tick does what is due: places lapse after Grace, people without a clinician are put on hold after
// HoldAfter, the consultation closes with its window.
func (c *Consultation) Tick(now time.Time) Effects {
	if !now.Before(c.spec.To) {
		return c.Close(now, wire.EndedWindowClosed)
	}
	var e Effects
	for i := range c.people {
		p := &c.people[i]
		if !p.awaited() || now.Before(p.lapses) {
			continue
		}
		if p.place != absent {
			e.note(EventLeft, "", p.ID, ReasonConnectionLost)
		}
		*p = participant{Person: p.Person}
	}
	if at := c.holds(); !at.IsZero() && !now.Before(at) {
		for i := range c.people {
			if p := &c.people[i]; p.place == admitted && p.Role != wire.RoleClinician {
				p.place = held
				e.Moved = append(e.Moved, p.ID)
				e.note(EventHeld, "", p.ID, ReasonClinicianAbsent)
			}
		}
	}
	return e
}

// Next returns when Tick has something to do next; the zero time once the consultation is over.
func (c *Consultation) Next() time.Time {
	if c.over != "" {
		return time.Time{}
	}
	next := c.spec.To
	for _, p := range c.people {
		if p.awaited() && p.lapses.Before(next) {
			next = p.lapses
		}
	}
	if at := c.recording.expires; !at.IsZero() && at.Before(next) {
		next = at
	}
	if at := c.holds(); !at.IsZero() && at.Before(next) {
		next = at
	}
	return next
}

// holds returns when people are put on hold for want of a clinician; zero if nobody is to be. Where
// there is no lobby people meet without a clinician anyway.
func (c *Consultation) holds() time.Time {
	if c.alone.IsZero() || !c.spec.Policy.Lobby {
		return time.Time{}
	}
	if !slices.ContainsFunc(c.people, func(p participant) bool { return p.place == admitted && p.Role != wire.RoleClinician }) {
		return time.Time{}
	}
	return c.alone.Add(HoldAfter)
}

// watch notices the last clinician going and the first one coming back.
func (c *Consultation) watch(now time.Time) {
	inRoom := func(p participant) bool { return p.place == admitted }
	switch {
	case c.attended(), !slices.ContainsFunc(c.people, inRoom):
		c.alone = time.Time{}
	case c.alone.IsZero():
		c.alone = now
	}
}

// connected reports whether the participant has a session.
func (p *participant) connected() bool { return p.place != absent && p.online }

// note adds an event.
func (e *Effects) note(name, actor, subject, reason string) {
	e.Events = append(e.Events, Event{name, actor, subject, reason})
}

// actor returns the participant if they are in the room and may do v.
func (c *Consultation) actor(id string, v Verb) (*participant, error) {
	p := c.find(id)
	if p == nil || !p.inRoom() {
		return nil, &Error{Code: wire.CodeNotAdmitted, Detail: "only in the room"}
	}
	if !p.Rights().May(v) {
		return nil, &Error{Code: wire.CodeForbidden, Detail: "the role may not do this"}
	}
	return p, nil
}

// target returns the participant whom somebody wants to do v to, if they stand where it makes sense.
func (c *Consultation) target(by string, v Verb, id string, where ...place) (*participant, error) {
	if _, err := c.actor(by, v); err != nil {
		return nil, err
	}
	p := c.find(id)
	if p == nil || id == by || !slices.Contains(where, p.place) {
		return nil, noSuchParticipant()
	}
	return p, nil
}

func noSuchParticipant() error {
	return &Error{Code: wire.CodeNoSuchParticipant, Detail: "nobody with that id is where this can be done"}
}
