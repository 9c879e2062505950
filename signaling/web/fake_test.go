package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/bedside-video/bedside/signaling/web"
	"github.com/bedside-video/bedside/signaling/wire"
)

// deadline bounds every wait for something that a browser does; two busy cores need about 2 s.
const deadline = time.Minute

// invited is what the fake server knows of one invitation.
type invited struct {
	problem         map[string]any // the problem document that /v1/join answers with, if any
	pin             string         // what /v1/join wants beside the invitation
	wrong           int            // how many wrong PINs it has seen; the fifth locks it
	facts           wire.Facts
	joined          wire.Joined
	refuse          wire.ServerMessage // instead of joined
	resumeRefused   bool               // answer resume tokens with token_expired
	handOverRefused bool
	refuseAll       string // answer admissions and the like with this code
	noMedia         bool   // answer without candidates, as if UDP were blocked
	echo            bool   // send the camera back in the first video slot
	exchange        int    // how often it was exchanged
}

// fake is a server that says what a test tells it to, and fails the test when the SDK sends
// anything the protocol does not allow.
type fake struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex
	invited  map[string]*invited
	sessions chan *session
	conns    []*websocket.Conn
	net      network        // of connection checks
	pictures chan struct{}  // a check sends some
	marked   bool           // serve German with every word in brackets
	wg       sync.WaitGroup // of the WebSockets, for which Close does not wait
}

func newFake(t *testing.T) *fake {
	t.Helper()
	site, err := web.New(web.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, invited: make(map[string]*invited), sessions: make(chan *session, 16), pictures: make(chan struct{}, 16)}
	mux := http.NewServeMux()
	site.Register(mux)
	mux.HandleFunc("GET /sdk/v1/ui/strings.de.js", f.german)
	mux.HandleFunc("POST /v1/join", f.join)
	mux.HandleFunc("OPTIONS /v1/join", allowAll)
	mux.HandleFunc("GET /v1/connect", f.connect)
	f.registerCheck(mux)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.Close()
		f.mu.Lock()
		for _, c := range f.conns {
			_ = c.Close()
		}
		f.mu.Unlock()
		f.wg.Wait()
	})
	return f
}

// german serves the site's German, marked when the test wants it so.
func (f *fake) german(w http.ResponseWriter, _ *http.Request) {
	text, err := os.ReadFile("assets/sdk/ui/strings.de.js")
	if err != nil {
		f.t.Error(err)
	}
	if f.marked {
		text = []byte(marked(string(text)))
	}
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, _ = w.Write(text)
}

func (f *fake) invite(name string, i *invited) { f.mu.Lock(); f.invited[name] = i; f.mu.Unlock() }

func (f *fake) find(name string) *invited { f.mu.Lock(); defer f.mu.Unlock(); return f.invited[name] }

// allowAll lets pages of every origin in, as a server does for its configured portals.
func allowAll(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
}

func (f *fake) join(w http.ResponseWriter, r *http.Request) {
	allowAll(w, r)
	var body struct{ Invitation, Pin string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		f.t.Errorf("join: %v", err)
	}
	i := f.find(body.Invitation)
	if i == nil {
		i = &invited{problem: map[string]any{"code": wire.CodeInvitationUnknown, "status": http.StatusNotFound}}
	}
	f.mu.Lock()
	i.exchange++
	problem := i.problem
	if problem == nil {
		problem = i.checkPIN(body.Pin)
	}
	f.mu.Unlock()
	if problem != nil {
		w.Header().Set("Content-Type", "application/problem+json")
		if problem["code"] == wire.CodePINLocked {
			w.Header().Set("Retry-After", "900")
		}
		w.WriteHeader(problem["status"].(int))
		_ = json.NewEncoder(w).Encode(problem)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token": "token-" + body.Invitation, "connect": "/v1/connect", "role": i.joined.Role, "display": i.joined.Display, "facts": i.facts,
		"recording": i.joined.Policy.Recording, "notice": i.joined.Policy.Notice,
	})
}

// checkPIN does as the protocol says of PINs.
func (i *invited) checkPIN(pin string) map[string]any {
	code := wire.CodePINWrong
	switch {
	case i.pin == "" || (pin == i.pin && i.wrong < 5):
		return nil
	case i.wrong >= 5:
		return map[string]any{"code": wire.CodePINLocked, "status": http.StatusTooManyRequests}
	case pin == "":
		code = wire.CodePINRequired
	default:
		i.wrong++
	}
	return map[string]any{"code": code, "status": http.StatusForbidden}
}

