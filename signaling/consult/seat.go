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
}

// Seats returns where everybody stands who is here or may come back, in the order of the invitations.
func (c *Consultation) Seats() []Seat {
	var seats []Seat
	for i := range c.people {
		p := &c.people[i]
		switch {
		case p.place != absent:
			seats = append(seats, Seat{p.ID, p.session, p.state(), p.arrived})
		case p.awaited():
			seats = append(seats, Seat{p.ID, p.session, wire.StateWaiting, p.arrived})
		}
	}
	return seats
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
		switch seat.State {
		case wire.StateAdmitted:
			p.place, c.alone = admitted, now
		case wire.StateHeld:
			p.place = held
		}
	}
}
