package sfu

import (
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/redundancy"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// protection decides how much of a peer's audio is repeated. Peer.mu guards it.
type protection struct {
	meter      redundancy.Meter
	controller redundancy.Controller
	pattern    redundancy.Pattern // decided last
	repeats    redundancy.Allowance
	rate       redundancy.Rate
	joining    redundancy.Joining
	said       redundancy.Allowance // of joined voices and their copies
	frames     int                  // of 20 ms in a packet of a voice
	asks       int                  // bit/s of each voice, 0 for nothing
	lossy      bool                 // enough is lost for repairs to be sent twice
	alone      bool                 // see soundAlone
}

// inTime is how much later than without loss audio may come and be of use: what ITU-T G.114 allows a
// conversation in all.
const inTime = 400 * time.Millisecond

// margin is what a packet that is sent again may wait on its way.
const margin = 20 * time.Millisecond

// pathOf is what the state of an estimate says of the path.
func pathOf(state bwe.State) redundancy.Path {
	switch state {
	case bwe.Rising:
		return redundancy.Idle
	case bwe.Draining, bwe.Losing, bwe.Competing:
		return redundancy.Full
	}
	return redundancy.Open
}

// shield is a slot's part of it; slot.mu guards it.
type shield struct {
	pattern  redundancy.Pattern
	followed int                // newest packets since the occupant's first, as far as it matters
	traffic  redundancy.Traffic // since it was last taken
	quiet    float64            // of the last seconds, the share in which nothing was said
	sent     redundancy.Sent    // what the last packets carried
	purse    purse              // the peer
	recent   *redundancy.Recent // what left in packets of several frames; nil: encoding.recent has it
	// What reports had told of the slot by then.
	packets, missing uint64
}

// wrap returns the payload of a packet with what protects it. What the occupant said before the slot was
// theirs is not in it: somebody who has just been let in hears nothing of before.
func (x *shield) wrap(now time.Time, e *encoding, p *codec.Packet, newest bool, out *forward.Out) (payload []byte, blocks int) {
	if e.recent == nil {
		return p.Payload, 0
	}
	if out.Switched {
		x.followed = 0
	}
	if !newest {
		return p.Payload, 0
	}
	if x.recent != nil {
		return x.wrapJoined(now, p, out)
	}
	followed := x.followed
	x.followed = min(x.followed+1, redundancy.MaxReach)
	if followed < x.pattern.Reach() {
		return p.Payload, 0
	}
	return e.recent.Wrap(p, x.pattern)
}

// note notes what a packet carries.
func (x *shield) note(seq uint16, blocks int) {
	if blocks == x.pattern.Depth() {
		x.sent.Note(seq, x.pattern)
	} else {
		x.sent.Note(seq, redundancy.None)
	}
}

// received takes transport-wide feedback.
func (p *Peer) received(x *twcc.Feedback) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.protection.meter.Feedback(x)
}

// mayRepeat tells whether the peer's path has room for audio that is sent again; repeated, that so many
// bytes of it were.
func (p *Peer) mayRepeat(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.protection.repeats.Left(now)
}

func (p *Peer) repeated(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.protection.repeats.Spend(bytes)
}

// heard is what a peer's audio slots sent in a second.
type heard struct {
	traffic          redundancy.Traffic // without redundancy
	voices           redundancy.Voices
	open             int    // voices that are not muted
	packets, missing uint64 // as reports told
}

// listen takes what the slots have sent since the last call.
func listen(slots []*slot) (h heard) {
	for _, s := range slots {
		if s.kind != codec.Audio {
			continue
		}
		t, expected, lost := s.spoken()
		h.traffic.Packets += t.Packets
		h.traffic.Bytes += t.Bytes
		h.traffic.Sound += t.Sound
		h.packets += expected
		h.missing += lost
		sub := s.holder()
		if sub != nil && sub.publication.source != codec.Mic {
			h.voices.Others += t.Bits(0)
			continue
		}
		h.voices.Packets += t.Packets
		h.voices.Sound += t.Sound
		if sub != nil && !sub.publication.muted.Load() {
			h.open++
		}
	}
	return h
}

