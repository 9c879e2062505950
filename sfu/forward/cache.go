package forward

import "github.com/bedside-video/bedside/sfu/codec"

// Cache keeps the last packets' payloads of one encoding, for the retransmissions to all of its
// subscribers. It is bounded in packets and in bytes, whichever is reached first, and allocates
// both with the first packet. The oldest go first.
type Cache struct {
	packets int
	size    int
	entries []cached
	ring    []byte
	head    uint64 // bytes ever written, and skipped at the ring's end
}

// cached is one payload: where it starts, counted like head.
type cached struct {
	at     uint64
	size   uint16
	seq    uint16
	marker bool
	valid  bool
}

// NewCache returns a Cache of so many packets, rounded up to a power of two, and payload bytes.
// 512 and 256 KiB are 1.4 s of the highest camera layer, 1,500 kbit/s.
func NewCache(packets, bytes int) Cache {
	n := 1
	for n < packets {
		n *= 2
	}
	return Cache{packets: n, size: bytes}
}

// Put copies p's payload. A packet that is so late that a newer one has its place is not kept,
// nor one larger than the whole cache.
func (c *Cache) Put(p *codec.Packet) {
	if c.entries == nil {
		c.entries = make([]cached, c.packets)
		c.ring = make([]byte, c.size)
	}
	n := len(p.Payload)
	e := &c.entries[int(p.Seq)%c.packets]
	newer := e.seq - p.Seq
	if n > c.size || n > 1<<16-1 || c.holds(e) && newer > 0 && newer < lateLimit {
		return
	}
	if end := int(c.head % uint64(c.size)); end+n > c.size {
		c.head += uint64(c.size - end) // payloads are kept in one piece
	}
	*e = cached{at: c.head, size: uint16(n), seq: p.Seq, marker: p.Marker, valid: true}
	copy(c.ring[c.head%uint64(c.size):], p.Payload)
	c.head += uint64(n)
}

// Get appends the payload of the packet seq to buf, which may be nil, and returns the result: the
// caller owns it and may patch it. It returns false for a packet that is not kept (any more).
func (c *Cache) Get(seq uint16, buf []byte) (payload []byte, marker, ok bool) {
	if c.entries == nil {
		return nil, false, false
	}
	e := &c.entries[int(seq)%c.packets]
	if e.seq != seq || !c.holds(e) {
		return nil, false, false
	}
	at := int(e.at % uint64(c.size))
	return append(buf, c.ring[at:at+int(e.size)]...), e.marker, true
}

// holds tells whether e's bytes have not been written over.
func (c *Cache) holds(e *cached) bool {
	return e.valid && c.head-e.at <= uint64(c.size)
}
