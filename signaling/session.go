package signaling

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/whip"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	joinTimeout   = 3 * time.Second
	pingInterval  = 20 * time.Second
	quietTimeout  = 45 * time.Second // two pings and a slow network
	writeTimeout  = 5 * time.Second
	lingerTimeout = time.Second // for the client to read the last message before TCP is torn down
	queueLength   = 256         // messages; a room of 20 that all join at once makes 40
	// maxRefused ends a session that keeps sending faster than it may: at 1,000 messages a second
	// after 0.16 s.
	maxRefused    = 100
	refusedMemory = 10 * time.Second
)

// session is one WebSocket: a reader, which is the HTTP handler's goroutine, a handler, which carries out what
// the client asks, one message after another (see inbound), and a writer. Or it is without one, by WHIP or WHEP: see resource.
type session struct {
	server *Server
	id     string
	ws     *websocket.Conn // nil by WHIP and WHEP
	log    *slog.Logger
	queue  chan []byte

	mu        sync.Mutex
	last      *ending // set once
	finished  chan struct{}
	lingering bool

	by whip.Protocol // 0 for a WebSocket

	// The reader alone; a resource's requests, one at a time.
	pace pace

	// Set by join, before there is a handler. sources is the handler's from then on.
	room       *room
	sources    map[string]wire.Source // of the client's m-lines, by mid
	credential credential

	// Set by the room before the session takes part in it.
	participant string
	self        audit.Event // what the audit log is told of every event of the session; at first, from where it is
	peer        MediaPeer
	told        wire.Roster // the room alone: the last roster queued
	toldTape    wire.Recording
	speaksFor   []string // whom a no of theirs to being recorded concerns, if that is theirs to say
}

// credential is what the tokens that the session is given are made of.
type credential struct {
	consultation, participant string
	epoch                     uint32
}

// ending is the last message of a session and the close code (RFC 6455 section 7.4.1) after it.
type ending struct {
	message wire.ServerMessage
	code    int
	hurry   bool // don't write what is still queued: the client does not read
}

// newSession returns a session without its WebSocket.
func newSession(s *Server, id, remote string) *session {
	return &session{
		server: s, id: id, log: s.deps.Log.With("session", id), self: audit.Event{Session: id, Net: prefixOf(remote)},
		queue: make(chan []byte, queueLength), finished: make(chan struct{}), sources: make(map[string]wire.Source),
	}
}

// run serves the session until it is over. When it returns its goroutines have ended and no media
// flows for it.
func (s *session) run(ctx context.Context) {
	var writing sync.WaitGroup
	writing.Go(s.runWriter)
	s.read(ctx)
	// Without a word, unless something else has ended the session: a phone that wakes up after the
	// timeout and found a reason would think that it is over, and it may resume.
	s.finish(ending{})
	if s.room != nil {
		// Not with ctx: the room must hear of it even when the server is stopping.
		_ = s.room.do(context.Background(), func() { s.room.lose(s, "gone"); s.room.settle() })
		s.server.rooms.release(s.room)
	}
	writing.Wait()
	s.endRelay() // once more: the writer may have got a credential in the meantime
	_ = s.ws.Close()
}

// read reads messages until the connection fails. After the end of the session what still comes is
// thrown away until the client has closed, or lingerTimeout has passed.
func (s *session) read(ctx context.Context) {
	s.ws.SetPingHandler(s.ping)
	_ = s.ws.SetReadDeadline(time.Now().Add(joinTimeout))
	if !s.readJoin(ctx) {
		s.discard()
		return
	}
	s.ws.SetPongHandler(s.pong) // not before: pongs that nobody asked for buy no time for join
	s.stillThere()
	if s.readAhead(ctx) {
		s.discard()
	}
}

// readAhead reads messages for the handler, which has carried out all of them when it returns. It reports whether
// the client can still be read from.
func (s *session) readAhead(ctx context.Context) bool {
	in := newInbound(s)
	defer in.wait()
	for !s.isFinished() {
		data, err := s.next()
		switch {
		case errors.Is(err, errTooLarge), errors.Is(err, errNotText), errors.Is(err, errNotUTF8):
			in.put(ctx, &received{fatal: err})
			return true
		case err != nil:
			return false
		}
		s.stillThere()
		m := s.receive(data)
		in.put(ctx, m)
		if m.fatal != nil {
			return true
		}
	}
	return true
}

func (s *session) discard() {
	for {
		if _, _, err := s.ws.NextReader(); err != nil {
			return
		}
	}
}

var (
	errTooLarge = &consult.Error{Code: wire.CodeMessageTooLarge, Detail: "a message may have 131072 bytes"}
	errNotText  = &consult.Error{Code: wire.CodeBadMessage, Detail: "messages are text frames"}
	errNotUTF8  = &consult.Error{Code: wire.CodeBadMessage, Detail: "text is UTF-8"}
)

