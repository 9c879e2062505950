package signaling

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/whip"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	maxTracks      = 32 // sending m-lines of one offer; each source can be published once
	maxTiles       = 64
	maxTilePixels  = 16384
	maxClientBytes = 64
	maxMidBytes    = 32
)

// handle carries out one message of a session in a consultation. A nil reply means Done.
func (s *session) handle(ctx context.Context, m wire.ClientMessage) (wire.ServerMessage, error) {
	switch m := m.(type) {
	case *wire.Join:
		return nil, &consult.Error{Code: wire.CodeAlreadyJoined, Detail: "the session has joined already"}
	case *wire.Offer:
		return s.offer(ctx, m)
	case *wire.Mute:
		return nil, s.mute(ctx, m)
	case *wire.Layout:
		return nil, s.layout(ctx, m)
	case *wire.Stats:
		return nil, s.stats(ctx, m)
	case *wire.Admit:
		return nil, s.decide(ctx, func(now time.Time, c *consult.Consultation) (consult.Effects, error) {
			return c.Admit(now, s.participant, m.Participant)
		})
	case *wire.Refuse:
		return nil, s.decide(ctx, func(now time.Time, c *consult.Consultation) (consult.Effects, error) {
			return c.Refuse(now, s.participant, m.Participant)
		})
	case *wire.Remove:
		return nil, s.decide(ctx, func(now time.Time, c *consult.Consultation) (consult.Effects, error) {
			return c.Remove(now, s.participant, m.Participant)
		})
	case *wire.Hold:
		return nil, s.decide(ctx, func(_ time.Time, c *consult.Consultation) (consult.Effects, error) {
			return c.Hold(s.participant, m.Participant)
		})
	case *wire.Unhold:
		return nil, s.decide(ctx, func(_ time.Time, c *consult.Consultation) (consult.Effects, error) {
			return c.Unhold(s.participant, m.Participant)
		})
	case *wire.Say:
		return nil, s.say(ctx, m)
	case *wire.Consent:
		return nil, s.consent(ctx, m)
	case *wire.Record:
		return nil, s.record(ctx, m)
	case *wire.End:
		return nil, s.decide(ctx, func(now time.Time, c *consult.Consultation) (consult.Effects, error) {
			return c.End(now, s.participant)
		})
	case *wire.Leave:
		return nil, s.decide(ctx, func(now time.Time, c *consult.Consultation) (consult.Effects, error) {
			return c.Leave(now, s.participant, s.id, m.To)
		})
	}
	return nil, fmt.Errorf("signaling: message type %s has no handler", wire.TypeOf(m))
}

// join carries out the first message.
func (s *session) join(ctx context.Context, data []byte) error {
	m, id, err := wire.Decode(data)
	if err != nil {
		return err
	}
	join, ok := m.(*wire.Join)
	if !ok {
		return &consult.Error{Code: wire.CodeJoinFirst, Detail: "the first message must be join"}
	}
	if (join.Token == "") == (join.Resume == "") || len(join.Client) > maxClientBytes {
		return badMessage("join: exactly one of token and resume; client has at most 64 bytes")
	}
	token, audience := join.Token, audienceSession
	if token == "" {
		token, audience = join.Resume, audienceResume
	}
	return s.enter(ctx, token, audience, id)
}

// enter takes the session into the consultation that the token names.
func (s *session) enter(ctx context.Context, token, audience string, id uint64) error {
	c, err := s.server.tokens.check(token, audience)
	if err != nil {
		return err
	}
	r, err := s.server.rooms.acquire(ctx, c.Consultation)
	if err != nil {
		return err
	}
	s.credential = credential{c.Consultation, c.Subject, c.Epoch}
	s.participant = c.Subject
	s.log = r.log.With("participant", c.Subject, "session", s.id)
	var e consult.Effects
	if doErr := r.do(ctx, func() {
		e, err = r.connect(ctx, s, consult.Connect{Participant: c.Subject, Epoch: c.Epoch, Session: s.id, Resume: c.Session, Untold: s.by != 0, Watch: s.by == whip.WHEP}, id)
	}); doErr != nil {
		err = doErr
	}
	if err != nil {
		s.server.rooms.release(r)
		return err
	}
	s.room = r
	s.keep(ctx, e)
	return nil
}

