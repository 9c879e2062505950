package port

import (
	"golang.org/x/sys/unix"

	"github.com/bedside-video/bedside/sfu/port/plan"
)

const (
	// volleyMessages are sent with one system call, which takes 1,024 at most.
	volleyMessages = 256
	// volleyPieces bounds the pieces of memory that they consist of.
	volleyPieces = 1024
)

// volley is the arguments of one sendmmsg(2).
type volley struct {
	ipv6     bool // the socket's family
	headers  []mmsghdr
	names    []name
	controls []control
	pieces   []unix.Iovec
	messages []plan.Message // of the headers, at the same index
}

func newVolley(messages int, ipv6 bool) *volley {
	return &volley{
		ipv6: ipv6, headers: make([]mmsghdr, 0, messages), names: make([]name, messages), controls: make([]control, messages),
		pieces: make([]unix.Iovec, 0, volleyPieces),
	}
}

// load takes as many messages as there is room for and returns the rest.
func (v *volley) load(p *parcel, plans *plan.Plan, messages []plan.Message) []plan.Message {
	v.headers, v.pieces = v.headers[:0], v.pieces[:0]
	n := 0
	for ; n < len(messages) && len(v.headers) < cap(v.headers) && len(v.pieces)+messages[n].Count <= cap(v.pieces); n++ {
		m := &messages[n]
		first := len(v.pieces)
		end := -1
		for i := m.First; i >= 0; i = plans.Next(i) {
			d := &p.datagrams[i]
			if d.Offset == end && d.Size > 0 { // next to the one before: the same piece
				last := &v.pieces[len(v.pieces)-1]
				last.SetLen(int(last.Len) + d.Size)
			} else {
				v.piece(p, d)
			}
			end = d.Offset + d.Size
		}
		v.add(m, first)
	}
	v.messages = messages[:n]
	return messages[n:]
}

// single loads the i-th datagram of a parcel alone.
func (v *volley) single(p *parcel, i int) {
	v.headers, v.pieces = v.headers[:0], v.pieces[:0]
	d := &p.datagrams[i]
	v.piece(p, d)
	v.add(&plan.Message{To: d.To, Count: 1, Bytes: d.Size}, 0)
	v.messages = nil
}

func (v *volley) piece(p *parcel, d *plan.Datagram) {
	v.pieces = append(v.pieces, unix.Iovec{})
	last := &v.pieces[len(v.pieces)-1]
	if d.Size > 0 {
		last.Base = &p.bytes[d.Offset]
	}
	last.SetLen(d.Size)
}

// add makes a header of the pieces from first on.
func (v *volley) add(m *plan.Message, first int) {
	i := len(v.headers)
	v.headers = append(v.headers, mmsghdr{})
	h := &v.headers[i].header
	v.names[i].set(h, m.To, v.ipv6)
	h.Iov = &v.pieces[first]
	h.SetIovlen(len(v.pieces) - first)
	if m.Count > 1 {
		v.controls[i].segment(h, m.Segment)
	}
}
