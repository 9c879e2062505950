package signaling

import (
	"context"
	"sync"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	// aheadMessages and aheadBytes bound what has been read of a client and not been carried out: as many messages
	// as may come in a burst. One that is larger waits until everything before it has been carried out.
	aheadMessages = 64
	aheadBytes    = 64 << 10
)

// received is one message that has been read.
type received struct {
	message wire.ClientMessage
	id      uint64
	size    int
	err     error // why it is refused
	fatal   error // why nothing that follows is read
}

// inbound is what has been read of a client and not been carried out. Carrying out may wait for the disk of the
// audit log, and a no to being recorded must not wait behind that unread. When it is full the reader waits.
type inbound struct {
	session *session

	mu       sync.Mutex
	less     sync.Cond // with mu: bytes, or handling, is not what it was
	queue    []*received
	bytes    int  // of messages, the one that is being carried out included
	handling bool // there is a handler: only while there is something to do, for most sessions are silent
}

func newInbound(s *session) *inbound {
	in := &inbound{session: s}
	in.less.L = &in.mu
	return in
}

// put queues a message. Only the reader calls it.
func (in *inbound) put(ctx context.Context, m *received) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.queue) == aheadMessages || in.bytes > 0 && in.bytes+m.size > aheadBytes {
		in.less.Wait()
	}
	in.queue = append(in.queue, m)
	in.bytes += m.size
	if !in.handling {
		in.handling = true
		go in.runHandler(ctx)
	}
}

// wait waits until everything has been carried out.
func (in *inbound) wait() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.handling {
		in.less.Wait()
	}
}

// runHandler carries out what has been read, until there is nothing.
func (in *inbound) runHandler(ctx context.Context) {
	for m := in.next(); m != nil; m = in.next() {
		in.session.take(ctx, m)
		in.done(m)
	}
}

func (in *inbound) next() *received {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.queue) == 0 {
		in.queue, in.handling = nil, false
		in.less.Signal()
		return nil
	}
	m := in.queue[0]
	in.queue = in.queue[1:]
	return m
}

func (in *inbound) done(m *received) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bytes -= m.size
	in.less.Signal() // the reader is the only one who waits
}

// receive decodes a message, unless too many come. A no to being recorded takes effect here.
func (s *session) receive(data []byte) *received {
	now := s.server.deps.Clock()
	m := &received{size: len(data)}
	m.message, m.id, m.err = wire.Decode(data)
	if !s.pace.take(now, s.server.cfg.Limits) {
		m.err = &consult.Error{Code: wire.CodeRateLimited, Detail: "too many messages: slow down"}
		if s.pace.tooMany(now) {
			m.fatal = m.err
		}
	}
	if m.err == nil && s.isNo(m.message) {
		s.room.veto(s.speaksFor)
	}
	return m
}

// isNo tells whether a message takes back, or refuses, the consent of somebody who may be recorded.
func (s *session) isNo(m wire.ClientMessage) bool {
	c, ok := m.(*wire.Consent)
	return ok && (c.Recording == wire.ConsentDenied || c.Recording == wire.ConsentWithdrawn) && len(s.speaksFor) > 0
}

// take is a message's turn. What was read before the session was over and comes after its end is thrown away.
func (s *session) take(ctx context.Context, m *received) {
	switch {
	case s.isFinished():
		s.throwAway(m)
	case m.fatal != nil:
		s.fail(m.fatal)
	default:
		s.carryOut(ctx, m)
	}
}

func (s *session) carryOut(ctx context.Context, m *received) {
	typ := "unknown"
	if m.message != nil {
		typ = wire.TypeOf(m.message)
	}
	var reply wire.ServerMessage
	err := m.err
	if err == nil {
		reply, err = s.handle(ctx, m.message)
		s.accuse(err)
	}
	s.server.metrics.messages.WithLabelValues(typ, outcomeOf(err)).Inc()
	s.reply(m.id, reply, err)
}

// throwAway forgets a message, and what reading it has done.
func (s *session) throwAway(m *received) {
	if m.err != nil || m.message == nil || !s.isNo(m.message) {
		return
	}
	_ = s.room.do(context.Background(), func() { // the room lives as long as the session holds it
		s.room.endVeto(s.speaksFor)
		s.room.resume()
	})
}
