package consult

import (
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Seat is where somebody stands, as it is kept for a server that starts again.
type Seat struct {
	Participant string     `json:"participant"`
	Session     string     `json:"session"` // the last one, which a resume token names
	State       wire.State `json:"state"`
	Arrived     time.Time  `json:"arrived,omitzero"`
	// Consent is kept with the version of the notice that it is to. The recording itself is not: after a
	// restart a clinician asks for it again.
	Consent wire.Decision `json:"consent,omitempty"`
	Notice  string        `json:"notice,omitempty"`
	Decided time.Time     `json:"decided,omitzero"`
}

// Seats returns where everybody stands who is here or may come back, in the order of the invitations.
func (c *Consultation) Seats() []Seat {
	var seats []Seat
	for i := range c.people {
		p := &c.people[i]
		switch {
		case p.place != absent:
			seats = append(seats, c.seat(p, p.state()))
		case p.awaited():
			seats = append(seats, c.seat(p, wire.StateWaiting))
		}
	}
	return seats
}

func (c *Consultation) seat(p *participant, state wire.State) Seat {
	s := Seat{Participant: p.ID, Session: p.session, State: state, Arrived: p.arrived, Consent: p.consent}
	if p.consent != "" {
		s.Notice, s.Decided = c.spec.Notice, p.decided
	}
	return s
}

// Restore gives people back the places they had before the server stopped, until then: as if every
// connection had been lost at once. Who is unknown or whose invitation has been withdrawn gets none.
func (c *Consultation) Restore(now, until time.Time, seats []Seat) {
	if c.over != "" || !now.Before(until) {
		return
	}
	for _, seat := range seats {
		p := c.find(seat.Participant)
		if p == nil || p.Revoked {
			continue
		}
		p.session, p.arrived, p.lapses = seat.Session, seat.Arrived, until
		if seat.Notice == c.spec.Notice {
			p.consent, p.decided = seat.Consent, seat.Decided
		}
		switch seat.State {
		case wire.StateAdmitted:
			p.place, c.alone = admitted, now
		case wire.StateHeld:
			p.place = held
		}
	}
}
