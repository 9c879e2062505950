package bench

import (
	"slices"
	"time"
)

// RED (RFC 2198), written down a second time: what tests the server must not be made of it.

const (
	redPatience = 400 * time.Millisecond // a hole in audio with RED is lost after this
	maxCarried  = 16
	maxREDGap   = 1<<14 - 1 // timestamp units that a block may be older
)

// redBlock is an earlier packet in a later one.
type redBlock struct {
	offset  uint32 // timestamp units before the packet's own
	payload []byte
}

// splitRED takes a redundant payload apart; false for one that is none.
func splitRED(b []byte) (blocks []redBlock, own []byte, ok bool) {
	var sizes []int
	for len(b) > 0 && b[0] >= 0x80 {
		if len(b) < 4 || b[0]&0x7f != payloadOpus || len(blocks) == maxCarried {
			return nil, nil, false
		}
		word := uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		blocks = append(blocks, redBlock{offset: word >> 10})
		sizes = append(sizes, int(word&0x3ff))
		b = b[4:]
	}
	if len(b) == 0 || b[0] != payloadOpus {
		return nil, nil, false
	}
	b = b[1:]
	for i, size := range sizes {
		if len(b) < size {
			return nil, nil, false
		}
		blocks[i].payload, b = b[:size], b[size:]
	}
	return blocks, b, true
}

// carried lists how far back the packets are that each carries, the farthest first; the caller holds mu.
func (e *encoding) carried() []uint16 {
	var back []uint16
	for d := range uint16(min(e.redundancy, maxCarried)) {
		back = append(back, d+1)
	}
	if len(e.carry) > 0 {
		back = slices.Clone(e.carry)
	}
	slices.Sort(back)
	slices.Reverse(back)
	return back
}

// redundant writes a packet with earlier ones in it; the caller holds mu.
func (e *encoding) redundant(p sentPacket) []byte {
	out := e.body[:0]
	var carried [maxCarried]*sentPacket
	n := 0
	for _, back := range e.carried() {
		seq := p.sequence - back
		x := &e.sent[seq%historyPackets]
		offset := p.timestamp - x.timestamp
		if !x.used || x.sequence != seq || offset == 0 || offset > maxREDGap {
			continue
		}
		size := uint32(len(x.payload))
		out = append(out, 0x80|e.to.pt, byte(offset>>6), byte(offset<<2|size>>8), byte(size))
		carried[n] = x
		n++
	}
	out = append(out, e.to.pt)
	for _, x := range carried[:n] {
		out = append(out, x.payload...)
	}
	e.body = append(out, p.payload...)
	return e.body
}

// arrivedRED accounts for one redundant packet and for the earlier ones in it that have not come.
func (c *connection) arrivedRED(now time.Time, s *slot, p Inbound) {
	blocks, own, ok := splitRED(p.Payload)
	if !ok {
		c.arrived(now, s, p, len(p.Payload)) // without a tag, and counted as that
		return
	}
	size := len(p.Payload)
	p.Payload = own
	s.expectRedundancy()
	c.arrived(now, s, p, size)
	tags := voiceTags(nil, own)
	if len(tags) == 0 {
		return
	}
	for _, b := range blocks {
		c.arrivedBlock(now, s, p, tags[0], b)
	}
}

// arrivedBlock accounts for an earlier packet in p, whose first tag is own. What its number was follows from the
// tags, as a voice numbers its frames one by one: exactly as long as packets have the same number of frames.
func (c *connection) arrivedBlock(now time.Time, s *slot, p Inbound, own Tag, b redBlock) {
	tags := voiceTags(nil, b.payload)
	if len(tags) == 0 || tags[0].Sender != own.Sender || tags[0].Source != own.Source || !s.misses(tags) {
		return
	}
	back := (own.Frame - tags[0].Frame + uint32(len(tags)) - 1) / uint32(len(tags))
	in := Inbound{
		Sequence: p.Sequence - uint16(back), Timestamp: p.Timestamp - b.offset, Repaired: true, Redundant: true, Payload: b.payload,
	}
	if s.lacks(in.Sequence) {
		c.arrived(now, s, in, 0)
		return
	}
	s.note(tags)
	c.observe(now, s, in, tags)
}

// expectRedundancy makes the slot wait longer for what is missing: it may yet come in a later packet.
func (s *slot) expectRedundancy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiver.order.patience = max(s.receiver.order.patience, redPatience)
}

// lacks tells whether a packet has not come and would still be of use.
func (s *slot) lacks(sequence uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.receiver.order.lacks(sequence)
}

// lacks tells whether sequence is a hole.
func (r *reorder) lacks(sequence uint16) bool {
	seq := r.unwrap(sequence)
	for _, h := range r.holes {
		if h.seq == seq {
			return true
		}
	}
	return false
}
