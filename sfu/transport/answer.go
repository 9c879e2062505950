package transport

import (
	"fmt"
	"strings"

	"github.com/bedside-video/bedside/sfu/codec"
)

const (
	// candidateTypePri is a host candidate's (RFC 8445 section 5.1.2.2).
	candidateTypePri = 126
	// tcpTypePri is that of a host candidate on TCP: after all on UDP, where a lost packet holds up no
	// other, and before any relay's (RFC 6544 section 4.2).
	tcpTypePri = 90
	// tcpPassivePri is the direction preference of a passive one (RFC 6544 section 4.2).
	tcpPassivePri = 4
)

// negotiated is what an answer settled, in the form that the packet path needs. Immutable.
type negotiated struct {
	ids   extensionIDs
	lines map[string]*receiveLine // the client's own m-lines by mid
	// declared maps SSRCs that the offer declared to mids.
	declared map[uint32]string
}

// receiveLine is one m-line that the client sends on.
type receiveLine struct {
	codecs [maxPayloadTypes]codec.Name // 0 where the payload type is not a codec of ours
	repair [maxPayloadTypes]uint8      // RTX payload type -> payload type it repairs; 0: no RTX
	red    [maxPayloadTypes]uint8      // RED payload type -> payload type of its blocks; 0: no RED
	// redundant: RED was negotiated.
	redundant bool
	// simulcast: several encodings share the m-line, so a stream without RID is nobody's yet.
	simulcast bool
}

func (o *offer) negotiated() *negotiated {
	n := &negotiated{ids: o.ids, lines: map[string]*receiveLine{}, declared: map[uint32]string{}}
	for i := range o.lines {
		l := &o.lines[i]
		if !l.Sends {
			continue
		}
		r := &receiveLine{simulcast: len(l.rids) > 0}
		for _, f := range l.formats {
			r.codecs[f.pt] = f.codec
			if f.rtx != 0 {
				r.repair[f.rtx] = f.pt
			}
			if f.red != 0 {
				r.red[f.red], r.redundant = f.pt, true
			}
		}
		n.lines[l.Mid] = r
	}
	for ssrc, i := range o.ssrcs {
		if o.lines[i].Sends {
			n.declared[ssrc] = o.lines[i].Mid
		}
	}
	return n
}

// writeAnswer writes the answer to an offer that has been agreed to (RFC 3264, RFC 8829 section 5.3);
// negotiation.mu is held. The same state gives the same text.
func (c *Conn) writeAnswer(o *offer) string {
	n := &c.negotiation
	var b strings.Builder
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format, args...)
		b.WriteString("\r\n")
	}
	line("v=0")
	line("o=- %d %d IN IP4 0.0.0.0", n.session, n.version)
	line("s=-")
	line("t=0 0")
	mids := make([]string, len(o.lines))
	for i, l := range o.lines {
		mids[i] = l.Mid
	}
	line("a=group:BUNDLE %s", strings.Join(mids, " "))
	if o.allowMixed {
		line("a=extmap-allow-mixed")
	}
	line("a=msid-semantic:WMS *")
	line("a=ice-lite")
	line("a=fingerprint:sha-256 %s", c.engine.fingerprint)
	for i := range o.lines {
		l := &o.lines[i]
		l.write(line)
		line("a=ice-ufrag:%s", n.current.ufrag)
		line("a=ice-pwd:%s", n.current.password)
		line("a=setup:passive")
		switch {
		case l.Sends:
			line("a=recvonly")
		case l.Slot:
			n.slot(l.Mid).write(l, line)
		default:
			line("a=inactive")
		}
		if i == 0 {
			c.writeCandidates(line)
		}
	}
	return b.String()
}

// slot returns the slot of a mid.
func (n *negotiation) slot(mid string) *Slot {
	for _, s := range n.slots {
		if s.Mid == mid {
			return s
		}
	}
	return nil
}

// writeCandidates writes one host candidate for each address under which the port can be reached, by UDP
// and by TCP, on the first m-line (RFC 9143 section 9.4: a bundle has one transport), and that no more
// follow.
func (c *Conn) writeCandidates(line func(string, ...any)) {
	for i, a := range c.engine.o.Advertise {
		// RFC 8445 section 5.1.2: type preference, local preference, component 1.
		priority := candidateTypePri<<24 | (65535-i)<<8 | 255
		line("a=candidate:%d 1 udp %d %s %d typ host", i+1, priority, a.Addr(), a.Port())
	}
	for i, a := range c.engine.o.AdvertiseTCP {
		priority := tcpTypePri<<24 | (tcpPassivePri<<13|(8191-i))<<8 | 255
		line("a=candidate:%d 1 tcp %d %s %d typ host tcptype passive",
			len(c.engine.o.Advertise)+i+1, priority, a.Addr(), a.Port())
	}
	line("a=end-of-candidates")
}

// write writes the m-line and what is agreed of its media.
func (l *offeredLine) write(line func(string, ...any)) {
	var types strings.Builder
	for _, f := range l.formats {
		for _, pt := range f.payloadTypes() {
			fmt.Fprintf(&types, " %d", pt)
		}
	}
	line("m=%s 9 UDP/TLS/RTP/SAVPF%s", l.Kind, types.String())
	line("c=IN IP4 0.0.0.0")
	line("a=mid:%s", l.Mid)
	line("a=rtcp-mux")
	line("a=rtcp-rsize")
	for _, f := range l.formats {
		line("a=rtpmap:%d %s", f.pt, rtpmapOf(f.codec))
		if f.fmtp != "" {
			line("a=fmtp:%d %s", f.pt, f.fmtp)
		}
		for _, feedback := range f.feedback {
			line("a=rtcp-fb:%d %s", f.pt, feedback)
		}
		if f.rtx != 0 {
			line("a=rtpmap:%d rtx/90000", f.rtx)
			line("a=fmtp:%d apt=%d", f.rtx, f.pt)
		}
		if f.red != 0 {
			line("a=rtpmap:%d %s", f.red, rtpmapRED)
			line("a=fmtp:%d %d/%d", f.red, f.pt, f.pt)
		}
	}
	for _, x := range l.extensions {
		line("a=extmap:%d %s", x.id, x.uri)
	}
	for _, rid := range l.rids {
		line("a=rid:%s recv", rid)
	}
	if len(l.rids) > 0 {
		line("a=simulcast:recv %s", strings.Join(l.rids, ";"))
	}
}

// write writes what a slot sends. Audio and video slot of one index hold the same person and share a
// stream id: browsers synchronise the tracks of one stream.
func (s *Slot) write(l *offeredLine, line func(string, ...any)) {
	line("a=sendonly")
	stream, track := fmt.Sprintf("slot%d", s.Index), fmt.Sprintf("%s%d", s.Kind, s.Index)
	line("a=msid:%s %s", stream, track)
	ssrcs := []uint32{s.ssrc}
	if l.formats[0].rtx != 0 {
		ssrcs = append(ssrcs, s.rtxSSRC)
		line("a=ssrc-group:FID %d %d", s.ssrc, s.rtxSSRC)
	}
	for _, ssrc := range ssrcs {
		line("a=ssrc:%d cname:%s", ssrc, stream)
		line("a=ssrc:%d msid:%s %s", ssrc, stream, track)
	}
}