// next reads one message. It reads no more than the limit of it, so that a frame that announces
// 10 MB costs 128 KiB and gets an answer. (SetReadLimit would only close.)
func (s *session) next() ([]byte, error) {
	kind, r, err := s.ws.NextReader()
	if err != nil {
		return nil, err
	}
	if kind != websocket.TextMessage {
		return nil, errNotText
	}
	data, err := io.ReadAll(io.LimitReader(r, wire.MaxMessageBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > wire.MaxMessageBytes {
		return nil, errTooLarge
	}
	if !utf8.Valid(data) { // RFC 6455 section 8.1; encoding/json would replace what is wrong
		return nil, errNotUTF8
	}
	return data, nil
}

// readJoin reads the first message, which must be join, in time. It reports whether the client is
// in the consultation now.
func (s *session) readJoin(ctx context.Context) bool {
	data, err := s.next()
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		err = &consult.Error{Code: wire.CodeJoinTimeout, Detail: "the first message must come within 3 s"}
	case err == nil:
		err = s.join(ctx, data)
	}
	s.server.metrics.joins.WithLabelValues(outcomeOf(err)).Inc()
	if err != nil {
		s.log.Info("did not join", "outcome", outcomeOf(err))
		s.fail(err)
		s.server.refused(audit.TokenRefused, &s.self, err)
		return false
	}
	return true
}

// accuse writes down that the participant asked for what their role may not do.
func (s *session) accuse(err error) {
	if err == nil || outcomeOf(err) != wire.CodeForbidden {
		return
	}
	s.server.refused(audit.AccessDenied, &s.self, err)
}

func (s *session) reply(id uint64, reply wire.ServerMessage, err error) {
	switch {
	case err != nil:
		reply = errorMessage(err)
		if isInternal(err) {
			s.log.Error("message could not be carried out", "error", err)
		}
	case reply == nil && id == 0:
		return
	case reply == nil:
		reply = &wire.Done{}
	}
	if !s.enqueue(reply, id) {
		s.end(wire.EndedSlow)
	}
}

// ping answers a client's ping.
func (s *session) ping(data string) error {
	if s.takeControl() {
		_ = s.ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(writeTimeout))
	}
	return nil
}

// pong is the answer to a ping of ours, most of the time.
func (s *session) pong(string) error {
	if s.takeControl() {
		s.stillThere()
	}
	return nil
}

// takeControl reports whether a control frame is within the limit. They count like messages: a flood of
// them is work, too.
func (s *session) takeControl() bool {
	limits, now := s.server.cfg.Limits, s.server.deps.Clock()
	if s.pace.take(now, limits) {
		return true
	}
	if s.pace.tooMany(now) {
		s.fail(&consult.Error{Code: wire.CodeRateLimited, Detail: "too many pings or pongs"})
	}
	return false
}

// stillThere gives the client more time.
func (s *session) stillThere() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lingering {
		_ = s.ws.SetReadDeadline(time.Now().Add(quietTimeout))
	}
}

// enqueue queues a message and never waits. False means that the client has not read 256 messages,
// or that the session is over: nobody may count on its getting anything more.
func (s *session) enqueue(m wire.ServerMessage, re uint64) bool {
	data, err := wire.Encode(m, re)
	if err != nil {
		panic("signaling: internal error: a message that is not JSON: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil {
		return false
	}
	select {
	case s.queue <- data:
		return true
	default:
		s.server.metrics.overflows.Inc()
		return false
	}
}

// fail ends the session with an error.
func (s *session) fail(err error) {
	code := websocket.ClosePolicyViolation
	if errors.Is(err, errNotUTF8) {
		code = websocket.CloseInvalidFramePayloadData
	}
	switch m := errorMessage(err); m.Code {
	case wire.CodeMessageTooLarge:
		code = websocket.CloseMessageTooBig
	case wire.CodeUnavailable, wire.CodeAuditUnavailable:
		code = websocket.CloseTryAgainLater
	case wire.CodeInternal:
		code = websocket.CloseInternalServerErr
	}
	s.finish(ending{message: errorMessage(err), code: code})
}

// end ends the session for a reason of package wire.
func (s *session) end(reason string) {
	e := ending{message: &wire.Ended{Reason: reason}, code: websocket.CloseNormalClosure}
	switch reason {
	case wire.EndedSlow:
		e.code, e.hurry = websocket.CloseTryAgainLater, true
	case wire.EndedDraining:
		e.code = websocket.CloseServiceRestart
	case wire.EndedSSRCLimit:
		e.code = websocket.ClosePolicyViolation
	}
	s.finish(e)
}

// finish makes the writer write the ending and close; the first one counts.
func (s *session) finish(e ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = &e
		close(s.finished)
	}
}

func (s *session) isFinished() bool {
	select {
	case <-s.finished:
		return true
	default:
		return false
	}
}
