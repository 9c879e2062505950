package port

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/bedside-video/bedside/sfu/port/plan"
)

// What may wait to be sent: some 40 ms at 100,000 datagrams a second. What comes when it is full is
// dropped and counted, as a router would: the senders are the goroutines that also receive.
const (
	outboxDatagrams = 4096
	outboxBytes     = 4 << 20
)

// outbox holds what waits to be sent.
type outbox struct {
	wake chan struct{} // capacity 1: something waits, and the sender sleeps

	mu       sync.Mutex
	waiting  parcel
	sleeping bool // nobody is about to take

	bursts *atomic.Int32 // receivers that are in a burst and take at its end
}

// parcel is datagrams, one behind the other.
type parcel struct {
	bytes     []byte
	datagrams []plan.Datagram
}

func (p *parcel) reset() { p.bytes, p.datagrams = p.bytes[:0], p.datagrams[:0] }

func (p *parcel) at(d *plan.Datagram) []byte { return p.bytes[d.Offset : d.Offset+d.Size] }

func newOutbox(bursts *atomic.Int32) outbox {
	return outbox{wake: make(chan struct{}, 1), sleeping: true, bursts: bursts}
}

// put copies b, behind head unless that is 0, and returns how many wait now; false tells that there is no room.
func (o *outbox) put(head uint32, b []byte, to netip.AddrPort) (int, bool) {
	o.mu.Lock()
	w := &o.waiting
	if len(w.datagrams) == outboxDatagrams || len(w.bytes)+headBytes+len(b) > outboxBytes {
		o.mu.Unlock()
		return outboxDatagrams, false
	}
	offset := len(w.bytes)
	if head != 0 {
		w.bytes = binary.BigEndian.AppendUint32(w.bytes, head)
	}
	w.bytes = append(w.bytes, b...)
	w.datagrams = append(w.datagrams, plan.Datagram{To: to, Offset: offset, Size: len(w.bytes) - offset})
	n := len(w.datagrams)
	wake := o.sleeping && o.bursts.Load() == 0
	if wake {
		o.sleeping = false
	}
	o.mu.Unlock()
	if wake {
		o.prod()
	}
	return n, true
}

// prod makes the sender take.
func (o *outbox) prod() {
	select {
	case o.wake <- struct{}{}:
	default: // it has not noticed the last time yet
	}
}

// take exchanges an empty parcel for what waits; false tells that nothing does, and then wake will tell
// of the next.
func (o *outbox) take(p *parcel) bool {
	p.reset()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting.datagrams) == 0 {
		o.sleeping = true
		return false
	}
	*p, o.waiting = o.waiting, *p
	return true
}

// length is how many datagrams wait.
func (o *outbox) length() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting.datagrams)
}
