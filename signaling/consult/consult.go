// Package consult holds the clinical rules of a live consultation: who may join when, who waits,
// who admits whom, who sees whom, and when it is over. It is pure: commands and the time go in, the
// state changes, and what is to be done about it comes out.
package consult

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Grace is how long a participant whose connection broke keeps their place in the room: long enough
// for a phone to change networks or a page to be loaded again, short enough that nobody is thought
// to be present who has gone.
const Grace = 60 * time.Second

// HoldAfter is how long people stay together in the room after the last clinician has gone. Then they
// are put on hold: a patient and a carer are not left alone with each other by a broken connection.
const HoldAfter = 5 * time.Minute

// What New and Validate find wrong.
var (
	ErrProxy       = errors.New("only a carer can decide for the patient")
	ErrWatch       = errors.New("only a device can be invited to watch")
	ErrTwoPatients = errors.New("two patients in one consultation need the policy group")
	ErrNobody      = errors.New("a consultation needs at least one participant")
	ErrRole        = errors.New("unknown role")
	ErrRecording   = errors.New("unknown policy of recording")
	ErrCapacity    = fmt.Errorf("max_participants must be between 2 and %d", MaxParticipants)
)

// MaxParticipants bounds Policy.MaxParticipants, whatever a server allows: everybody is told of
// everybody, so what is sent grows with the square.
const MaxParticipants = 200

// Policy is what the scheduler decided for one consultation.
type Policy struct {
	Lobby           bool   // everybody but clinicians waits to be admitted
	Group           bool   // more than one patient may be invited
	MaxParticipants int    // of those connected, waiting or in Grace
	Recording       string // of package wire; "" is never
}

// Person is one invited participant.
type Person struct {
	ID      string
	Role    wire.Role
	Display string
	Proxy   bool   // a guardian: a carer who decides for the patient
	For     string // the patient for whom a guardian decides, if they are invited
	Watch   bool   // a device that receives, such as a wall display
	Epoch   uint32 // of the invitation: raised when it is revoked
	Revoked bool
}

// Rights returns what the person may do.
func (p Person) Rights() Rights {
	r := RightsFor(p.Role, p.Proxy)
	if p.Watch && p.Role == wire.RoleDevice {
		r.Can = append(r.Can, VerbSubscribe)
	}
	return r
}

// Spec is what is known of a consultation before anybody joins.
type Spec struct {
	Start, End time.Time // as scheduled
	From, To   time.Time // when it can be joined: From <= t < To
	Started    time.Time // when clinician and patient first met; zero if they have not
	Policy     Policy
	Notice     string // the version of the notice that people consent to
	People     []Person
}

// Validate tells whether the rules allow such a consultation at all.
func (s Spec) Validate() error {
	if len(s.People) == 0 {
		return ErrNobody
	}
	if s.Policy.MaxParticipants < 2 || s.Policy.MaxParticipants > MaxParticipants {
		return ErrCapacity
	}
	if !slices.Contains([]string{"", wire.PolicyNever, wire.PolicyAsk, wire.PolicyRequired}, s.Policy.Recording) {
		return ErrRecording
	}
	patients := 0
	for _, p := range s.People {
		if !slices.Contains(Roles(), p.Role) {
			return ErrRole
		}
		if p.Proxy && p.Role != wire.RoleCarer {
			return ErrProxy
		}
		if p.Watch && p.Role != wire.RoleDevice {
			return ErrWatch
		}
		if p.Role == wire.RolePatient {
			patients++
		}
	}
	// A second patient in the room would hear what the first one says: the classic mix-up of a
	// wrong link is refused before anybody can click it.
	if patients > 1 && !s.Policy.Group {
		return ErrTwoPatients
	}
	return nil
}

