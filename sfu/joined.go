package sfu

import (
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/opus"
	"github.com/bedside-video/bedside/sfu/redundancy"
)

// joined makes longer packets of a slot's voice where the path is thin: see redundancy.Joining. What is held has no
// number yet, so that nothing is missed of what is dropped with its speaker. slot.mu guards it.
type joined struct {
	frames int          // of 20 ms in a packet; up to 1: packets leave as they came
	joiner *opus.Joiner // nil until it is needed
	from   *encoding    // of what is held
	codec  codec.Name
	since  time.Time // when the first of it came
}

// purse is the peer whose slot it is, as far as its joined voices need it.
type purse interface {
	voiceWaits()                                  // a slot begins to hold a voice
	mayCarry(now time.Time, bytes, more int) bool // beside bytes that are sent, more
}

// holds tells whether something is held.
func (x *joined) holds() bool { return x.joiner != nil && !x.joiner.Empty() }

// join changes how many frames a packet has; the caller holds mu.
func (s *slot) join(frames int) {
	x := &s.joined
	if max(1, x.frames) == frames {
		return
	}
	x.frames = frames
	s.shield.followed = 0 // what is carried is counted in packets of one length
	if frames <= 1 {
		s.shield.recent = nil
		return
	}
	s.shield.recent = new(redundancy.Recent)
	if x.joiner == nil {
		x.joiner = new(opus.Joiner)
	}
}

// unjoin forgets what is held and what was sent; the caller holds mu.
func (s *slot) unjoin() {
	if s.joined.joiner != nil {
		s.joined.joiner.Clear()
		s.joined.from = nil
	}
	if s.shield.recent != nil {
		s.shield.recent.Clear()
	}
}

// gather takes a packet of a voice where packets are joined, and tells whether it has; if not it is to leave as it is,
// and what was held has left. The caller holds mu.
func (s *slot) gather(now time.Time, e *encoding, c codec.Name, p *codec.Packet, newest bool) bool {
	x := &s.joined
	if x.frames <= 1 || !newest || e.stream != s.rewriter.Current() {
		s.flush(now)
		return false
	}
	if !x.joiner.Take(p) {
		s.flush(now)
		if !x.joiner.Take(p) {
			return false
		}
	}
	s.shield.traffic.Add(p.Payload)
	if x.from == nil {
		x.from, x.codec, x.since = e, c, now
		s.shield.purse.voiceWaits()
	}
	if x.joiner.Duration() >= time.Duration(x.frames)*frame {
		s.flush(now)
	}
	return true
}

// flush sends what is held as one packet; the caller holds mu.
func (s *slot) flush(now time.Time) {
	x := &s.joined
	if !x.holds() {
		return
	}
	p, packets := x.joiner.Packet()
	var out, skipped forward.Out
	verdict := s.rewriter.Forward(now, x.from.stream, x.codec, &p, true, &out)
	next := p
	for range packets - 1 {
		next.Seq++
		s.rewriter.Skip(x.from.stream, x.codec, &next, true, &skipped)
	}
	if verdict == forward.Forwarded {
		s.send(now, x.from, x.codec, &p, true, &out)
	}
	x.joiner.Clear()
	x.from = nil
}

// due sends what is held for as long as it lasts at most, and tells whether something still is.
func (s *slot) due(now time.Time) (holds bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &s.joined
	if x.holds() && now.Sub(x.since) >= time.Duration(x.frames)*frame {
		s.flush(now)
	}
	return x.holds()
}

// wrapJoined is wrap where packets are joined: what is carried are earlier ones as they left. They are of this
// occupant, for unjoin has forgotten all others'. Decided once a second, the pattern would go on being sent when a second
// voice begins, and fill a thin path's queue for a second.
func (x *shield) wrapJoined(now time.Time, p *codec.Packet, out *forward.Out) (payload []byte, blocks int) {
	sent := *p
	sent.Seq, sent.Timestamp = out.Seq, out.Timestamp
	x.recent.Put(&sent)
	payload, blocks = x.recent.Wrap(&sent, x.pattern)
	if !x.purse.mayCarry(now, redundancy.Overhead+len(p.Payload), len(payload)-len(p.Payload)) {
		return p.Payload, 0
	}
	return payload, blocks
}

// mayCarry tells whether the peer's path has room for more bytes in a packet that is sent anyway.
func (p *Peer) mayCarry(now time.Time, bytes, more int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := &p.protection.said
	x.Spend(bytes)
	if !x.Left(now) {
		return false
	}
	x.Spend(more)
	return true
}

// joinInterval is how often it is looked whether something is held for too long. No other tick is a multiple of it.
const joinInterval = 19_300 * time.Microsecond

// voices sends what is held of peers' voices for too long: who has stopped speaking sends nothing that would do it.
func (r *release) voices(now time.Time, peers []*Peer) {
	r.running = false
	for _, p := range peers {
		if !p.path.holds.Swap(false) {
			continue // looked at before, so that who begins to hold now is not overlooked
		}
		_, slots := p.media()
		for _, s := range slots {
			if s.kind == codec.Audio && s.due(now) {
				p.path.holds.Store(true)
				r.begin()
			}
		}
	}
}

// voiceWaits wakes the room's timer.
func (p *Peer) voiceWaits() {
	p.path.holds.Store(true)
	select {
	case p.room.holds <- struct{}{}:
	default: // it will look anyway
	}
}
