package floor

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/pion/rtcp"
	"github.com/pion/stun/v4"
	"golang.org/x/net/ipv4"
)

// runLoop is the whole packet path. It ends when the socket is closed.
func (s *Server) runLoop() {
	in := make([]ipv4.Message, burst)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, receiveMTU)}
	}
	for {
		n, err := s.batch.ReadBatch(in, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of a client that has gone
		}
		s.mu.Lock()
		for i := range in[:n] {
			if from, ok := in[i].Addr.(*net.UDPAddr); ok {
				s.datagram(in[i].Buffers[0][:in[i].N], netip.AddrPortFrom(from.AddrPort().Addr().Unmap(), uint16(from.Port)))
			}
		}
		for _, l := range s.dirty {
			s.flush(l)
			l.queued = false
		}
		s.dirty = s.dirty[:0]
		s.mu.Unlock()
	}
}

// datagram takes one datagram (RFC 7983).
func (s *Server) datagram(b []byte, from netip.AddrPort) {
	switch {
	case len(b) < 2:
	case b[0] < 4:
		s.check(b, from)
	case b[0] >= 20 && b[0] < 64:
		if l := s.byAddr[from]; l != nil {
			_, _ = l.pipe.Write(b) // a full pipe drops it: DTLS sends it again
		}
	case b[0]>>6 == 2:
		l := s.byAddr[from]
		if l == nil || l.in == nil {
			return
		}
		if b[1] >= 192 && b[1] < 224 { // RFC 5761 section 4
			s.control(l, b)
		} else {
			s.forward(l, b)
		}
	}
}

// forward opens a packet and seals it for every seat of its track.
func (s *Server) forward(l *link, b []byte) {
	n, ok := headerLength(b)
	if !ok {
		return
	}
	f := l.feeds[b[1]&0x7f]
	ssrc, seq := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	if f == nil || f.ssrc != 0 && f.ssrc != ssrc {
		return
	}
	count := f.rollover.guess(seq)
	payload, err := l.in.open(s.plain[:0], b, n, count)
	if err != nil {
		return
	}
	f.ssrc = ssrc
	f.rollover.opened(seq, count)
	header := b[:n]
	marker := b[1] & 0x80
	size := n + len(payload) + tagBytes
	for _, one := range f.seats {
		to := one.to
		if to.out == nil {
			continue
		}
		if !one.started {
			one.started, one.base = true, count
		}
		if count < one.base {
			continue // from before the first packet: it has no rollover counter here
		}
		if !to.outgoing.takes(size) {
			s.flush(to)
		}
		header[1] = marker | one.payload
		binary.BigEndian.PutUint32(header[8:], one.ssrc)
		to.outgoing.buf = to.out.seal(to.outgoing.buf, header, payload, count-one.base)
		to.outgoing.added(size)
		if !to.queued {
			to.queued = true
			s.dirty = append(s.dirty, to)
		}
	}
}

// flush sends what an outbox holds. What the socket refuses is lost, as on any network.
func (s *Server) flush(l *link) {
	o := &l.outgoing
	if o.count == 0 {
		return
	}
	s.sender.send(o, l.addr)
	o.reset()
}

// check answers an ICE connectivity check (RFC 8445 section 7.3, as a lite agent).
func (s *Server) check(b []byte, from netip.AddrPort) {
	m := &stun.Message{Raw: b}
	var name stun.Username
	if m.Decode() != nil || m.Type != stun.BindingRequest || name.GetFrom(m) != nil {
		return
	}
	ours, _, _ := strings.Cut(string(name), ":")
	l := s.byUfrag[ours]
	if l == nil || stun.NewShortTermIntegrity(l.password).Check(m) != nil {
		return
	}
	if l.addr != from {
		delete(s.byAddr, l.addr)
		l.addr = from
		s.byAddr[from] = l
	}
	answer, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())},
		stun.NewShortTermIntegrity(l.password), stun.Fingerprint)
	if err == nil {
		_, _ = s.socket.WriteToUDPAddrPort(answer.Raw, from)
	}
}

// control relays requests for key frames.
func (s *Server) control(l *link, b []byte) {
	plain, err := l.rtcpIn.DecryptRTCP(nil, b, nil)
	if err != nil {
		return
	}
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		return
	}
	for _, p := range packets {
		pli, ok := p.(*rtcp.PictureLossIndication)
		if !ok {
			continue
		}
		for _, one := range l.seats {
			if one.ssrc == pli.MediaSSRC {
				s.askForKey(one.feed)
			}
		}
	}
}

// askForKey asks a publisher for a key frame, unless it was asked just now.
func (s *Server) askForKey(f *feed) {
	now := s.now()
	if f.owner.rtcpOut == nil || f.ssrc == 0 || f.kind != "video" || now.Sub(f.asked) < keyInterval {
		return
	}
	f.asked = now
	plain, err := (&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: f.ssrc}).Marshal()
	if err != nil {
		return
	}
	sealed, err := f.owner.rtcpOut.EncryptRTCP(nil, plain, nil)
	if err == nil {
		_, _ = s.socket.WriteToUDPAddrPort(sealed, f.owner.addr)
	}
}
