// Package signaling is the API for schedulers and the sessions of participants: HTTP, WebSocket and
// the rules of package consult between them and the media plane.
//
// One message of a client goes this way:
//
//	session.read -> wire.Decode -> session.handle -> room.do: consult decides
//	  -> room.carry ends sessions -> room.settle: rosters into every queue, then MediaRoom.SetRoster
//	  -> reply -> session.enqueue -> session.runWriter
//
// Goroutines: two for each session (its HTTP handler reads, runWriter writes) or one if it is a
// resource's (resource.run), one for each live consultation (room.run) and one for the server
// (runSweep). A room never waits for a session: a
// session waits for its room.
//
// Locks: rooms.mu, sessions.mu, session.mu, resources.mu and those of tokens and addressLimit are leaves;
// none is held while another is taken or anything is waited for.
package signaling

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/store"
)

const (
	storeTimeout  = 2 * time.Second
	readTimeout   = time.Minute // for all records, at a start: a thousand take some 50 ms
	sweepInterval = 10 * time.Minute
	keyBytes      = 32
)

// Deps are what a Server needs of the world. All are required but Ready, Routes, Relay, Recorder and
// Recordings.
type Deps struct {
	Media      Media
	Store      store.Store
	Audit      Audit
	Unaudited  bool   // grant things, too, that cannot be written into the audit log
	PublicURL  string // scheme://host[:port]: links start with it, tokens are issued by it
	Clock      func() time.Time
	Rand       io.Reader // cryptographic, safe for concurrent use
	Log        *slog.Logger
	Metrics    prometheus.Registerer
	Ready      func() error         // what else must be ready for GET /readyz
	Routes     func(*http.ServeMux) // registers the pages; must not touch /v1/, /healthz, /readyz, /openapi.yaml
	Relay      Relay                // for those whose network lets no media out; nil: there is none
	Recorder   Recorder             // nil: nothing is ever recorded, and nothing of recording can be asked for
	Recordings RecordingStore       // nil: there are none, and no route to them
	Notice     string               // the version of the notice to which people consent
}

// Server is the API and the sessions of one node.
type Server struct {
	cfg         config.Signaling
	deps        Deps
	tokens      *tokens
	records     records
	invitations *invitations
	kept        atomic.Int64 // consultations in the store
	started     time.Time    // places that were kept before are good for consult.Grace from then
	metrics     *metrics
	joins       *addressLimit
	pins        *lockout
	refusals    *refusals
	rooms       *rooms
	sessions    *sessions
	resources   *resources
	checks      *checks
	handler     http.Handler

	stop     chan struct{} // closed by Close
	stopping sync.Once
	sweeping sync.WaitGroup
}

// New returns a Server that is ready to handle requests. Its store, media plane and logger stay the
// caller's, to be closed after it.
func New(cfg config.Signaling, d Deps) (*Server, error) {
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, err
	}
	t, err := newTokens(cfg, d)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, deps: d, tokens: t, records: records{d.Store}, invitations: newInvitations(t), metrics: m,
		joins: newAddressLimit(cfg.Limits.JoinsPerSecond), pins: newLockout(),
		refusals: new(refusals), sessions: newSessions(cfg.Limits, m), resources: newResources(),
		stop: make(chan struct{}), started: d.Clock(),
	}
	if s.checks, err = newChecks(d.Rand); err != nil {
		return nil, err
	}
	s.rooms = &rooms{server: s, live: make(map[string]*room)}
	if err := s.readRecords(); err != nil {
		return nil, err
	}
	if s.handler, err = newHandler(s); err != nil {
		return nil, err
	}
	s.sweeping.Go(s.runSweep)
	return s, nil
}

// readRecords counts the consultations and learns their invitations.
func (s *Server) readRecords() error {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	err := s.deps.Store.Each(ctx, bucketConsultations, func(e store.Entry) error {
		s.kept.Add(1)
		rec, err := recordOf(e)
		if err != nil { // the others are not to wait for somebody to mend it
			s.deps.Log.Error("record not read", "error", err)
			return nil
		}
		s.invitations.add(rec)
		return nil
	})
	if err != nil {
		return fmt.Errorf("signaling: read consultations: %w", err)
	}
	return nil
}

func newTokens(cfg config.Signaling, d Deps) (*tokens, error) {
	keys := make([][]byte, 2)
	for i, configured := range []config.Secret{cfg.TokenKey, cfg.InvitationSecret} {
		key, err := configured.Key(keyBytes)
		if err != nil {
			return nil, fmt.Errorf("signaling: a configured key: %w", err)
		}
		if key == nil {
			key = make([]byte, keyBytes)
			if _, err := io.ReadFull(d.Rand, key); err != nil {
				return nil, fmt.Errorf("signaling: random numbers: %w", err)
			}
		}
		keys[i] = key
	}
	t := &tokens{
		key: ed25519.NewKeyFromSeed(keys[0]), secret: keys[1], issuer: d.PublicURL,
		clock: d.Clock, rand: d.Rand, used: make(map[string]bool),
	}
	var err error
	t.boot, err = t.newID("")
	return t, err
}

// Handler returns the handler of every route. The http.Server around it sets the time limits for
// headers and idle connections.
func (s *Server) Handler() http.Handler { return s.handler }

// Drain refuses new sessions, tells the clients of the others to join again elsewhere or later, and
// waits until they have gone or ctx is done, whose error it returns then.
func (s *Server) Drain(ctx context.Context) error { return s.sessions.drain(ctx) }

// Close ends every session and waits for all goroutines.
func (s *Server) Close() error {
	s.stopping.Do(func() {
		close(s.stop)
		_ = s.Drain(context.Background()) // bounded: writing the last message has a deadline
		s.rooms.close()
		s.sweeping.Wait()
	})
	return nil
}

// runSweep deletes the records, and with them the names, of consultations that ended a day ago.
func (s *Server) runSweep() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.sweep()
			s.purge()
		case <-s.stop:
			return
		}
	}
}

func (s *Server) sweep() {
	ctx, cancel := context.WithTimeout(context.Background(), sweepInterval/2)
	defer cancel()
	now := s.deps.Clock()
	err := s.deps.Store.Each(ctx, bucketConsultations, func(e store.Entry) error {
		rec, err := s.records.load(ctx, e.Key)
		if errors.Is(err, store.ErrNotFound) || err == nil && !rec.expired(now) {
			return nil
		}
		if err == nil {
			err = s.records.forget(ctx, rec.ID)
		}
		if err != nil {
			s.deps.Log.Error("record not deleted", "consultation", e.Key, "error", err)
			return nil // the others are not to stay because of it
		}
		s.invitations.forget(rec)
		s.kept.Add(-1)
		return nil
	})
	if err != nil {
		s.deps.Log.Error("records not swept", "error", err)
	}
}
