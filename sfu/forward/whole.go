package forward

import (
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// KeyFrame follows the newest key frame of one encoding until it is whole. Senders spread a large one
// over 50 to 100 ms, and a slow uplink over more (Chromium 156, 2026-11-22); whoever leaves another
// encoding at its first packet stands still until its last. The zero value has seen none.
type KeyFrame struct {
	first, last uint16 // its packets; last is known when ended
	newest      uint16 // of the encoding
	timestamp   uint32
	begun       time.Time
	open        bool // it has begun and is not whole
	ended       bool
}

// Packet notes a packet that is in cache, and tells whether with it the key frame is whole. Newest is
// what the encoding's Receiver said of it. A key frame whose first packet comes late does not count:
// it may be a probe. Nor does one of which the cache has lost the beginning before the end came.
func (k *KeyFrame) Packet(now time.Time, p *codec.Packet, newest bool, cache *Cache) (whole bool) {
	if p.KeyFrame && newest && (!k.open || p.Timestamp != k.timestamp) {
		*k = KeyFrame{first: p.Seq, timestamp: p.Timestamp, begun: now, open: true}
	}
	if newest {
		k.newest = p.Seq
	}
	switch {
	case !k.open:
		return false
	case p.Timestamp == k.timestamp && p.Marker && len(p.Payload) > 0:
		k.last, k.ended = p.Seq, true
	case newest && !k.ended && int32(p.Timestamp-k.timestamp) > 0: // its last packet is missing
		k.last, k.ended = p.Seq-1, true
	}
	if !k.ended || !cache.has(k.first, k.last) {
		return false
	}
	k.open = false
	return true
}

// Packets returns copies of the key frame's packets and of what has come after it.
func (k *KeyFrame) Packets(cache *Cache) []codec.Packet { return cache.from(k.first, k.newest) }

// Arriving tells whether a key frame has begun and is not whole, and may still become it.
func (k *KeyFrame) Arriving(now time.Time) bool { return k.open && now.Sub(k.begun) < keyFrameInterval }

// Timestamp of the key frame.
func (k *KeyFrame) Timestamp() uint32 { return k.timestamp }
