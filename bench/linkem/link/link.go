package link

import (
	"fmt"
	"net/netip"
	"time"
)

// Limits of a Link.
const (
	// MaxPacket is the largest packet: what an IP header can say.
	MaxPacket = 1<<16 - 1
	// MaxHeld is how many packets a Link holds, waiting or travelling. What comes when it is full is
	// dropped and counted as if the queue were full; copies are still made of what is held.
	MaxHeld = 1 << 15
)

// Packet is what crosses a Link.
type Packet struct {
	Data []byte
	Peer netip.AddrPort // whom it is from or to: for its owner, the Link does not look at it
}

func (p Packet) bits() int64 { return int64(len(p.Data)) * 8 }

// Link is one direction of an emulated link. It starts nothing and reads no clock: packets are pushed
// in and popped out by an owner who says what time it is and asks with Next when to come again. Times
// must not go back; one that does is taken for the last. It is not safe for use by several goroutines.
type Link struct {
	shape Shape
	limit int64 // bits that may wait for the bottleneck or be in it
	fates fates

	began time.Time     // of the trace
	now   time.Duration // since began, as everything below

	// queue waits for the bottleneck; its first is being sent, the rest of it from started to ends.
	queue         []waiting
	queued        int64 // bits, the first's remaining ones included
	rest          int64 // bits of the first
	started, ends time.Duration

	travelling line
	lastDue    time.Duration
	entered    uint64 // packets, to keep the order of those due at one time
	count      Counters
}

// waiting is a packet in the queue.
type waiting struct {
	Packet
	since time.Duration
}

// New returns an empty link.
func New(now time.Time, shape Shape, seed uint64) (*Link, error) {
	l := &Link{began: now, fates: fates{seed: seed}}
	if err := l.Set(now, shape); err != nil {
		return nil, err
	}
	return l, nil
}

// Set changes the link. What is being sent goes on at the new rate, what waits keeps its place even
// where the new queue is shorter, and what travels arrives as it would have.
func (l *Link) Set(now time.Time, shape Shape) error {
	if err := shape.Validate(); err != nil {
		return fmt.Errorf("link: link: %w", err)
	}
	if shape.Queue == 0 {
		shape.Queue = DefaultQueue
	}
	l.advance(now)
	if len(l.queue) > 0 && l.shape.Rate != nil {
		gone := min(l.rest, l.shape.Rate.sent(l.started, l.now))
		l.rest -= gone
		l.queued -= gone
	}
	l.shape, l.limit = shape, shape.Rate.peak().carries(shape.Queue)
	l.rebase()
	if len(l.queue) > 0 {
		l.started = 0
		l.ends = l.shape.Rate.finish(0, l.rest)
	}
	return nil
}

// rebase makes now the beginning of the trace and of all times.
func (l *Link) rebase() {
	by := l.now
	l.began = l.began.Add(by)
	l.now, l.lastDue = 0, l.lastDue-by
	for i := range l.queue {
		l.queue[i].since -= by
	}
	for i := range l.travelling {
		l.travelling[i].due -= by
	}
}

// Push puts a packet on the link and tells whether there was room. The link keeps the data until Pop
// has returned it, twice if it was duplicated: nobody may change it.
func (l *Link) Push(now time.Time, p Packet) bool {
	l.advance(now)
	l.count.In++
	l.count.InBytes += uint64(len(p.Data))
	full := len(l.queue)+len(l.travelling) >= MaxHeld
	if l.shape.Rate != nil && len(l.queue) > 0 && l.backlog()+p.bits() > l.limit {
		full = true
	}
	if full || len(p.Data) > MaxPacket {
		l.count.Dropped++
		return false
	}
	l.queue = append(l.queue, waiting{Packet: p, since: l.now})
	l.queued += p.bits()
	if len(l.queue) == 1 {
		l.send(l.now)
	}
	l.advance(now) // an unlimited link has sent it
	return true
}

// backlog is what waits or is being sent, in bits, at the time reached.
func (l *Link) backlog() int64 {
	if len(l.queue) == 0 || l.shape.Rate == nil {
		return l.queued
	}
	return l.queued - min(l.rest, l.shape.Rate.sent(l.started, l.now))
}

// Pop takes the next packet that has arrived by now.
func (l *Link) Pop(now time.Time) (Packet, bool) {
	l.advance(now)
	if len(l.travelling) == 0 || l.travelling[0].due > l.now {
		return Packet{}, false
	}
	p := l.travelling.pop().Packet
	l.count.Out++
	l.count.OutBytes += uint64(len(p.Data))
	return p, true
}

// Next returns when Pop is to be asked again, false if the link is empty. Nothing can be popped
// before, but nothing need be there then: a packet may just have left the bottleneck, or be lost.
func (l *Link) Next() (time.Time, bool) {
	switch {
	case len(l.queue) > 0 && (len(l.travelling) == 0 || l.ends < l.travelling[0].due):
		return l.began.Add(l.ends), true
	case len(l.travelling) > 0:
		return l.began.Add(l.travelling[0].due), true
	}
	return time.Time{}, false
}

// Counters returns what crossed the link until the last call that said what time it is.
func (l *Link) Counters() Counters {
	c := l.count
	c.Held = uint64(len(l.queue) + len(l.travelling))
	return c
}

// advance brings the link to a time.
func (l *Link) advance(now time.Time) {
	l.now = max(l.now, now.Sub(l.began))
	for len(l.queue) > 0 && l.ends <= l.now {
		l.leave(l.ends)
	}
}

// send begins to send the first of the queue.
func (l *Link) send(at time.Duration) {
	l.started, l.rest = at, l.queue[0].bits()
	l.ends = l.shape.Rate.finish(at, l.rest)
}

// leave takes the first packet out of the bottleneck and decides what becomes of it.
func (l *Link) leave(at time.Duration) {
	p := l.queue[0]
	l.queue[0] = waiting{} // the array lives on, what it holds need not
	l.queue = l.queue[1:]
	l.queued -= l.rest
	if len(l.queue) > 0 {
		l.send(at)
	}
	l.count.QueueMax = max(l.count.QueueMax, Milliseconds(at-p.since))
	l.fates.ordinal++
	if l.fates.loses(l.shape) {
		l.count.Lost++
		return
	}
	l.travel(at+l.fates.delay(l.shape, original), p.Packet)
	if l.fates.duplicates(l.shape) {
		l.count.Duplicated++
		l.travel(at+l.fates.delay(l.shape, copied), p.Packet)
	}
}

func (l *Link) travel(due time.Duration, p Packet) {
	if !l.shape.Reorder {
		due = max(due, l.lastDue)
	}
	l.lastDue = max(due, l.lastDue)
	l.entered++
	l.travelling.push(travelling{Packet: p, due: due, ordinal: l.entered})
}