func (f *fake) connect(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		f.t.Errorf("connect: the URL has a query, %q", r.URL.RawQuery)
	}
	up := websocket.Upgrader{Subprotocols: []string{wire.Subprotocol}, CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		f.t.Errorf("connect: %v", err)
		return
	}
	f.mu.Lock()
	f.conns = append(f.conns, conn)
	f.wg.Add(1)
	f.mu.Unlock()
	defer func() {
		_ = conn.Close()
		f.wg.Done()
	}()
	if conn.Subprotocol() != wire.Subprotocol {
		f.t.Errorf("connect: subprotocol %q", conn.Subprotocol())
	}
	s := &session{f: f, conn: conn, in: make(chan wire.ClientMessage, 256), stats: make(chan *wire.Stats, 1)}
	m, id, ok := s.read()
	if !ok {
		return
	}
	join, ok := m.(*wire.Join)
	if !ok {
		f.t.Errorf("connect: first message is %T", m)
		return
	}
	name := strings.TrimPrefix(strings.TrimPrefix(join.Token, "token-"), "resume-")
	s.resumed = join.Resume != ""
	if s.resumed {
		name = strings.TrimPrefix(join.Resume, "resume-")
	}
	s.who = f.find(name)
	if s.who == nil {
		f.t.Errorf("connect: no such token")
		return
	}
	f.mu.Lock()
	refuseResume := s.resumed && s.who.resumeRefused
	f.mu.Unlock()
	if refuseResume {
		s.reply(&wire.Error{Code: wire.CodeTokenExpired}, id)
		return
	}
	if s.who.refuse != nil {
		s.reply(s.who.refuse, id)
		return
	}
	s.joinID = id
	f.sessions <- s
	if !s.resumed {
		s.welcome(name)
	}
	s.run()
}

// session is one WebSocket of the SDK with the fake server.
type session struct {
	f       *fake
	who     *invited
	conn    *websocket.Conn
	write   sync.Mutex
	in      chan wire.ClientMessage
	stats   chan *wire.Stats // capacity 1: the first
	joinID  uint64
	resumed bool
	media   *media
}

func (s *session) welcome(name string) {
	joined := s.who.joined
	joined.Resume = "resume-" + name
	s.reply(&joined, s.joinID)
}

func (s *session) read() (wire.ClientMessage, uint64, bool) {
	_, data, err := s.conn.ReadMessage()
	if err != nil {
		return nil, 0, false // the page has gone
	}
	m, id, err := wire.Decode(data)
	if err != nil {
		s.f.t.Errorf("the SDK sent a message that is not allowed: %v", err)
		return nil, 0, false
	}
	return m, id, true
}

// run answers what the SDK asks until the connection ends, and keeps every message for the test.
func (s *session) run() {
	defer func() {
		if s.media != nil {
			s.media.close()
		}
	}()
	for {
		m, id, ok := s.read()
		if !ok {
			return
		}
		switch m := m.(type) {
		case *wire.Offer:
			s.answer(m, id)
		case *wire.Leave:
			s.leave(m, id)
		case *wire.End:
			s.send(&wire.Ended{Reason: wire.EndedByClinician})
		case *wire.Stats: // every five seconds: in a way of their own, so that they are in nobody's way
			s.done(id)
			select {
			case s.stats <- m:
			default:
			}
			continue
		default:
			s.done(id)
		}
		select {
		case s.in <- m:
		default:
			s.f.t.Errorf("the SDK sent more messages than the test reads")
			return
		}
	}
}

func (s *session) done(id uint64) {
	s.f.mu.Lock()
	code := s.who.refuseAll
	s.f.mu.Unlock()
	if code != "" {
		s.reply(&wire.Error{Code: code}, id)
		return
	}
	s.reply(&wire.Done{}, id)
}

func (s *session) leave(m *wire.Leave, id uint64) {
	s.f.mu.Lock()
	refused := s.who.handOverRefused
	s.f.mu.Unlock()
	if m.To != "" && refused {
		s.reply(&wire.Error{Code: wire.CodeNoSuchParticipant}, id)
		return
	}
	s.send(&wire.Ended{Reason: wire.EndedLeft})
}

func (s *session) answer(offer *wire.Offer, id uint64) {
	if s.media == nil {
		m, err := newMedia(s, offer)
		if err != nil {
			s.f.t.Errorf("answer: %v", err)
			return
		}
		s.media = m
	}
	sdp, err := s.media.answer(offer.SDP)
	if err != nil {
		s.f.t.Errorf("answer: %v", err)
		return
	}
	s.f.mu.Lock()
	noMedia := s.who.noMedia
	s.f.mu.Unlock()
	if noMedia {
		sdp = withoutCandidates(sdp)
	}
	s.reply(&wire.Answer{SDP: sdp}, id)
}

func (s *session) send(m wire.ServerMessage) { s.reply(m, 0) }

func (s *session) reply(m wire.ServerMessage, re uint64) {
	data, err := wire.Encode(m, re)
	if err != nil {
		s.f.t.Errorf("encode: %v", err)
		return
	}
	s.write.Lock()
	defer s.write.Unlock()
	_ = s.conn.WriteMessage(websocket.TextMessage, data) // the page may have gone
}

// session waits for the next connection.
func (f *fake) session(t *testing.T) *session {
	t.Helper()
	select {
	case s := <-f.sessions:
		return s
	case <-time.After(deadline):
		t.Fatal("the page did not connect")
		return nil
	}
}

// expect waits for a message for which match is true, and passes over others.
func expect[M wire.ClientMessage](t *testing.T, s *session, match func(M) bool) M {
	t.Helper()
	timeout := time.After(deadline)
	for {
		select {
		case m := <-s.in:
			if got, ok := m.(M); ok && match(got) {
				return got
			}
		case <-timeout:
			var want M
			t.Fatalf("the page did not send the %T", want)
			return want
		}
	}
}

func any1[M any](M) bool { return true }
