package port

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// keepQueueBytes is how much room a queue keeps in any case: a frame of video and some audio. More, from
// a burst, is given back when it is not used any more.
const keepQueueBytes = 16 << 10

// queue holds the datagrams of one participant between the port's reader, which never waits, and
// pion's. It has two halves: one is filled while the other is emptied, so that a burst costs two locks
// instead of two a datagram. Each half holds queuePackets at most.
type queue struct {
	mu      sync.Mutex
	filling half

	reading  sync.Mutex // one reader at a time
	emptying half
	at       int // next of emptying.datagrams
	offset   int // of its bytes

	waiting atomic.Bool
	wake    chan struct{} // capacity 1
}

// half is datagrams, one behind the other.
type half struct {
	bytes     []byte
	datagrams []arrived
}

type arrived struct {
	size int
	from netip.AddrPort
}

// push queues a copy of b; it reports false when the queue is full. The reader sleeps until signal.
func (q *queue) push(b []byte, from netip.AddrPort) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.filling.datagrams) == queuePackets {
		return false
	}
	q.filling.bytes = append(q.filling.bytes, b...)
	q.filling.datagrams = append(q.filling.datagrams, arrived{size: len(b), from: from})
	return true
}

// signal wakes the reader if it waits.
func (q *queue) signal() {
	if q.waiting.Load() && q.waiting.Swap(false) {
		select {
		case q.wake <- struct{}{}:
		default: // it has not been noticed since the last time
		}
	}
}

// pop takes the oldest datagram; ok is false when there is none, and then wake will tell of the next.
// b is valid until the next pop. The caller holds reading.
func (q *queue) pop() (b []byte, from netip.AddrPort, ok bool) {
	if q.at == len(q.emptying.datagrams) && !q.swap() {
		return nil, netip.AddrPort{}, false
	}
	d := q.emptying.datagrams[q.at]
	b = q.emptying.bytes[q.offset : q.offset+d.size]
	q.at++
	q.offset += d.size
	return b, d.from, true
}

// swap makes what has been filled be emptied; it reports false if that is nothing.
func (q *queue) swap() bool {
	if room := cap(q.emptying.bytes); room > keepQueueBytes && len(q.emptying.bytes) < room/8 {
		q.emptying = half{}
	}
	q.at, q.offset = 0, 0
	q.emptying.bytes, q.emptying.datagrams = q.emptying.bytes[:0], q.emptying.datagrams[:0]
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.filling.datagrams) == 0 {
		q.waiting.Store(true)
		return false
	}
	q.filling, q.emptying = q.emptying, q.filling
	return true
}
