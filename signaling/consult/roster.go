package consult

import (
	"slices"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Admitted returns who may send and receive media: connected and in the room, in the order of the
// invitations.
func (c *Consultation) Admitted() []string {
	var ids []string
	for _, p := range c.people {
		if p.presence == admitted {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// State returns where a participant stands; "" when they are not here.
func (c *Consultation) State(id string) wire.State {
	p := c.find(id)
	if p == nil {
		return ""
	}
	switch p.presence {
	case waiting:
		return wire.StateWaiting
	case admitted, restoring:
		return wire.StateAdmitted
	}
	return ""
}

// Roster returns what one participant may know of the others. Somebody in the lobby sees
// themselves only, and in Facts whether a clinician is there; people in the room see everybody in
// the room; whoever may admit also sees who waits. It is empty for somebody who is not connected.
func (c *Consultation) Roster(viewer string) wire.Roster {
	r := wire.Roster{Participants: []wire.Participant{}, Facts: c.Facts()}
	v := c.find(viewer)
	if v == nil || !v.connected() {
		return r
	}
	for i := range c.people {
		if p := &c.people[i]; v.sees(p) {
			r.Participants = append(r.Participants, p.line())
		}
	}
	return r
}

func (p *participant) sees(other *participant) bool {
	switch {
	case other.presence == absent:
		return false
	case p.ID == other.ID:
		return true
	case p.presence != admitted:
		return false
	case other.presence == waiting:
		return RightsOf(p.Role).May(VerbAdmit)
	}
	return true
}

func (p *participant) line() wire.Participant {
	line := wire.Participant{
		ID: p.ID, Role: p.Role, Display: p.Display, State: wire.StateAdmitted,
		Connected: p.presence != restoring, Muted: slices.Clone(p.muted),
	}
	if p.presence == waiting {
		line.State, line.Waiting = wire.StateWaiting, p.since.UnixMilli()
	}
	return line
}

// Facts are what anybody with an invitation may know.
func (c *Consultation) Facts() wire.Facts {
	present := slices.ContainsFunc(c.people, func(p participant) bool {
		return p.Role == wire.RoleClinician && p.presence == admitted
	})
	return wire.Facts{
		ClinicianPresent: present,
		Start:            stamp(c.spec.Start), End: stamp(c.spec.End),
		Closes: stamp(c.spec.To), Started: stamp(c.started),
	}
}

// stamp writes a time as the protocol does; the zero time is left out.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
