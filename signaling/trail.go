package signaling

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// auditTimeout bounds the wait for the audit log. A room stands still for it, so it is short; media
// does not.
const auditTimeout = time.Second

// Refusals are written down, too, but whoever is refused decides how many there are. Beyond this
// many a second, of all clients together, they are counted only.
const (
	refusalRate  = 10
	refusalBurst = 100
)

// refusals bounds the records of them.
type refusals struct {
	mu     sync.Mutex
	bucket bucket
}

func (r *refusals) take(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bucket.take(now, refusalRate, refusalBurst)
}

// Audit is the log of who did what. audit.Log and audit.Memory implement it.
type Audit interface {
	// Append returns when all the events, or none of them, are kept for good.
	Append(ctx context.Context, events ...audit.Event) error
	Read(ctx context.Context, q audit.Query) (audit.Page, error)
}

// witness writes down what is about to be done. What grants something is refused when that fails:
// nobody is let in whom nobody could be asked about afterwards (unless Deps.Unaudited says that care
// comes first). What only takes away, removing somebody for instance, is done in any case: refusing
// it would leave people exposed for the sake of a record.
func (s *Server) witness(ctx context.Context, grants bool, events ...audit.Event) error {
	if err := s.attest(ctx, events...); err != nil && grants && !s.deps.Unaudited {
		return err
	}
	return nil
}

// attest writes events down, and returns an error when that fails: a *consult.Error. It is for what must not be without
// a record whatever Deps.Unaudited says: a recording is no care.
func (s *Server) attest(ctx context.Context, events ...audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	err := s.deps.Audit.Append(ctx, events...)
	if err == nil {
		return nil
	}
	s.metrics.unaudited.Add(float64(len(events)))
	s.deps.Log.Error("not in the audit log", "event", string(events[0].Name), "consultation", events[0].Consultation, "error", err)
	return refusal(wire.CodeAuditUnavailable, "the audit log cannot be written, and nothing is granted without it")
}

// refused writes down that somebody was not allowed something, after they were told.
func (s *Server) refused(name audit.Name, about *audit.Event, err error) {
	now := s.deps.Clock()
	if !s.refusals.take(now) {
		s.metrics.refusals.Inc()
		return
	}
	e := *about
	e.Time, e.Name, e.Outcome, e.Reason = now, name, audit.OutcomeRefused, outcomeOf(err)
	_ = s.witness(context.Background(), false, e)
}

// byKey is an event that a scheduling system brings about.
func (s *Server) byKey(ctx context.Context, name audit.Name, consultation string) audit.Event {
	key := keyOf(ctx)
	return audit.Event{
		Time: s.deps.Clock(), Name: name, Tenant: key.Tenant, Consultation: consultation,
		Actor: audit.Actor{Kind: audit.KindKey, ID: key.ID}, Outcome: audit.OutcomeOK,
	}
}

// ofKey is the tenant and the id of a key, for an event about it.
func ofKey(key *config.APIKey) audit.Event {
	if key == nil {
		return audit.Event{}
	}
	return audit.Event{Tenant: key.Tenant, Actor: audit.Actor{Kind: audit.KindKey, ID: key.ID}}
}

// prefixOf returns what the audit log keeps of an http.Request's RemoteAddr, and by which PINs are
// counted: a /24 or /48; everything that is no address is one network.
func prefixOf(remote string) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	return audit.Prefix(ap.Addr())
}

func (p person) actor() audit.Actor {
	a := audit.Actor{Kind: audit.KindParticipant, ID: p.ID, Role: string(p.Role)}
	if p.Ref != "" {
		a.Ref = audit.Ref(p.Ref)
	}
	return a
}

func (p person) subject() audit.Subject {
	a := p.actor()
	return audit.Subject{ID: a.ID, Role: a.Role, Ref: a.Ref}
}

// witness writes down what a command is about to bring about; s is whose command it was, or nil.
func (r *room) witness(s *session, e consult.Effects) error {
	return r.rooms.server.witness(context.Background(), e.Grants, r.events(s, e)...)
}

// events are those of a command, as the audit log has them.
func (r *room) events(s *session, e consult.Effects) []audit.Event {
	events := make([]audit.Event, 0, len(e.Events))
	for _, v := range e.Events {
		event := audit.Event{
			Time: r.now(), Name: audit.Name(v.Name), Tenant: r.record.Tenant, Consultation: r.id,
			Actor: audit.Actor{Kind: audit.KindServer}, Outcome: audit.OutcomeOK, Reason: v.Reason,
		}
		if p := r.record.find(v.Actor); p != nil {
			event.Actor = p.actor()
		}
		if p := r.record.find(v.Subject); p != nil && v.Subject != v.Actor {
			event.Subject = p.subject()
		}
		if s != nil {
			event.Session, event.Net = s.self.Session, s.self.Net
		}
		events = append(events, event)
	}
	return events
}
