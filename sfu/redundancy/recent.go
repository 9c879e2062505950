package redundancy

import (
	"slices"

	"github.com/bedside-video/bedside/sfu/codec"
)

const (
	kept = 16 // packets; more than the farthest reach, a power of two
	// maxBytes of a RED payload: with the headers of IP, UDP, TURN, RTP and SRTP it stays below the 1,200
	// bytes that browsers keep to. Voice has 60 to 80 a packet; music may have to do with fewer copies.
	maxBytes = 1000
)

// Recent keeps the last packets of one audio encoding and builds RED of them, once for all
// subscribers of one pattern. Its memory is bounded: 16 payloads of 1,023 bytes at most, and one RED
// payload for each pattern.
type Recent struct {
	packets [kept]recent
	wrapped [patterns]wrapped
	blocks  [MaxDepth]codec.Block
}

type recent struct {
	known   bool
	seq     uint16
	ts      uint32
	payload []byte
}

// wrapped is the RED of one packet.
type wrapped struct {
	known   bool
	seq     uint16
	blocks  int
	payload []byte
}

// Put keeps a packet. What is too long for a block is forgotten.
func (r *Recent) Put(p *codec.Packet) {
	x := &r.packets[p.Seq%kept]
	if x.known && int16(p.Seq-x.seq) < 0 {
		return // late, and its place taken
	}
	x.known = len(p.Payload) > 0 && len(p.Payload) <= codec.MaxREDLength
	x.seq, x.ts = p.Seq, p.Timestamp
	if x.known {
		x.payload = append(x.payload[:0], p.Payload...)
	}
}

// Wrap returns p's payload as RED with so many earlier ones, or as it is with none. The result is valid
// until the next packet is wrapped, whose number must be another.
func (r *Recent) Wrap(p *codec.Packet, pattern Pattern) (payload []byte, blocks int) {
	if pattern == None || len(p.Payload) == 0 {
		return p.Payload, 0
	}
	w := &r.wrapped[pattern]
	if !w.known || w.seq != p.Seq {
		r.build(w, p, pattern)
	}
	if w.blocks == 0 {
		return p.Payload, 0
	}
	return w.payload, w.blocks
}

func (r *Recent) build(w *wrapped, p *codec.Packet, pattern Pattern) {
	blocks := r.blocks[:0]
	size := 1 + len(p.Payload)
	distances := pattern.distances() // the nearest first: it is the one to have
	for _, d := range distances[:pattern.Depth()] {
		x := &r.packets[(p.Seq-d)%kept]
		offset := p.Timestamp - x.ts
		if !x.known || x.seq != p.Seq-d || offset == 0 || offset > codec.MaxREDOffset || size+4+len(x.payload) > maxBytes {
			continue
		}
		size += 4 + len(x.payload)
		blocks = append(blocks, codec.Block{Offset: uint16(offset), Payload: x.payload})
	}
	slices.Reverse(blocks)
	*w = wrapped{known: true, seq: p.Seq, blocks: len(blocks), payload: codec.AppendRED(w.payload[:0], blocks, p.Payload)}
}

// Clear forgets everything, so that nothing of before is carried after.
func (r *Recent) Clear() {
	for i := range r.packets {
		r.packets[i].known = false
	}
	for i := range r.wrapped {
		r.wrapped[i].known = false
	}
}
