package signaling

import (
	"slices"
	"time"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// The commands of sessions and of the API, on the room's goroutine. Each returns what is to be kept.

// current reports whether a command comes from a session that is still in the room.
func (r *room) current(s *session) error {
	if r.broken != nil {
		return r.broken
	}
	if !slices.Contains(r.sessions, s) {
		return &consult.Error{Code: wire.CodeNotAdmitted, Detail: "the session is over"}
	}
	return nil
}

// command is something that changes who may do what.
type command func(now time.Time, c *consult.Consultation) (consult.Effects, error)

// decide runs a command of a session through the rules, writes down what it is about to bring about,
// and does that.
func (r *room) decide(s *session, run command) (consult.Effects, error) {
	if err := r.current(s); err != nil {
		return consult.Effects{}, err
	}
	before, now := r.consult.Clone(), r.now()
	e, err := run(now, r.consult)
	if err == nil && !e.Grants {
		r.narrow() // what is only taken away cannot be refused, and waits for nothing
	}
	if err == nil {
		err = r.witness(s, e)
	}
	if err != nil {
		r.consult = before
		return consult.Effects{}, err
	}
	r.carry(e)
	r.note(now, e)
	r.tellHeir(e)
	r.settle(e.Moved...)
	return e, nil
}

// tellHeir tells a clinician that the consultation is theirs now, before the roster without the other.
func (r *room) tellHeir(e consult.Effects) {
	i := slices.IndexFunc(e.Events, func(v consult.Event) bool { return v.Name == consult.EventHandedOver })
	if i < 0 {
		return
	}
	v := e.Events[i]
	for _, s := range slices.Clone(r.sessions) {
		if s.participant == v.Subject && !s.enqueue(&wire.Said{From: v.Actor, To: v.Subject, Kind: wire.KindHandedOver}, 0) {
			r.lose(s, wire.EndedSlow) // settle tells the others
		}
	}
}

// mute shows in everybody's roster what a participant has muted.
func (r *room) mute(s *session, source wire.Source, muted bool) {
	_, _ = r.decide(s, func(_ time.Time, c *consult.Consultation) (consult.Effects, error) {
		c.Mute(s.participant, source, muted)
		return consult.Effects{}, nil
	})
}

// say relays a message to one participant, or to all others in the room.
func (r *room) say(s *session, m *wire.Say) error {
	if err := r.current(s); err != nil {
		return err
	}
	if err := r.consult.MaySay(s.participant, m.To, m.Kind); err != nil {
		return err
	}
	said := &wire.Said{From: s.participant, To: m.To, Kind: m.Kind, Body: m.Body}
	admitted := r.consult.Admitted()
	var slow []*session
	for _, other := range r.sessions {
		addressed := other.participant == m.To
		if m.To == "" {
			addressed = other != s && slices.Contains(admitted, other.participant)
		}
		if addressed && !other.enqueue(said, 0) {
			slow = append(slow, other)
		}
	}
	for _, other := range slow {
		r.lose(other, wire.EndedSlow)
	}
	r.settle()
	return nil
}

// cancel ends the consultation for the API.
func (r *room) cancel(reason string) {
	if r.consult != nil && r.broken == nil {
		r.carry(r.consult.Close(r.now(), reason))
		r.settle()
	}
}

// revoke withdraws an invitation for the API.
func (r *room) revoke(participant string) {
	if r.consult != nil && r.broken == nil {
		r.carry(r.consult.Revoke(r.now(), participant))
		r.settle()
	}
}