func (s *session) offer(ctx context.Context, m *wire.Offer) (wire.ServerMessage, error) {
	if len(m.Tracks) > maxTracks {
		return nil, badMessage("offer: at most 32 tracks")
	}
	tracks := make([]sfu.Track, 0, len(m.Tracks))
	for _, t := range m.Tracks {
		if t.Mid == "" || len(t.Mid) > maxMidBytes || codec.Source(t.Source).Kind() == 0 {
			return nil, badMessage("offer: a track has a mid and a source")
		}
		tracks = append(tracks, sfu.Track{Mid: t.Mid, Source: codec.Source(t.Source)})
	}
	sdp, err := s.peer.Answer(ctx, m.SDP, tracks)
	if err != nil {
		return nil, mediaError(err)
	}
	clear(s.sources)
	for _, t := range m.Tracks {
		s.sources[t.Mid] = t.Source
	}
	return &wire.Answer{SDP: sdp}, nil
}

func (s *session) mute(ctx context.Context, m *wire.Mute) error {
	source, known := s.sources[m.Mid]
	if !known {
		return mediaError(sfu.ErrUnknownMid)
	}
	if err := s.peer.Mute(ctx, m.Mid, m.Muted); err != nil {
		return mediaError(err)
	}
	return s.room.do(ctx, func() { s.room.mute(s, source, m.Muted) })
}

func (s *session) layout(ctx context.Context, m *wire.Layout) error {
	if len(m.Tiles) > maxTiles {
		return badMessage("layout: at most 64 tiles")
	}
	tiles := make([]sfu.Tile, 0, len(m.Tiles))
	for _, t := range m.Tiles {
		if min(t.Width, t.Height) < 0 || max(t.Width, t.Height) > maxTilePixels || codec.Source(t.Source).Kind() != codec.Video {
			return badMessage("layout: a tile shows a source of video with 0 to 16384 pixels a side")
		}
		tiles = append(tiles, sfu.Tile{Peer: t.Participant, Source: codec.Source(t.Source), Width: t.Width, Height: t.Height, Pinned: t.Pinned})
	}
	return mediaError(s.peer.SetLayout(ctx, tiles))
}

func (s *session) say(ctx context.Context, m *wire.Say) error {
	if len(m.Body) > wire.MaxBodyBytes {
		return &consult.Error{Code: wire.CodeMessageTooLarge, Detail: "the body of a message may have 4096 bytes"}
	}
	if !isKind(m.Kind) {
		return badMessage("message: kind is 1 to 32 lower-case letters, digits, _ . or -")
	}
	var err error
	if doErr := s.room.do(ctx, func() { err = s.room.say(s, m) }); doErr != nil {
		return doErr
	}
	return err
}

func isKind(s string) bool {
	const maxKindBytes = 32
	return s != "" && s != wire.KindHandedOver && len(s) <= maxKindBytes && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
}

// decide runs a command through the room, and keeps what it brought about before it is answered.
func (s *session) decide(ctx context.Context, command command) error {
	var e consult.Effects
	var err error
	if doErr := s.room.do(ctx, func() { e, err = s.room.decide(s, command) }); doErr != nil {
		return doErr
	}
	if err == nil {
		s.keep(ctx, e)
	}
	return err
}

// keep writes down what a command brought about. The call goes on when that fails: the room knows,
// and a running call never depends on the store.
func (s *session) keep(ctx context.Context, e consult.Effects) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := s.server.records.keep(ctx, s.credential.consultation, s.server.deps.Clock(), e); err != nil {
		s.log.Error("record not updated", "error", err)
	}
	if err := s.room.keeper.wait(ctx); err != nil {
		s.log.Warn("answered before it was kept who is where", "error", err)
	}
}

// mediaEvents passes what happens in the media plane to a session, without waiting.
type mediaEvents struct{ s *session }

func (e mediaEvents) send(m wire.ServerMessage) {
	if !e.s.enqueue(m, 0) {
		e.s.end(wire.EndedSlow)
	}
}

