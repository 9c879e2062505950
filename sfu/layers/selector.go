package layers

import (
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

const (
	// stopAfter is how long a subscription that must go down waits for the key frame of the lower encoding
	// before it does without a picture: encoders are deaf for up to 500 ms after one, and a link that is
	// sent more than it takes for longer loses everybody's sound.
	stopAfter = 700 * time.Millisecond
	// remembered is how many frames are known to have been left out when packets of them come late: a
	// second at 30 frames/s.
	remembered = 32
)

// Selector carries out the grants of one subscription: it says for each packet of the encoding that is
// being forwarded whether it is to be left out, with its whole frame. To change to another encoding is
// the business of a forward.Rewriter, at that one's key frame. The zero value forwards everything.
type Selector struct {
	mode  Mode
	limit uint8     // the highest temporal layer granted
	down  time.Time // since when a lower encoding is waited for; zero for not
	shown time.Time // the last key frame

	begun   bool   // frame is known
	frame   uint32 // timestamp of the newest frame
	out     bool   // it is left out
	temp    uint8  // the highest temporal layer that goes out
	skip    uint8  // of the Parts of limit, left out
	chain   uint8  // frames of limit since one that needs no other of them, and before the next after Parts
	gap     bool   // one of them was left out: the next that goes out must not need it
	lost    bool   // frames that others refer to were left out: nothing goes out before a key frame
	dropped [remembered]uint32
	n       int // of dropped, ever
}

// Grant tells what is granted from now on. Down: its encoding is a lower one than what is being forwarded.
func (s *Selector) Grant(now time.Time, g Grant, down bool) {
	if s.mode != g.Mode && g.Mode != Frames {
		s.down = time.Time{}
	}
	s.mode, s.limit, s.skip = g.Mode, min(g.Temporal, Temporals-1), min(g.Skip, Parts-1)
	if !down {
		s.down = time.Time{}
	} else if s.down.IsZero() {
		s.down = now
	}
}

// Switched tells that the packet just forwarded is the first of another encoding, or of this one after a
// break.
func (s *Selector) Switched(now time.Time, p *codec.Packet) {
	s.begun, s.frame, s.out, s.lost = true, p.Timestamp, false, false
	s.down, s.shown = time.Time{}, now
	s.temp = s.limit
	s.chain, s.gap = Parts, false
	s.n = 0
}

// NeedsKeyFrame tells whether nothing goes out before the encoding has a key frame.
func (s *Selector) NeedsKeyFrame(now time.Time) bool {
	switch s.mode {
	case Frames:
		return s.lost && s.down.IsZero()
	case KeyFrames:
		return s.down.IsZero() && now.Sub(s.shown) >= KeyFrameInterval
	}
	return false
}

// Keep decides about a packet of the encoding that is being forwarded; newest is what its Receiver said
// of it. A frame goes out whole or not at all.
func (s *Selector) Keep(now time.Time, p *codec.Packet, newest bool) bool {
	switch {
	case s.begun && p.Timestamp == s.frame:
		return !s.out
	case !newest && s.begun && int32(p.Timestamp-s.frame) < 0:
		return !s.wasDropped(p) && p.VP8.TID <= s.temp
	}
	s.begun, s.frame = true, p.Timestamp
	s.out = !s.begin(now, p)
	if s.out {
		s.dropped[s.n%remembered] = p.Timestamp
		s.n++
	}
	return !s.out
}

// begin decides about a new frame.
func (s *Selector) begin(now time.Time, p *codec.Packet) bool {
	if p.KeyFrame {
		// Libwebrtc's encoders make key frames of all encodings at once: who goes down is not sent the larger one,
		// which is as much as a fifth of a second of everything, in front of the smaller.
		if s.mode == Nothing || !s.down.IsZero() || s.mode == KeyFrames && !s.due(now) {
			s.lost = true
			return false
		}
		s.lost, s.temp, s.shown = false, s.top(), now
		return true
	}
	if s.mode != Frames || s.late(now) {
		s.lost = s.lost || !p.VP8.NonReference
	}
	if s.lost || s.mode != Frames || s.late(now) {
		return false
	}
	tid := p.VP8.TID
	top := s.top()
	if top < s.temp {
		s.temp = top // down at once
	} else if s.temp < top && tid == s.temp+1 && p.VP8.LayerSync {
		s.temp = tid // up where the frame needs nothing that was left out (RFC 7741 section 4.2, Y)
	}
	return tid <= s.temp && (tid == 0 || tid < s.limit || s.thinned(p))
}

// thinned decides about a frame of the highest temporal layer granted. Frames of one may refer to those before
// them (libvpx: 2, 4 and 6 frames after one with the bit Y, RFC 7741 section 4.2), so that of four in a row the
// first are kept.
func (s *Selector) thinned(p *codec.Packet) bool {
	if s.chain >= Parts && (p.VP8.LayerSync || p.VP8.NonReference && !s.gap) {
		s.chain, s.gap = 0, false
	}
	kept := (s.skip == 0 || s.chain < Parts-s.skip) && (!s.gap || p.VP8.LayerSync)
	s.chain = min(s.chain+1, Parts)
	s.gap = !kept && (s.gap || !p.VP8.NonReference)
	return kept
}

// due tells whether the slide show may go on. Others may make the publisher send more key frames than it
// has budget for.
func (s *Selector) due(now time.Time) bool {
	return s.down.IsZero() && (s.shown.IsZero() || now.Sub(s.shown) >= KeyFrameInterval*3/4)
}

// top is the highest temporal layer that may go out.
func (s *Selector) top() uint8 {
	if !s.down.IsZero() {
		return 0
	}
	return s.limit
}

// late tells whether a lower encoding has kept one waiting for too long.
func (s *Selector) late(now time.Time) bool {
	return !s.down.IsZero() && now.Sub(s.down) >= stopAfter
}

func (s *Selector) wasDropped(p *codec.Packet) bool {
	for _, ts := range s.dropped[:min(s.n, remembered)] {
		if ts == p.Timestamp {
			return true
		}
	}
	return false
}
