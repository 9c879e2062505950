package signaling

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/whip"
	"github.com/bedside-video/bedside/signaling/wire"
)

// resource is what RFC 9725 calls a WHIP session, and the draft of WHEP a WHEP session: one whose client
// publishes or watches and cannot be told anything, because it has no WebSocket. Its messages are thrown away; what ends the session ends the
// resource.
type resource struct {
	session *session
	remote  string
	key     string // hash of the token that opened it, which goes on opening it

	turn       chan struct{} // capacity 1: one request at a time
	offer      whip.Offer
	generation int // of the ICE session
}

// resources are those of a server, by the ids of their sessions. They are as many as the sessions, which
// have a limit.
type resources struct {
	mu   sync.Mutex
	byID map[string]*resource
}

func newResources() *resources { return &resources{byID: make(map[string]*resource)} }

func (l *resources) add(r *resource) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byID[r.session.id] = r
}

// find returns a resource that is still there, or nil.
func (l *resources) find(id string) *resource {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.byID[id]; r != nil && !r.session.isFinished() {
		return r
	}
	return nil
}

func (l *resources) remove(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byID, id)
}

// openResource takes a device into the consultation that the token names, and answers its offer. A
// resource whose offer cannot be answered has left again.
func (s *Server) openResource(ctx context.Context, by whip.Protocol, remote, token string, offer whip.Offer) (r *resource, answer string, err error) {
	id, err := s.tokens.newID("s_")
	if err != nil {
		return nil, "", err
	}
	of := newSession(s, id, remote)
	of.by = by
	if err := s.sessions.enter(of, remote); err != nil {
		return nil, "", err
	}
	if err := of.enter(ctx, token, audienceSession, 0); err != nil {
		s.sessions.leave(of, remote)
		s.refused(audit.TokenRefused, &of.self, err)
		return nil, "", err
	}
	r = &resource{session: of, remote: remote, key: hashOf(token), turn: make(chan struct{}, 1)}
	s.resources.add(r)
	go r.run() // sessions.drain waits for it
	if answer, err = r.answer(ctx, offer); err != nil {
		r.leave(ctx)
		return nil, "", err
	}
	return r, answer, nil
}

// run throws away what the client would be told, until the session is over, and ends the rest of it.
func (r *resource) run() {
	s := r.session
	for !s.isFinished() {
		select {
		case <-s.queue:
		case <-s.finished:
		}
	}
	s.server.resources.remove(s.id)
	_ = s.room.do(context.Background(), func() { s.room.lose(s, "gone"); s.room.settle() })
	s.server.rooms.release(s.room)
	s.server.sessions.leave(s, r.remote)
}

// answer gives an offer, the first or that of an ICE restart, to the media plane.
func (r *resource) answer(ctx context.Context, offer whip.Offer) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, mediaTimeout)
	defer cancel()
	answer, err := r.session.peer.Answer(ctx, offer.SDP(), sources(offer))
	if err != nil {
		return "", mediaError(err)
	}
	r.offer = offer
	r.generation++
	return answer, nil
}

// sources names what the m-lines of a device carry: its camera looks at what is to be examined, and its
// microphone is a stethoscope.
func sources(offer whip.Offer) []sfu.Track {
	tracks := make([]sfu.Track, 0, len(offer.Lines))
	for _, l := range offer.Lines {
		if !l.Sends {
			continue
		}
		source := wire.SourceAuscultation
		if l.Video {
			source = wire.SourceExam
		}
		tracks = append(tracks, sfu.Track{Mid: l.Mid, Source: codec.Source(source)})
	}
	return tracks
}

// restart is a client that asks for an ICE restart. When it fails everything is as it was.
func (r *resource) restart(ctx context.Context, c whip.Credentials) (whip.Credentials, error) {
	answer, err := r.answer(ctx, r.offer.Restarted(c))
	if err != nil {
		return whip.Credentials{}, err
	}
	mine := whip.CredentialsOf(answer)
	if mine.Ufrag == "" || mine.Password == "" {
		return whip.Credentials{}, errors.New("signaling: an answer without ICE credentials")
	}
	return mine, nil
}

// leave is the participant going for good, as with a leave message.
func (r *resource) leave(ctx context.Context) {
	s := r.session
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mediaTimeout)
	defer cancel()
	err := s.decide(ctx, func(now time.Time, c *consult.Consultation) (consult.Effects, error) {
		return c.Leave(now, s.participant, s.id, "")
	})
	if err != nil {
		s.log.Info("left a session that was over", "outcome", outcomeOf(err))
	}
	s.end(wire.EndedLeft)
}

// opens reports whether a token is the one that opened the resource.
func (r *resource) opens(token string) bool {
	return subtle.ConstantTimeCompare([]byte(hashOf(token)), []byte(r.key)) == 1
}

// take waits until no other request works on the resource; give lets the next one.
func (r *resource) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("signaling: wait for another request: %w", ctx.Err())
	}
}

func (r *resource) give() { <-r.turn }

// etag names the ICE session (RFC 9725 section 4.3.1).
func (r *resource) etag() string { return strconv.Quote(strconv.Itoa(r.generation)) }

// location is where the resource is, relative to the endpoint's URL.
func (r *resource) location() string { return endpointOf(r.session.by) + "/" + r.session.id }