// Error is a refusal, with a code of package wire. Detail names nobody.
type Error struct {
	Code     string
	Detail   string
	OpensAt  time.Time // CodeNotYetOpen
	ClosedAt time.Time // CodeWindowClosed
}

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// Effects are what a command brings about beside the new state. Callers write down Events before
// anything else, and then close the sessions of Ended.
type Effects struct {
	Ended   []Ended  // sessions that are over
	Moved   []string // participants whose state changed without a new session: tell them
	Revoked []string // participants whose invitation is worthless from now on: keep that
	Started bool     // clinician and patient have just met for the first time: keep that
	Over    string   // why the consultation has just ended; empty if it has not
	Grants  bool     // somebody may do or see more than before: not without a record of it
	Events  []Event  // what is to be known afterwards, in order
}

// Ended is a session that is over.
type Ended struct {
	Participant string
	Session     string
	Reason      string // of package wire
}

// place is where a participant stands.
type place uint8

const (
	absent   place = iota
	waiting        // in the lobby
	admitted       // in the room
	held           // on hold
)

// participant is a person and where they stand. session outlives the connection: a resume token is
// good for the last session only.
type participant struct {
	Person
	place   place
	online  bool // connected; who waits and is not has no place, only a memory of when they came
	session string
	arrived time.Time // in the lobby
	lapses  time.Time // not online: when the place, or the memory, is given up
	muted   []wire.Source
	consent wire.Decision // to being recorded, of the present notice
	decided time.Time     // when consent was given or refused
}

// Consultation is the state of one live consultation. It has one writer.
type Consultation struct {
	spec    Spec
	people  []participant // in the order of the invitations, so that nothing depends on map order
	started time.Time
	alone   time.Time // since when no clinician is in the room, after there was one; zero otherwise
	over    string    // why it ended

	recording recording
}

// New returns a consultation that nobody has joined yet, or an error of Spec.Validate.
func New(s Spec) (*Consultation, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c := &Consultation{spec: s, started: s.Started}
	for _, p := range s.People {
		c.people = append(c.people, participant{Person: p})
	}
	return c, nil
}

// Clone returns a copy that shares nothing that either changes.
func (c *Consultation) Clone() *Consultation {
	clone := *c
	clone.people = slices.Clone(c.people) // muted is replaced, never written into
	return &clone
}

// Change takes over what the scheduler has changed: times, policy, people who are new. Whoever is
// here stays where they are. It returns an error of Spec.Validate, having changed nothing then.
func (c *Consultation) Change(s Spec) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if s.Notice != c.spec.Notice {
		for i := range c.people {
			c.people[i].consent = "" // it was to another notice
		}
	}
	c.spec = s
	for _, p := range s.People {
		if c.find(p.ID) == nil {
			c.people = append(c.people, participant{Person: p})
		}
	}
	return nil
}

// CheckWindow refuses joining before and after the window, saying when it opens or closed.
func (s Spec) CheckWindow(now time.Time) error {
	if now.Before(s.From) {
		return &Error{Code: wire.CodeNotYetOpen, Detail: "the consultation is not open yet", OpensAt: s.From}
	}
	if !now.Before(s.To) {
		return &Error{Code: wire.CodeWindowClosed, Detail: "the consultation is closed", ClosedAt: s.To}
	}
	return nil
}

// Over returns why the consultation has ended; empty while it has not.
func (c *Consultation) Over() string { return c.over }

// Empty reports whether nobody has a place or may come back to one.
func (c *Consultation) Empty() bool {
	return !slices.ContainsFunc(c.people, func(p participant) bool { return p.place != absent || p.awaited() })
}

// find returns the participant, or nil.
func (c *Consultation) find(id string) *participant {
	for i := range c.people {
		if c.people[i].ID == id {
			return &c.people[i]
		}
	}
	return nil
}

// inRoom reports whether the participant may send and receive media.
func (p *participant) inRoom() bool { return p.place == admitted && p.online }

// awaited reports whether something lapses unless the participant comes back.
func (p *participant) awaited() bool { return !p.online && !p.lapses.IsZero() }
