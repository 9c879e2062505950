package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/signaling/wire"
)

const maxViolations = 20 // of one run; more say nothing new

// witness watches everything that clients see and holds it against the invariants:
//
//  1. Forwarding destinations are a subset of the roster last sent to every participant.
//  2. Nothing is forwarded to or from anybody who is not admitted.
//  3. Nobody is put into a slot before the roster that names them.
//  4. A display name travels in joined and roster alone, and never in SDP.
//  5. What is recorded: see judgeRecording.
//
// A packet is judged at the instant at which the server forwarded it: its arrival less the constant
// delay of the link.
type witness struct {
	world *World

	mu         sync.Mutex
	knowledge  map[string]*knowledge // by participant id
	violations []string
	packets    uint64            // judged
	consents   map[string][]said // by ref
}

// knowledge is what one participant has been told, and since when.
type knowledge struct {
	person     *person
	live       bool // between joined and ended, or the loss of the connection
	since      time.Time
	rosters    []seenRoster
	states     []seenState
	gone       []time.Time
	recordings []heardRecording
}

type seenRoster struct {
	at       time.Time
	admitted map[string]bool
}

type seenState struct {
	at    time.Time
	state wire.State
}

func (x *witness) init(w *World) {
	x.world = w
	x.knowledge, x.consents = make(map[string]*knowledge), make(map[string][]said)
}

// observer returns the eyes of one person.
func (x *witness) observer(p *person) bench.Observer {
	return bench.Observer{
		Message: func(now time.Time, m wire.ServerMessage) { x.message(p, now, m) },
		Packet: func(now time.Time, a bench.Arrival) {
			x.packet(p, now, a)
			if p.Packet != nil {
				p.Packet(now, a)
			}
		},
		Connected: func(_ time.Time, up bool) { x.world.record(p.Ref, fmt.Sprintf("media connected: %v", up)) },
		Raw:       func(received bool, data []byte) { x.raw(p, received, data) },
	}
}

// message notes what a person learns.
func (x *witness) message(p *person, now time.Time, m wire.ServerMessage) {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.knowledge[p.id]
	if k == nil {
		k = &knowledge{person: p}
		x.knowledge[p.id] = k
	}
	what := ""
	switch m := m.(type) {
	case *wire.Joined:
		k.live, k.since = true, now
		k.states = append(k.states, seenState{now, m.State})
		k.rosters = append(k.rosters, seenRoster{now, admittedIn(m.Roster)})
		what = "joined " + string(m.State)
	case *wire.StateChanged:
		k.states = append(k.states, seenState{now, m.State})
		what = "state " + string(m.State)
	case *wire.Roster:
		k.rosters = append(k.rosters, seenRoster{now, admittedIn(m.Participants)})
		what = "roster " + x.describe(m.Participants)
	case *wire.Slots:
		what = "slots"
		for _, a := range m.Assignments {
			what += fmt.Sprintf(" %s=%s/%s/%s", a.Mid, x.world.ref(a.Participant), a.Source, a.State)
			x.seated(k, now, a.Participant)
		}
	case *wire.Recording:
		k.recordings = append(k.recordings, heardRecording{now, m.State == wire.RecordingOn})
		what = "recording " + string(m.State) + " " + m.Reason
	case *wire.Ended:
		k.live = false
		k.gone = append(k.gone, now)
		what = "ended " + m.Reason
	}
	if what != "" {
		x.world.record(p.Ref, what)
	}
}

// seated checks that who is put into a slot of k is in the roster that k had before. Within one
// instant only the order of messages tells whether the roster came first.
func (x *witness) seated(k *knowledge, now time.Time, participant string) {
	if participant != "" && (len(k.rosters) == 0 || !k.rosters[len(k.rosters)-1].admitted[participant]) {
		x.violate("at %v %s was put into a slot of %s, whose roster did not name them",
			now.Sub(x.world.start), x.world.ref(participant), k.person.Ref)
	}
}

