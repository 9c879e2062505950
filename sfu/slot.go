package sfu

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/redundancy"
	"github.com/bedside-video/bedside/sfu/transport"
)

// maxPayload bounds what a retransmission copies; a datagram on the internet carries no more.
const maxPayload = 1500

// slot is one m-line of a subscriber: what flows through it changes, its SSRC and its numbers go
// on for as long as the connection lives.
type slot struct {
	mid   string
	kind  codec.Kind
	index int // among the slots of its kind
	out   outlet

	sitting *sitting // nil: empty; the room's goroutine alone

	mu       sync.Mutex
	occupant *Subscription // nil: empty
	rewriter forward.Rewriter
	history  forward.History
	rtxSeq   uint16
	shield   shield       // of audio
	asks     atomic.Int32 // bit/s, of the voice in it; 0: nothing
	delivery delivered
	joined   joined // voices
}

// outlet is where a slot's packets go; *transport.Slot is one.
type outlet interface {
	Write(o transport.Outgoing, payload []byte) error
	WriteRTX(o transport.Outgoing, payload []byte) error
	SSRC() uint32
	TakesRED() bool
	Pad(seq uint16, timestamp uint32) bool
	repeater
	queue
}

// queue is what has not left yet.
type queue interface {
	Holds(seq uint16) bool
	Drop() (pictures int)
	Sent() (packets, octets uint32)
}

// repeater sends audio once more.
type repeater interface {
	Repeats() bool
	Repeat(now time.Time, seq uint16, most time.Duration) (bytes int)
}

// assign hands the slot to sub, or empties it. The returned RTP timestamp is the first that the new
// occupant's packets can have; when assign returns, no packet of the previous one follows.
func (s *slot) assign(now time.Time, sub *Subscription) (boundary uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.occupant = sub
	s.joined.frames = 0 // until carry says what it is for them
	s.unjoin()
	// What the previous occupant sent is nobody's business any more, not even as a retransmission.
	s.history.Clear()
	s.drop()
	return s.rewriter.Reassign(now)
}

// send sends a packet of the occupant; the caller holds mu.
func (s *slot) send(now time.Time, e *encoding, c codec.Name, p *codec.Packet, newest bool, out *forward.Out) {
	if s.kind == codec.Video || s.out.Repeats() {
		s.history.Put(now, forward.Entry{Out: *out, Stream: e.stream, SrcSeq: p.Seq, Codec: c})
	}
	payload, blocks := s.shield.wrap(now, e, p, newest, out)
	s.shield.note(out.Seq, blocks)
	if blocks > 0 {
		e.publication.peer.tally.redundant.Add(1)
	}
	out.Patch(payload)
	s.write(transport.Outgoing{Codec: c, Seq: out.Seq, Timestamp: out.Timestamp, Marker: p.Marker, Blocks: blocks, At: now}, payload)
	out.Restore(payload)
}

// pad fills the place of a packet that is left out, lest the receiver ask for it; the caller holds mu.
func (s *slot) pad(c codec.Name, out *forward.Out) {
	s.write(transport.Outgoing{Codec: c, Seq: out.Seq, Timestamp: out.Timestamp}, nil)
}

// write writes one packet and keeps the account; the caller holds mu.
func (s *slot) write(o transport.Outgoing, payload []byte) {
	if err := s.out.Write(o, payload); err != nil {
		s.delivery.failed++
		if errors.Is(err, transport.ErrFull) {
			s.giveUp()
		}
		return
	}
	s.delivery.sent(o.Seq)
}

// giveUp makes room where too much waits: pictures go on with the next key frame, which the room asks for, and what
// was dropped is not sent for a NACK either. The caller holds mu.
func (s *slot) giveUp() {
	s.drop()
	s.history.Clear()
	s.rewriter.Resync()
}

// drop forgets what waits; the caller holds mu.
func (s *slot) drop() { s.delivery.holes += int64(s.out.Drop()) }

// retransmit answers p's NACK for the slot's packets seqs, each at most once in a round trip, and as far
// as there is room for repairs. It returns how many were sent and how many could not be.
func (s *slot) retransmit(now time.Time, p *Peer, seqs []uint16) (sent, missed int) {
	var buf [2 + maxPayload]byte
	roundTrip, copies := p.roundTrip(), p.repairCopies()
	for i, seq := range seqs {
		if !p.path.mayRepair(now) {
			return sent, missed + len(seqs) - i
		}
		s.mu.Lock()
		sub := s.occupant
		if s.out.Holds(seq) { // it has not left yet
			s.mu.Unlock()
			continue
		}
		entry, ok := s.history.Resend(now, seq, roundTrip)
		s.mu.Unlock()
		if sub == nil || !ok {
			missed++
			continue
		}
		payload, marker, ok := sub.publication.cached(entry.Stream, entry.SrcSeq, buf[:2])
		if !ok || !s.sendRTX(sub, entry, payload, marker, copies) {
			missed++
			continue
		}
		p.path.repaired(copies * len(payload))
		sent++
	}
	return sent, missed
}

// repeat answers a NACK for packets of audio: each goes out again as it was, while that is in time.
func (p *Peer) repeat(now time.Time, s *slot, seqs []uint16) (sent, missed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	came := redundancy.Came(seqs)
	for _, seq := range seqs {
		_, ok := s.history.Resend(now, seq, p.roundTrip())
		if !ok || s.occupant == nil || s.shield.sent.Carried(came, seq) || !p.mayRepeat(now) {
			missed++
			continue
		}
		bytes := s.out.Repeat(now, seq, inTime-margin)
		if bytes == 0 {
			missed++
			continue
		}
		p.repeated(bytes)
		s.delivery.resent++
		sent++
	}
	return sent, missed
}

// sendRTX sends payload, which has room for the original sequence number in front, unless the slot
// has changed hands since it was looked up.
func (s *slot) sendRTX(sub *Subscription, entry forward.Entry, payload []byte, marker bool, copies int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.occupant != sub {
		return false
	}
	entry.Out.Patch(payload[2:])
	binary.BigEndian.PutUint16(payload, entry.Out.Seq) // RFC 4588 section 4
	s.delivery.resent++
	for range copies {
		s.rtxSeq++
		_ = s.out.WriteRTX(transport.Outgoing{
			Codec: entry.Codec, Seq: s.rtxSeq, Timestamp: entry.Out.Timestamp, Marker: marker,
		}, payload)
	}
	return true
}

// probe sends a packet of padding where retransmissions go; false where the client takes none.
func (s *slot) probe() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rtxSeq++
	return s.out.Pad(s.rtxSeq, 0)
}

// holder returns who is in the slot now.
func (s *slot) holder() *Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.occupant
}

// resync makes the occupant wait for a key frame because packets of it were kept back.
func (s *slot) resync(sub *Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.occupant == sub {
		s.unjoin()
		s.rewriter.Resync()
	}
}
