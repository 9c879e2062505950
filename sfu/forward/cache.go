package forward

import (
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

const (
	// cacheKeeps is for how long a packet may be asked for again. Behind a round trip of 300 ms that is
	// two tries; a browser that still misses it then has asked for a key frame.
	cacheKeeps = 750 * time.Millisecond
	// cacheStep is what a cache begins with, and grows by while it holds less than cacheKeeps: a camera of
	// 1.2 Mbit/s comes to 128 KiB, the lowest of its encodings stays at 32.
	cacheStep = 32 << 10
)

// Cache keeps the payloads of one encoding of the last 750 ms, for the retransmissions to all of its
// subscribers. It is bounded in packets and in bytes, whichever is reached first. The oldest go first.
type Cache struct {
	packets int
	limit   int // bytes
	entries []cached
	ring    []byte
	pos     int       // of the next payload in ring
	head    uint32    // bytes ever written, and skipped at the ring's end; modulo 2^32
	lap     time.Time // when pos was last 0
}

// cached is one payload: where it is, and where it was written, counted like Cache.head.
type cached struct {
	at, pos   uint32
	timestamp uint32
	size      uint16
	seq       uint16
	marker    bool
	valid     bool
}

// NewCache returns a Cache of at most so many packets, rounded up to a power of two, and payload bytes.
func NewCache(packets, bytes int) Cache {
	n := 1
	for n < packets {
		n *= 2
	}
	return Cache{packets: n, limit: bytes}
}

// Put copies p's payload, which came at now. A packet that is so late that a newer one has its place is
// not kept, nor one larger than the whole cache.
func (c *Cache) Put(now time.Time, p *codec.Packet) {
	if c.entries == nil {
		c.entries = make([]cached, c.packets)
		c.ring = make([]byte, min(cacheStep, c.limit))
		c.lap = now
	}
	n := len(p.Payload)
	e := &c.entries[int(p.Seq)%c.packets]
	newer := e.seq - p.Seq
	if n > c.limit || n > 1<<16-1 || c.holds(e) && newer > 0 && newer < lateLimit {
		return
	}
	c.makeRoom(now, n)
	*e = cached{
		at: c.head, pos: uint32(c.pos), timestamp: p.Timestamp, size: uint16(n), seq: p.Seq, marker: p.Marker, valid: true,
	}
	copy(c.ring[c.pos:], p.Payload)
	c.pos += n
	c.head += uint32(n)
}

// makeRoom makes n bytes follow in one piece: it grows a ring that was filled too soon, or begins the
// next lap.
func (c *Cache) makeRoom(now time.Time, n int) {
	for c.pos+n > len(c.ring) && len(c.ring) < c.limit && now.Sub(c.lap) < cacheKeeps {
		c.grow()
	}
	if c.pos+n > len(c.ring) {
		c.head += uint32(len(c.ring) - c.pos)
		c.pos, c.lap = 0, now
	}
}

// grow makes the ring longer where it ends. What is left of the lap before is forgotten: with another
// length, holds could not tell what of it has been written over.
func (c *Cache) grow() {
	for i := range c.entries {
		e := &c.entries[i]
		e.valid = e.valid && c.head-e.at <= uint32(c.pos)
	}
	grown := make([]byte, min(len(c.ring)+cacheStep, c.limit))
	copy(grown, c.ring[:c.pos])
	c.ring = grown
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
	return append(buf, c.ring[e.pos:e.pos+uint32(e.size)]...), e.marker, true
}

// from returns the packets from first to last that are kept, in order: copies, as far as a Packet tells
// what a cache keeps of it. There are none where last is more than the cache holds behind first.
func (c *Cache) from(first, last uint16) (packets []codec.Packet) {
	if c.entries == nil || int(last-first) >= c.packets {
		return nil
	}
	for seq := first; seq != last+1; seq++ {
		if e := &c.entries[int(seq)%c.packets]; e.seq == seq && c.holds(e) {
			payload := append([]byte(nil), c.ring[e.pos:e.pos+uint32(e.size)]...)
			packets = append(packets, codec.Packet{Seq: seq, Timestamp: e.timestamp, Marker: e.marker, Payload: payload})
		}
	}
	return packets
}

// has tells whether all packets from first to last are kept.
func (c *Cache) has(first, last uint16) bool {
	if c.entries == nil || int(last-first) >= c.packets {
		return false
	}
	for seq := first; seq != last+1; seq++ {
		if e := &c.entries[int(seq)%c.packets]; e.seq != seq || !c.holds(e) {
			return false
		}
	}
	return true
}

// holds tells whether e's bytes have not been written over. Within a lap of all entries nobody writes
// 4 GiB, so head modulo 2^32 is enough.
func (c *Cache) holds(e *cached) bool {
	return e.valid && c.head-e.at <= uint32(len(c.ring))
}
