package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The outcomes of an event.
const (
	OutcomeOK      = "ok"
	OutcomeRefused = "refused" // somebody was not allowed
	OutcomeFailed  = "failed"  // it was allowed and did not work
)

// The kinds of an actor.
const (
	KindParticipant = "participant"
	KindKey         = "key"      // an API key
	KindServer      = "server"   // the server by itself: a timer, a limit
	KindOperator    = "operator" // whoever may run commands on the machine
)

// The most bytes a field may have, and the most events of one Append.
const (
	MaxIDBytes  = 64
	MaxRefBytes = 200
	MaxEvents   = 256
)

// ErrInvalid is returned by Append for an event that could hold what does not belong into the log.
// It is a mistake in the program that appends: nothing that comes from outside causes it as long as
// references go through Ref and addresses through Prefix.
var ErrInvalid = errors.New("not an audit event")

// Event is something that happened. Every field but Name and Time may be empty. All fields are
// identifiers or codes: names, addresses and free text do not fit in (Append returns ErrInvalid).
type Event struct {
	Time         time.Time `json:"time"` // kept in UTC, cut to milliseconds
	Name         Name      `json:"name"`
	Tenant       string    `json:"tenant,omitempty"`
	Consultation string    `json:"consultation,omitempty"`
	Actor        Actor     `json:"actor,omitzero"`
	Subject      Subject   `json:"subject,omitzero"`
	Outcome      string    `json:"outcome,omitempty"`
	Reason       string    `json:"reason,omitempty"`  // a code of a-z 0-9 _
	Net          string    `json:"net,omitempty"`     // see Prefix
	Request      string    `json:"request,omitempty"` // id of the HTTP request
	Session      string    `json:"session,omitempty"` // id of the WebSocket session
}

// Actor is who did it.
type Actor struct {
	Kind string `json:"kind,omitempty"`
	ID   string `json:"id,omitempty"`
	Role string `json:"role,omitempty"`
	Ref  string `json:"ref,omitempty"` // see Ref
}

// Subject is whom or what it was done to.
type Subject struct {
	ID   string `json:"id,omitempty"`
	Role string `json:"role,omitempty"`
	Ref  string `json:"ref,omitempty"` // see Ref
}

// Ref returns what the log keeps of a caller's reference: the reference itself if it looks like one
// (up to MaxRefBytes of A-Z a-z 0-9 . _ : / | = - and not an IP address), else a digest of it, by
// which the caller can still find it and nobody can read what it should not have held.
func Ref(ref string) string {
	if isRef(ref) {
		return ref
	}
	sum := sha256.Sum256([]byte(ref))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Prefix returns what the log keeps of an address: its /24, or its /48 for IPv6. It returns nothing
// for what is not an address.
func Prefix(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil || !p.IsValid() {
		return ""
	}
	return p.String()
}

// checked returns the event as it is kept, or ErrInvalid naming the field (never its value, which
// may be what must not be written anywhere).
func (e Event) checked() (Event, error) {
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	if e.Time.Year() < 2000 || e.Time.Year() > 9999 {
		return e, fmt.Errorf("%w: time", ErrInvalid)
	}
	if !e.Name.known() {
		return e, fmt.Errorf("%w: name is not in the list", ErrInvalid)
	}
	fields := []struct {
		name string
		ok   bool
	}{
		{"tenant", optional(e.Tenant, isID)},
		{"consultation", optional(e.Consultation, isID)},
		{"actor.kind", optional(e.Actor.Kind, isCode)},
		{"actor.id", optional(e.Actor.ID, isID)},
		{"actor.role", optional(e.Actor.Role, isCode)},
		{"actor.ref", optional(e.Actor.Ref, isRef)},
		{"subject.id", optional(e.Subject.ID, isID)},
		{"subject.role", optional(e.Subject.Role, isCode)},
		{"subject.ref", optional(e.Subject.Ref, isRef)},
		{"outcome", optional(e.Outcome, isCode)},
		{"reason", optional(e.Reason, isCode)},
		{"net", optional(e.Net, isPrefix)},
		{"request", optional(e.Request, isID)},
		{"session", optional(e.Session, isID)},
	}
	for _, f := range fields {
		if !f.ok {
			return e, fmt.Errorf("%w: %s of %s", ErrInvalid, f.name, e.Name)
		}
	}
	return e, nil
}

func checkAll(events []Event) ([]Event, error) {
	if len(events) > MaxEvents {
		return nil, fmt.Errorf("%w: %d at once, the limit is %d", ErrInvalid, len(events), MaxEvents)
	}
	kept := make([]Event, len(events))
	for i, e := range events {
		var err error
		if kept[i], err = e.checked(); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

func optional(s string, is func(string) bool) bool { return s == "" || is(s) }

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

func isID(s string) bool   { return within(s, MaxIDBytes, lower+upper+digits+"_-") }
func isCode(s string) bool { return within(s, MaxIDBytes, lower+digits+"_") }

func isRef(s string) bool {
	_, err := netip.ParseAddr(s)
	return err != nil && within(s, MaxRefBytes, lower+upper+digits+"._:/|=-")
}

func isPrefix(s string) bool {
	p, err := netip.ParsePrefix(s)
	return err == nil && Prefix(p.Addr()) == s
}

func within(s string, most int, charset string) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(charset, s[i]) < 0 {
			return false
		}
	}
	return true
}
