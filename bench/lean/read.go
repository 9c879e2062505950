package lean

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// runReader takes what arrives until the socket is closed.
func (c *Conn) runReader(a *Answer) {
	r := reader{c: c, answer: a}
	r.packet.Header = &r.header
	for {
		r.now = time.Time{}
		if err := c.socket.Read(r.datagram); err != nil {
			return
		}
	}
}

// reader is the state of the goroutine that reads.
type reader struct {
	c       *Conn
	answer  *Answer
	now     time.Time // of the batch being taken, zero before its first datagram
	begun   bool      // the handshake
	header  rtp.Header
	packet  Packet
	control []byte
}

// datagram takes one datagram, by its first byte (RFC 7983).
func (r *reader) datagram(b []byte, from netip.AddrPort) {
	if r.now.IsZero() {
		r.now = r.c.o.Now()
	}
	switch {
	case len(b) == 0:
	case b[0] < 4:
		r.stun(b, from)
	case b[0] >= 20 && b[0] < 64:
		r.c.hello.push(b)
	case b[0] >= 128 && b[0] < 192 && len(b) >= 12:
		if kind := b[1] & 0x7f; kind >= 64 && kind < 96 { // RFC 5761 section 4
			r.rtcp(b)
		} else {
			r.rtp(b)
		}
	}
}

func (r *reader) stun(b []byte, from netip.AddrPort) {
	c := r.c
	back := false // on a new path, after the old one was lost
	c.mu.Lock()
	answer := c.ice.handle(r.now, b, from)
	if c.next != nil {
		if other := c.next.handle(r.now, b, from); answer == nil {
			answer = other
		}
		back = c.takeNext()
	}
	selected := c.ice.selected
	if selected.IsValid() && !r.begun && !c.closed {
		r.begun = true
		c.remote.Store(&selected)
		c.wg.Go(func() { c.runHandshake(r.answer) })
	}
	c.mu.Unlock()
	if back {
		c.o.Handler.Up(true)
	}
	if answer != nil {
		_ = c.socket.Write(answer, from)
	}
}

func (r *reader) rtcp(b []byte) {
	k := r.c.keys.Load()
	if k == nil {
		return
	}
	out, err := k.in.DecryptRTCP(r.control, b, nil)
	if err != nil {
		return
	}
	r.control = out[:0]
	packets, err := rtcp.Unmarshal(out)
	if err != nil {
		return
	}
	for _, p := range packets {
		if sr, ok := p.(*rtcp.SenderReport); ok {
			r.c.mu.Lock()
			if rec := r.c.counts.receptions[sr.SSRC]; rec != nil {
				rec.sender(r.now, sr)
			}
			r.c.mu.Unlock()
		}
	}
	r.c.o.Handler.RTCP(r.now, packets)
}

func (r *reader) rtp(b []byte) {
	k := r.c.keys.Load()
	if k == nil {
		return // it overtook the end of the handshake: lost, as in a browser
	}
	head, err := r.header.Unmarshal(b)
	if err != nil {
		return
	}
	r.count()
	r.packet.Size, r.packet.raw, r.packet.head, r.packet.keys = len(b), b, head, k
	r.c.o.Handler.RTP(r.now, &r.packet)
}

// count notes what feedback will say. It trusts the clear header: a forged packet is no concern of a
// load generator's, which asks the same of every server.
func (r *reader) count() {
	c := r.c
	at := r.now.Sub(c.epoch)
	c.mu.Lock()
	defer c.mu.Unlock()
	rec := c.counts.receptions[r.header.SSRC]
	if rec == nil {
		return
	}
	rec.packet(at, r.header.SequenceNumber, r.header.Timestamp)
	if c.counts.transportCC == 0 {
		return
	}
	if x := r.header.GetExtension(c.counts.transportCC); len(x) == 2 {
		c.counts.feedback.Record(r.header.SSRC, binary.BigEndian.Uint16(x), at.Microseconds())
		if c.counts.feedbackDue.IsZero() {
			c.counts.feedbackDue = r.now.Add(feedbackInterval)
			poke(c.wake)
		}
	}
}
