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
		if p.inRoom() {
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
	return p.state()
}

func (p *participant) state() wire.State {
	switch p.place {
	case waiting:
		return wire.StateWaiting
	case admitted:
		return wire.StateAdmitted
	case held:
		return wire.StateHeld
	}
	return ""
}

// Roster returns what one participant may know of the others. Somebody in the lobby or on hold sees
// themselves only, and in Facts whether a clinician is there; people in the room see everybody in
// the room and on hold; whoever may admit also sees who waits, last and in the order of arrival. It
// is empty for somebody who is not connected.
func (c *Consultation) Roster(viewer string) wire.Roster {
	r := wire.Roster{Participants: []wire.Participant{}, Facts: c.Facts()}
	v := c.find(viewer)
	if v == nil || v.place == absent || !v.online {
		return r
	}
	var queue []*participant
	for i := range c.people {
		switch p := &c.people[i]; {
		case !v.sees(p):
		case p.place == waiting:
			queue = append(queue, p)
		default:
			r.Participants = append(r.Participants, p.line())
		}
	}
	slices.SortStableFunc(queue, func(a, b *participant) int { return a.arrived.Compare(b.arrived) })
	for _, p := range queue {
		r.Participants = append(r.Participants, p.line())
	}
	return r
}

func (p *participant) sees(other *participant) bool {
	switch {
	case other.place == absent:
		return false
	case p.ID == other.ID:
		return true
	case p.place != admitted:
		return false
	case other.place == waiting:
		return p.Rights().May(VerbAdmit)
	}
	return true
}

func (p *participant) line() wire.Participant {
	line := wire.Participant{
		ID: p.ID, Role: p.Role, Display: p.Display, Proxy: p.Proxy, Watch: p.Watch, State: p.state(),
		Connected: p.online, Muted: slices.Clone(p.muted),
	}
	if p.place == waiting {
		line.Waiting = p.arrived.UnixMilli()
	}
	return line
}

// Facts are what anybody with an invitation may know.
func (c *Consultation) Facts() wire.Facts {
	return wire.Facts{
		ClinicianPresent: c.attended(),
		Start:            stamp(c.spec.Start), End: stamp(c.spec.End),
		Closes: stamp(c.spec.To), Started: stamp(c.started),
	}
}

// attended reports whether a clinician is in the room.
func (c *Consultation) attended() bool {
	return slices.ContainsFunc(c.people, func(p participant) bool { return p.Role == wire.RoleClinician && p.inRoom() })
}

// stamp writes a time as the protocol does; the zero time is left out.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
