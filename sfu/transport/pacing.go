package transport

import (
	"errors"
	"slices"
	"time"

	"github.com/bedside-video/bedside/sfu/pace"
)

// ErrFull tells that a packet was dropped because too much waits. So are all that follow, until some of it has
// left or was dropped.
var ErrFull = errors.New("transport: too much waits to be sent")

// Waiter is told that something waits for Conn.Release, and nothing did before. It must not call the Conn.
type Waiter interface{ Waits() }

// kind says how a packet is paced.
type kind uint8

const (
	sound    kind = iota // never waits
	stuffing             // of a probe: its owner sends no more than the probe is to have
	repair
	picture
)

// waiting is a packet that waits. It gets its transport-wide number and is sealed when it leaves, so that those
// numbers are in the order of the wire; its nonce has been its own since it was put here.
type waiting struct {
	slot    *Slot
	kind    kind
	h       header
	index   uint64
	payload []byte
}

// paced sends a packet, or lets it wait; mu is held. size is about what it takes on the way.
func (c *Conn) paced(now time.Time, s *Slot, k kind, h *header, index uint64, payload []byte, keep *keptPacket) error {
	o := &c.out
	size := headerBytes + extensionBytes + len(payload) + maxOverhead + ipOverhead
	switch {
	case k == sound || k == stuffing:
		o.pacer.Spend(now, size)
	case !o.pacer.Pass(now, size):
		return c.wait(now, waiting{s, k, *h, index, slices.Clone(payload)}, size)
	}
	return c.leave(now, s, h, index, payload, keep)
}

// wait lets a packet wait; mu is held.
func (c *Conn) wait(now time.Time, w waiting, size int) error {
	p := &c.out.pacer
	class := pace.Picture
	if w.kind == repair {
		class = pace.Repair
	}
	first := !p.Waiting()
	if !p.Put(now, class, w, size) {
		return ErrFull
	}
	if first {
		c.out.waiter.Waits()
	}
	return nil
}

// Pace says what the path is estimated to carry, in bit/s, and whom to tell of what waits for it; 0 that nothing needs
// to wait, from when nothing does.
func (c *Conn) Pace(bitrate int, w Waiter) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if bitrate == 0 && o.pacer.Waiting() {
		return // or all of it would leave at once
	}
	o.estimate, o.waiter = bitrate, w
	o.setRate()
}

// setRate lets the pacer not be what keeps a probe from its rate; mu is held.
func (o *outbound) setRate() {
	if o.estimate == 0 {
		o.pacer.Rate(0)
		return
	}
	o.pacer.Rate(max(o.estimate, o.probing))
}

// Release sends what may leave now of what waits, and tells whether something still does: then it is to be called
// again a pace.Grain later.
func (c *Conn) Release(now time.Time) (waits bool) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		w, ok := o.pacer.Next(now)
		if !ok {
			return o.pacer.Waiting()
		}
		_ = c.leave(now, w.slot, &w.h, w.index, w.payload, nil) // lost, as on the way
	}
}

// Holds tells whether the packet seq of the slot waits to be sent, or sent again.
func (s *Slot) Holds(seq uint16) bool {
	o := &s.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.pacer.Waiting() {
		return false
	}
	return o.pacer.Holds(func(w *waiting) bool {
		return w.slot == s && (w.kind == picture && w.h.sequence == seq || w.kind == repair && originalOf(w.payload) == int(seq))
	})
}

// originalOf is the number of the packet that a retransmission repeats; -1 if it does not say.
func originalOf(payload []byte) int {
	if len(payload) < 2 {
		return -1
	}
	return int(payload[0])<<8 | int(payload[1])
}

// Drop forgets what waits of the slot: none of it is sent when Drop has returned. It returns how many of these
// packets were not retransmissions.
func (s *Slot) Drop() (pictures int) {
	o := &s.conn.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.pacer.Waiting() {
		return 0
	}
	o.pacer.Drop(func(w *waiting) bool {
		if w.slot == s && w.kind == picture {
			pictures++
		}
		return w.slot == s
	})
	return pictures
}

// Sent returns what has left through the slot without retransmissions, as sender reports count it (RFC 3550 section
// 6.4.1): packets, and their payload.
func (s *Slot) Sent() (packets, octets uint32) {
	s.conn.out.mu.Lock()
	defer s.conn.out.mu.Unlock()
	return s.packets, s.octets
}