// describe writes a roster with refs.
func (x *witness) describe(list []wire.Participant) string {
	var out []string
	for _, one := range list {
		mark := ""
		switch one.State {
		case wire.StateWaiting:
			mark = "?"
		case wire.StateHeld:
			mark = "-"
		}
		if !one.Connected {
			mark += "!"
		}
		out = append(out, x.world.ref(one.ID)+mark)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func admittedIn(list []wire.Participant) map[string]bool {
	out := make(map[string]bool)
	for _, one := range list {
		if one.State == wire.StateAdmitted {
			out[one.ID] = true
		}
	}
	return out
}

// gone notes that a person's session is over without an ended message.
func (x *witness) gone(p *person) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if k := x.knowledge[p.id]; k != nil {
		k.live = false
		k.gone = append(k.gone, time.Now())
	}
}

// packet judges one packet that reached p.
func (x *witness) packet(p *person, now time.Time, a bench.Arrival) {
	_, skew := p.host.Skew()
	at := now.Add(-p.Down.Delay - skew)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.packets++
	sender := x.senderOf(a.Tag)
	if sender == nil {
		x.violate("at %v %s received media of nobody known", at.Sub(x.world.start), p.Ref)
		return
	}
	if sent := a.Tag.Sent.Add(sender.person.Up.Delay); len(p.Down.Rate) > 0 && sent.Before(at) && !x.admitted(sender.person.id, at) {
		at = sent // it waited before a bottleneck, and how long is not known: it was forwarded after this
	}
	if !x.admitted(p.id, at) {
		x.violate("at %v media of %s was forwarded to %s, who was not admitted", at.Sub(x.world.start), sender.person.Ref, p.Ref)
	}
	if !x.admitted(sender.person.id, at) {
		x.violate("at %v media of %s, who was not admitted, was forwarded to %s", at.Sub(x.world.start), sender.person.Ref, p.Ref)
	}
	for _, ref := range x.world.refs {
		k := x.knowledge[x.world.people[ref].id]
		if k == nil || !k.live || k.since.After(at) || !x.admitted(k.person.id, at) {
			continue
		}
		if !k.knows(p.id, at) {
			x.violate("at %v media of %s was forwarded to %s, and the roster of %s did not name them",
				at.Sub(x.world.start), sender.person.Ref, p.Ref, ref)
		}
	}
}

func (x *witness) senderOf(t bench.Tag) *knowledge {
	for id, k := range x.knowledge {
		if bench.SenderHash(id) == t.Sender {
			return k
		}
	}
	return nil
}

// admitted tells whether a participant was, as far as they had been told, at an instant. What
// changed at that very instant counts both ways.
func (x *witness) admitted(id string, at time.Time) bool {
	k := x.knowledge[id]
	if k == nil {
		return false
	}
	for i, s := range k.states {
		if s.at.After(at) {
			break
		}
		ends := i+1 < len(k.states) && k.states[i+1].at.Before(at)
		if s.state == wire.StateAdmitted && !ends {
			return true
		}
	}
	return false
}

// knows tells whether the rosters that k had named a participant at an instant, with the same
// courtesy.
func (k *knowledge) knows(id string, at time.Time) bool {
	for i, r := range k.rosters {
		if r.at.After(at) {
			break
		}
		ends := i+1 < len(k.rosters) && k.rosters[i+1].at.Before(at)
		if r.admitted[id] && !ends {
			return true
		}
	}
	return false
}

// raw looks for canaries in a message on the wire.
func (x *witness) raw(p *person, received bool, data []byte) {
	for _, ref := range x.world.refs {
		if !bytes.Contains(data, []byte(x.world.people[ref].Display)) {
			continue
		}
		typ := "(unreadable)"
		if m, _, err := wire.DecodeServer(data); err == nil {
			typ = fmt.Sprintf("%T", m)
		}
		if !received || typ != "*wire.Joined" && typ != "*wire.Roster" {
			x.mu.Lock()
			x.violate("the display name of %s was in a message (%s) to or from %s", ref, typ, p.Ref)
			x.mu.Unlock()
		}
	}
}

// refCanary is a person's ref as the scheduling system writes it.
func refCanary(ref string) string { return "ref-" + ref + "-9c41" }

// violate notes a broken invariant; the caller holds mu.
func (x *witness) violate(format string, args ...any) {
	if len(x.violations) < maxViolations {
		x.violations = append(x.violations, fmt.Sprintf(format, args...))
	}
}

// verdict returns what was broken, with what the server's own papers give away.
func (x *witness) verdict() []string {
	papers := x.world.past + x.world.server.papers()
	counted := x.world.broken + x.world.Metric("bedside_invariant_violations_total")
	x.mu.Lock()
	defer x.mu.Unlock()
	x.judgeRecording(&x.world.tapes)
	if counted != 0 {
		x.violate("the server itself counts %v broken invariants", counted)
	}
	for _, ref := range x.world.refs {
		p := x.world.people[ref]
		for what, secret := range map[string]string{
			"display name": p.Display, "invitation": p.invitation, "address": p.host.Addr().String(), "ref": refCanary(p.Ref),
		} {
			if secret != "" && strings.Contains(papers, secret) {
				x.violate("the %s of %s is in logs or metrics", what, ref)
			}
		}
	}
	slices.Sort(x.violations)
	return slices.Clone(x.violations)
}
