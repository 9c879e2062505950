package sfu

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/layers"
)

// Subscription is the edge from a publication to a participant, living in a slot.
type Subscription struct {
	slot        *slot
	grant       atomic.Pointer[Grant]
	publication *Publication
	since       time.Time
	careful     bool         // begins with the lowest encoding: the network is not known to take more
	needs       atomic.Int32 // bit/s with which the lowest encoding should be sent; 0: it does not matter

	// The rest is guarded by slot.mu.
	granted  *Grant // the one that rewriter and selector know
	rate     int    // of what is being forwarded, as granted
	selector layers.Selector
}

// Grant is the decision for one subscription, and the streams that it names. Immutable.
type Grant struct {
	layers.Grant
	Stream forward.Stream // to be received; 0 for none
	// Better are to be received as soon as they have a key frame, the best last: they are not being sent.
	Better []forward.Stream
	asks   []int // the indices of all these encodings
}

// improves tells whether stream is one of the better ones, and better than current.
func (g *Grant) improves(stream, current forward.Stream) bool {
	return slices.Index(g.Better, stream) > slices.Index(g.Better, current)
}

// take makes a new grant the one that rewriter and selector know.
func (s *Subscription) take(now time.Time, g *Grant) {
	w := &s.slot.rewriter
	current := w.Current()
	if current == g.Stream {
		s.rate = g.Rate
	}
	// Only a network that is full makes it urgent; a smaller tile can wait for its key frame.
	full := g.Reason == layers.ReasonBudget || g.Mode != layers.Frames
	s.selector.Grant(now, g.Grant, full && current != 0 && current != g.Stream && g.Rate < s.rate)
	w.Target(g.Stream)
	s.granted = g
}

// forward decides about the packets of a burst, sends them, and counts what it decided. A payload is
// patched in place and put back: it is shared with the other subscribers, and the transport copies it.
func (s *Subscription) forward(e *encoding, packets []held, counts *[verdicts]uint64) {
	t := s.slot
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.occupant == s {
		if g := s.grant.Load(); g != s.granted && g != nil {
			s.take(packets[0].now, g)
		}
	}
	for i := range packets {
		if t.occupant != s || s.granted == nil {
			counts[forward.DropNotCurrent]++
			continue
		}
		h := &packets[i]
		counts[s.decide(h.now, e, h.codec, &h.packet, &h.booked)]++
	}
}

// decide decides about one packet and sends it; the caller holds slot.mu.
func (s *Subscription) decide(now time.Time, e *encoding, c codec.Name, p *codec.Packet, a *booked) forward.Verdict {
	t := s.slot
	if current := t.rewriter.Current(); c.Kind() == codec.Video && current != 0 && current != e.stream {
		return s.change(now, e, c, a)
	}
	if p.KeyFrame && a.Newest && e.stream != t.rewriter.Current() && s.granted.improves(e.stream, t.rewriter.Current()) {
		t.rewriter.Target(e.stream)
	}
	return s.pass(now, e, c, p, a.Newest)
}

// change goes over to an encoding whose key frame has come whole: what is being forwarded goes on until
// then, however long the last of its packets takes.
func (s *Subscription) change(now time.Time, e *encoding, c codec.Name, a *booked) (v forward.Verdict) {
	w := &s.slot.rewriter
	if s.granted.Mode == layers.Nothing {
		return forward.DropLayer
	}
	if a.whole != nil && s.granted.improves(e.stream, w.Current()) {
		w.Target(e.stream)
	}
	switch pending, _ := w.Pending(); {
	case pending != e.stream:
		return forward.DropNotCurrent
	case a.whole == nil:
		return forward.DropWaitKeyFrame
	}
	if ts, ok := a.aligned(w.Current()); ok {
		w.Align(ts)
	}
	for i := range a.whole {
		if v = s.pass(now, e, c, &a.whole[i], true); i < len(a.whole)-1 {
			e.publication.peer.tally.verdicts[v].Add(1) // a second time: it was waiting before
		}
	}
	return v
}

// pass sends a packet, unless its frame is to be left out.
func (s *Subscription) pass(now time.Time, e *encoding, c codec.Name, p *codec.Packet, newest bool) forward.Verdict {
	t := s.slot
	var out forward.Out
	if e.stream == t.rewriter.Current() && c.Kind() == codec.Video && len(p.Payload) > 0 && !s.selector.Keep(now, p, newest) {
		if v := t.rewriter.Skip(e.stream, c, p, newest, &out); v != forward.Forwarded {
			return v
		}
		t.pad(c, &out)
		return forward.DropLayer
	}
	if e.stream != t.rewriter.Current() && s.granted.Mode == layers.Nothing {
		return forward.DropLayer
	}
	if t.kind == codec.Audio && t.gather(now, e, c, p, newest) {
		return forward.Forwarded
	}
	v := t.rewriter.Forward(now, e.stream, c, p, newest, &out)
	if v != forward.Forwarded {
		return v
	}
	if t.kind == codec.Audio {
		t.shield.traffic.Add(p.Payload)
	}
	if out.Switched {
		s.selector.Switched(now, p)
		s.rate = s.granted.Rate
	}
	t.send(now, e, c, p, newest, &out)
	return v
}

// waits tells which stream a key frame is to be asked for, false for none, and which are in use.
func (s *Subscription) waits(now time.Time) (stream, current forward.Stream, waits bool) {
	t := s.slot
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.occupant != s {
		return 0, 0, false
	}
	if g := s.grant.Load(); g != s.granted && g != nil {
		s.take(now, g)
	}
	if s.granted == nil || s.granted.Mode == layers.Nothing {
		return 0, 0, false
	}
	current = t.rewriter.Current()
	if pending, ok := t.rewriter.Pending(); ok {
		return pending, current, true
	}
	return current, current, current != 0 && s.selector.NeedsKeyFrame(now)
}
