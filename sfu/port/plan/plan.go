// Package plan decides how the datagrams that wait for one socket become the messages of sendmmsg(2),
// of which each goes to one destination and is cut into datagrams by the kernel (UDP_SEGMENT).
package plan

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// What one message may hold.
const (
	// MaxSegments is the kernel's UDP_MAX_SEGMENTS, which was 64 before Linux 6.9 made it 128.
	MaxSegments = 64
	// MaxBytes is what an IPv4 datagram may carry, which is the bound before it is cut.
	MaxBytes = 65507
	// MaxSegment is what fits an Ethernet by IPv6 (1500 - 40 - 8). The kernel refuses to cut into
	// datagrams that would have to be fragmented; alone it fragments them.
	MaxSegment = 1452
)

// Datagram is one that waits. The caller knows it by its index.
type Datagram struct {
	To     netip.AddrPort
	Offset int // of its bytes, wherever the caller keeps them
	Size   int
}

// Message is a run of datagrams to one destination: all have the size Segment but the last, which may
// be shorter.
type Message struct {
	To      netip.AddrPort
	First   int // index of its first datagram; see Plan.Next for the others
	Count   int
	Segment int
	Bytes   int

	last   int
	closed bool // a shorter one is its last
}

// Plan is the messages that a list of datagrams becomes. It is re-used from list to list and allocates
// only while lists grow.
type Plan struct {
	Messages []Message

	next []int32 // of each datagram, the one that follows it in its message; -1 is the end
	open []entry // hash table: the message of each destination that takes more
	list uint32  // which list this is: entries of others count as empty
}

// entry of the hash table.
type entry struct {
	list    uint32
	message int32
}

// Make plans for a list of datagrams. Each is in exactly one message, and those of one destination
// keep their order, in a message and from message to message. Without merge each is a message of its
// own.
func (p *Plan) Make(datagrams []Datagram, merge bool) {
	p.Messages = p.Messages[:0]
	p.next = p.next[:0]
	if !merge || len(datagrams) == 1 {
		for i := range datagrams {
			p.begin(i, &datagrams[i])
		}
		return
	}
	p.clear(len(datagrams))
	var same *entry // of the destination of the one before: a frame's packets come one after the other
	for i := range datagrams {
		d := &datagrams[i]
		if same == nil || p.Messages[same.message].To != d.To {
			same = p.find(d.To)
		}
		if same.list == p.list {
			if m := &p.Messages[same.message]; m.takes(d) {
				p.join(m, i, d)
				continue
			}
		}
		*same = entry{list: p.list, message: int32(len(p.Messages))}
		p.begin(i, d)
	}
}

// Next returns the index of the datagram that follows in the same message; -1 after the last.
func (p *Plan) Next(i int) int { return int(p.next[i]) }

func (p *Plan) begin(i int, d *Datagram) {
	p.next = append(p.next, -1)
	p.Messages = append(p.Messages, Message{To: d.To, First: i, Count: 1, Segment: d.Size, Bytes: d.Size, last: i})
}

func (p *Plan) join(m *Message, i int, d *Datagram) {
	p.next = append(p.next, -1)
	p.next[m.last] = int32(i)
	m.last = i
	m.Count++
	m.Bytes += d.Size
	m.closed = d.Size < m.Segment
}

func (m *Message) takes(d *Datagram) bool {
	return !m.closed && d.Size > 0 && d.Size <= m.Segment && m.Segment <= MaxSegment &&
		m.Count < MaxSegments && m.Bytes+d.Size <= MaxBytes
}

// clear makes the table fit n destinations and empties it.
func (p *Plan) clear(n int) {
	p.list++
	if len(p.open) < 2*n || p.list == 0 { // 0: the counter has wrapped, and old entries would come back
		p.open = make([]entry, max(len(p.open), 1<<bits.Len(uint(2*n))))
		p.list = 1
	}
}

// find returns the entry of a destination, or the empty one where it belongs. At most half of the table
// is in use, so there always is one.
func (p *Plan) find(to netip.AddrPort) *entry {
	mask := uint64(len(p.open) - 1)
	for at := Hash(to) & mask; ; at = (at + 1) & mask {
		if e := &p.open[at]; e.list != p.list || p.Messages[e.message].To == to {
			return e
		}
	}
}

// Hash mixes an address by multiplication (Fibonacci hashing: Knuth, volume 3, section 6.4). A product's high bits
// depend on all bits of what is multiplied, its low ones on the low ones alone: many participants behind one NAT differ
// in nothing but their ports.
func Hash(to netip.AddrPort) uint64 {
	const golden = 0x9e3779b97f4a7c15
	a := to.Addr().As16()
	h := binary.BigEndian.Uint64(a[:8])*golden ^ binary.BigEndian.Uint64(a[8:])
	h = (h ^ h>>32 ^ uint64(to.Port())) * golden
	return h ^ h>>32
}