// Slots implements sfu.Events.
func (e mediaEvents) Slots(epoch uint64, changed []sfu.Assignment) {
	m := &wire.Slots{Epoch: epoch, Assignments: make([]wire.Assignment, 0, len(changed))}
	for _, a := range changed {
		w := wire.Assignment{Mid: a.Mid, Participant: a.Peer, Source: wire.Source(a.Source), State: wire.SlotLive, RTP: a.RTP}
		switch {
		case a.Peer == "":
			w.State = wire.SlotEmpty
		case a.Muted:
			w.State = wire.SlotMuted
		}
		m.Assignments = append(m.Assignments, w)
	}
	e.send(m)
}

// Layers implements sfu.Events.
func (e mediaEvents) Layers(mid string, active []string, lowest int) {
	m := &wire.Layers{Mid: mid, Active: append([]string{}, active...)}
	if lowest > 0 && len(active) > 0 {
		m.MaxBitrate = map[string]int{active[0]: lowest}
	}
	e.send(m)
}

// Audio implements sfu.Events.
func (e mediaEvents) Audio(a sfu.Audio) {
	e.send(&wire.Audio{MaxBitrate: a.Bitrate, Carry: append([]int{}, a.Carry...), Delay: int(a.Delay.Milliseconds()), Ptime: int(a.Packet.Milliseconds())})
}

// Speakers implements sfu.Events.
func (e mediaEvents) Speakers(levels []sfu.Level) {
	m := &wire.Speakers{Levels: make([]wire.Level, 0, len(levels))}
	for _, l := range levels {
		m.Levels = append(m.Levels, wire.Level{Participant: l.Peer, Level: l.Level})
	}
	e.send(m)
}

// Transport implements sfu.Events. Clients watch their end themselves, but one may hear the server
// without being heard.
func (e mediaEvents) Transport(state sfu.TransportState) {
	e.s.log.Info("media", "state", state.String())
	if state == sfu.TransportDisconnected && e.s.ws != nil {
		e.send(&wire.Restart{})
	}
}

// Failed implements sfu.Events.
func (e mediaEvents) Failed(reason sfu.FailReason) {
	known := map[sfu.FailReason]string{sfu.FailedSSRCLimit: wire.EndedSSRCLimit}
	ended, ok := known[reason]
	if !ok {
		ended = wire.EndedMediaFailed
	}
	e.s.end(ended)
}

// mediaError gives an error of the media plane its code.
func mediaError(err error) error {
	for _, known := range []struct {
		err  error
		code string
	}{
		{sfu.ErrBadOffer, wire.CodeBadSDP}, {sfu.ErrBadTrack, wire.CodeBadSource}, {sfu.ErrCodecMismatch, wire.CodeCodecMismatch},
		{sfu.ErrUnknownMid, wire.CodeUnknownMid}, {sfu.ErrClosed, wire.CodeUnavailable},
		{sfu.ErrTooManyChecks, wire.CodeUnavailable},
	} {
		if errors.Is(err, known.err) {
			return &consult.Error{Code: known.code, Detail: err.Error()}
		}
	}
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	// It will be logged, and its text may repeat lines of SDP, which hold addresses.
	return fmt.Errorf("media plane: unexpected error of type %T", err)
}

func badMessage(detail string) error {
	return &consult.Error{Code: wire.CodeBadMessage, Detail: detail}
}

// errorMessage makes of any error what a client may see of it.
func errorMessage(err error) *wire.Error {
	var refusal *consult.Error
	var decode *wire.DecodeError
	var already *Problem
	switch {
	case errors.As(err, &already):
		return &wire.Error{Code: already.Code, Detail: already.Detail}
	case errors.As(err, &refusal):
		return &wire.Error{Code: refusal.Code, Detail: refusal.Detail, OpensAt: stamp(refusal.OpensAt), ClosedAt: stamp(refusal.ClosedAt)}
	case errors.As(err, &decode):
		return &wire.Error{Code: decode.Code, Detail: decode.Detail}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &wire.Error{Code: wire.CodeUnavailable, Detail: "the server could not do this in time"}
	}
	return &wire.Error{Code: wire.CodeInternal, Detail: "something is wrong on the server; its log has the details"}
}

func isInternal(err error) bool { return errorMessage(err).Code == wire.CodeInternal }

// outcomeOf is the metrics' label for how something went: ok or a code.
func outcomeOf(err error) string {
	if err == nil {
		return outcomeOK
	}
	return errorMessage(err).Code
}