// protect decides once a second how long the packets of the peer's audio slots are, what they carry, and which bitrate
// their voices are asked for.
func (p *Peer) protect(now time.Time, slots []*slot) {
	h := listen(slots)
	budget := p.budget()
	if !budget.Known {
		budget.Bitrate = 0
	}
	path := pathOf(budget.State)
	p.mu.Lock()
	x := &p.protection
	long := x.frames
	pictures := len(p.dividing.wants) > 0
	most := redundancy.MostFrames
	if x.alone && h.open == 1 {
		most = redundancy.LoneFrames
	}
	x.frames = x.joining.Decide(now, h.open, most, budget.Bitrate, path, !pictures)
	traffic := h.traffic.Joined(x.frames)
	room := traffic.Room(budget.Bitrate)
	if x.frames > 1 {
		room = max(1, room) // each packet finds out whether its copy still fits: see mayCarry
	}
	x.meter.Delivered(h.packets, h.missing)
	was, asked := x.pattern, x.asks
	x.pattern = x.controller.Decide(now, &x.meter, room, x.frames, path)
	x.asks = x.rate.Decide(now, h.voices.Joined(x.frames), redundancy.Beside(pictures, budget.Bitrate), path, x.controller.Wanted())
	loss, known := x.meter.Loss()
	x.lossy = known && loss >= lossy
	x.alone = known && x.soundAlone(loss)
	frames, pattern, asks, burst := x.frames, x.pattern, x.asks, x.meter.Burst()
	if x.said.Set(now, budget.Bitrate); pictures {
		x.said.Set(now, min(p.dividing.sound, budget.Bitrate))
	}
	x.repeats.Set(now, traffic.Spare(budget.Bitrate, pattern.Depth()))
	x.meter.Age()
	p.mu.Unlock()
	for _, s := range slots {
		if s.kind == codec.Audio {
			s.carry(pattern, frames)
			s.asks.Store(int32(asks))
		}
	}
	if pattern != was || asks != asked || frames != max(long, 1) {
		p.room.server.log.Info("audio redundancy", "room", p.room.id, "peer", p.o.ID, "pattern", pattern.String(),
			"loss", loss, "burst", burst.Round(time.Millisecond), "allowed", room, "rate", asks, "frames", frames)
	}
}

// leastCopies is how many earlier packets each of the peer's voices is reckoned to carry at least: one, until it is
// known whether anything is lost. Who begins with a picture that leaves no room for it has to leave that soon.
func (p *Peer) leastCopies() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.protection.meter.Loss(); known {
		return 0
	}
	return 1
}

// needy is from which loss on voices are alone on a thin path; a queue that overflows now and then loses 3 %.
const needy = 0.04

// soundAlone tells whether the peer's voices need what there is: they lose, and are asked for as little as a voice takes,
// or have fewer copies than that calls for. Then whoever has no room for a picture has no slide show either, and the
// path is not probed for one: on so thin a path a key frame and padding stand before a voice, and what plays with its
// lips waits for a picture, too (behind 60 kbit/s, 10 % lost, Chromium 156, 2026-11-23: sound waited 181 and 188 ms, and
// 130 without both). That there is room again shows when the voices are asked for more (see redundancy.Rate).
func (x *protection) soundAlone(loss float64) bool {
	from := needy
	if x.alone {
		from /= 2
	}
	return loss >= from && (x.rate.Least() || x.pattern.Depth() < x.controller.Wanted())
}

// wrapping is how many frames each packet of the slot has, and how many earlier packets it carries, or so many where its
// client reads them.
func (s *slot) wrapping(least int) (frames, copies int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames = max(1, s.joined.frames)
	if !s.out.TakesRED() {
		return frames, 0
	}
	return frames, max(least, s.shield.pattern.Depth())
}

// spoken takes what was sent through the slot, without redundancy, and what reports told of packets that
// were to come and were lost on the way, each since the last call.
func (s *slot) spoken() (t redundancy.Traffic, expected, lost uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, d := &s.shield, &s.delivery
	if off := 1 - min(1, float64(x.traffic.Bits(0))/quietBelow) - x.quiet; off > 0 {
		x.quiet += off / quietOver
	} else {
		x.quiet += off / saidOver
	}
	t, expected, lost = x.traffic, d.packets-x.packets, d.missing-x.missing
	x.traffic, x.packets, x.missing = redundancy.Traffic{}, d.packets, d.missing
	return t, expected, lost
}

// A second with less than quietBelow bit/s is quiet in part; what counts are some saidOver seconds in which
// something was said, and quietOver of silence: what is kept for sound must not waver with each sentence. A voice of
// 16 kbit/s takes 40, and what it sends in a pause, with DTX or without, 2 to 25.
const (
	quietBelow = 40_000
	quietOver  = 30
	saidOver   = 10
)

// quiet is the share of the last seconds in which nothing was said in the slot.
func (s *slot) quiet() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shield.quiet
}

// carry makes the slot's packets carry earlier ones, if the client can read them, and a voice's be of so many frames.
func (s *slot) carry(pattern redundancy.Pattern, frames int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.occupant == nil || s.occupant.publication.source != codec.Mic {
		frames = 1
	}
	s.join(frames)
	if !s.out.TakesRED() {
		pattern = redundancy.None
	}
	s.shield.pattern = pattern
}
