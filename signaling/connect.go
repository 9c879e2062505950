package signaling

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

// connect serves GET /v1/connect: it turns the request into a session and serves that until it ends.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	if err := s.checkUpgrade(r); err != nil {
		s.deps.Log.Info("session refused", "outcome", outcomeOf(err))
		s.metrics.joins.WithLabelValues(outcomeOf(err)).Inc()
		s.refused(audit.AccessDenied, &audit.Event{Net: prefixOf(r.RemoteAddr)}, err)
		writeProblem(w, err)
		return
	}
	id, err := s.tokens.newID("s_")
	if err != nil {
		writeProblem(w, err)
		return
	}
	session := newSession(s, id, r.RemoteAddr)
	if err := s.sessions.enter(session, r.RemoteAddr); err != nil {
		s.metrics.joins.WithLabelValues(outcomeOf(err)).Inc()
		writeProblem(w, err)
		return
	}
	defer s.sessions.leave(session, r.RemoteAddr)
	if upgrade(w, r, session) {
		session.run(r.Context())
	}
}

// upgrade turns the request into the session's WebSocket, and reports whether it could. It is apart from
// connect because what it needs on the stack a session would keep as long as it lives: 500 idle ones
// took 45 kB each instead of 36 (TestIdleSessions, 2026-11-22).
func upgrade(w http.ResponseWriter, r *http.Request, s *session) bool {
	upgrader := websocket.Upgrader{
		HandshakeTimeout: writeTimeout,
		Subprotocols:     []string{wire.Subprotocol},
		CheckOrigin:      func(*http.Request) bool { return true }, // checkUpgrade has
		// Compression stays off: it lets 1 kB on the wire become 1 MB in memory, and secrets be
		// guessed from lengths.
		EnableCompression: false,
		Error: func(w http.ResponseWriter, _ *http.Request, _ int, _ error) {
			writeProblem(w, refusal(wire.CodeBadRequest, "not a WebSocket handshake (RFC 6455 section 4.1)"))
		},
	}
	var err error
	s.ws, err = upgrader.Upgrade(w, r, nil)
	return err == nil
}

// checkUpgrade refuses what would be refused after the handshake, while a status and a document can
// still be sent.
func (s *Server) checkUpgrade(r *http.Request) error {
	switch {
	case r.URL.RawQuery != "":
		// URLs are logged by every proxy on the way. Nothing belongs there, least of all a token.
		return refusal(wire.CodeTokenInURL, "this URL takes no parameters: the token goes into the first message")
	case !s.originAllowed(r):
		return refusal(wire.CodeForbidden, "pages of this origin may not open sessions")
	case !slices.Contains(websocket.Subprotocols(r), wire.Subprotocol):
		return refusal(wire.CodeBadRequest, "the subprotocol must be "+wire.Subprotocol)
	}
	return nil
}

// originAllowed reports whether a session may be opened by this origin: the server's own, one that
// is configured, or none, which is how programs that are not browsers come. Browsers always send one
// with a WebSocket (RFC 6455 section 4.1); "null" is nobody in particular. A page that came without
// TLS, which anybody on the way may have written, opens no session of a server that was reached with
// it.
func (s *Server) originAllowed(r *http.Request) bool {
	origins := r.Header["Origin"]
	switch len(origins) {
	case 0:
		return true
	case 1:
		return slices.Contains(s.cfg.Origins, origins[0]) || strings.EqualFold(origins[0], "https://"+r.Host) ||
			r.TLS == nil && strings.EqualFold(origins[0], "http://"+r.Host)
	}
	return false
}
