package transport

import (
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
)

// maxRTCPStreams bounds the SSRCs that a client's RTCP may name. pion keeps state for every one,
// forever; a browser names our slots and its own streams, some 60 in the largest room.
const maxRTCPStreams = 256

// streams are the SSRCs that a client has sent, or named in RTCP.
type streams struct {
	conn *Conn

	mu       sync.Mutex
	rtp      int
	rtcp     int
	overflow bool
	sinks    map[encoding]Sink // nil values: refused
}

// encoding names one encoding of one published track; rid is "" without simulcast.
type encoding struct{ mid, rid string }

func (s *streams) init(c *Conn) {
	s.conn = c
	s.sinks = map[encoding]Sink{}
}

// count books a new SSRC; false means that it is one too many.
func (s *streams) count(n *int, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
	if *n <= limit {
		return true
	}
	if !s.overflow {
		s.overflow = true
		s.conn.handler.TooManyStreams()
	}
	return false
}

// sink asks the handler once for each encoding.
func (s *streams) sink(e encoding) Sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	sink, ok := s.sinks[e]
	// An encoding has a MID that was negotiated, so hostile RIDs are what can grow the map.
	if !ok && len(s.sinks) < s.conn.engine.o.SSRCLimit {
		sink = s.conn.handler.Open(e.mid, e.rid)
		s.sinks[e] = sink
	}
	return sink
}

// openRTP is called by pion, once for each SSRC whose first packet has been authenticated.
func (c *Conn) openRTP(ssrc uint32) io.ReadWriteCloser {
	if !c.streams.count(&c.streams.rtp, c.engine.o.SSRCLimit) {
		return discard{}
	}
	return &stream{conn: c, ssrc: ssrc}
}

// openRTCP is called by pion, once for each SSRC that RTCP was addressed to.
func (c *Conn) openRTCP(ssrc uint32) io.ReadWriteCloser {
	if !c.streams.count(&c.streams.rtcp, maxRTCPStreams) {
		return discard{}
	}
	return &control{conn: c, ssrc: ssrc}
}

// stream takes the decrypted packets of one SSRC from pion, which calls Write on its SRTP
// goroutine. Read ends at once, so that pion's own receivers and its probing for RIDs end too:
// nothing is ever read from it.
type stream struct {
	discard
	conn   *Conn
	ssrc   uint32
	packet codec.Packet

	resolved bool
	sink     Sink
	line     *receiveLine
}

// Write takes one packet. It never fails: what is wrong with a packet is the client's affair.
func (s *stream) Write(b []byte) (int, error) {
	now := s.conn.engine.o.Clock()
	p := &s.packet
	if p.Parse(b) != nil {
		return len(b), nil
	}
	n := s.conn.negotiated.Load()
	if n == nil {
		return len(b), nil
	}
	if x := p.Extension(n.ids.transportCC); len(x) == 2 {
		s.conn.feedback.record(s.ssrc, binary.BigEndian.Uint16(x), now)
	}
	if !s.resolved && !s.resolve(n) {
		return len(b), nil
	}
	if s.sink != nil {
		s.forward(now, p)
	}
	return len(b), nil
}

// forward undoes RTX and hands the packet on.
func (s *stream) forward(now time.Time, p *codec.Packet) {
	repaired := false
	if media := s.line.repair[p.PayloadType]; media != 0 {
		// RFC 4588 section 4: two bytes of original sequence number. Without them it is padding,
		// with which browsers probe for bandwidth.
		if len(p.Payload) < 2 {
			return
		}
		p.Seq, p.PayloadType = binary.BigEndian.Uint16(p.Payload), media
		p.Payload = p.Payload[2:]
		repaired = true
	}
	name := s.line.codecs[p.PayloadType]
	if name == 0 || p.ParsePayload(name) != nil {
		return
	}
	s.sink.RTP(now, name, p, repaired)
}

// resolve finds out what this SSRC is: by MID, RID and repaired RID (RFC 8852), or by what the
// offer declared. Clients send the identifiers until they have seen that we got them, so a packet
// without is dropped and the next one tried.
func (s *stream) resolve(n *negotiated) bool {
	p := &s.packet
	mid := string(p.Extension(n.ids.mid))
	if mid == "" {
		mid = n.declared[s.ssrc]
	}
	line := n.lines[mid]
	if line == nil {
		return false
	}
	rid := string(p.Extension(n.ids.rid))
	if rid == "" {
		rid = string(p.Extension(n.ids.repairRID))
	}
	_, declared := n.declared[s.ssrc]
	if rid == "" && !declared && line.simulcast {
		return false
	}
	s.sink, s.line, s.resolved = s.conn.streams.sink(encoding{mid, rid}), line, true
	return true
}

// control takes the RTCP addressed to one SSRC from pion.
type control struct {
	discard
	conn *Conn
	ssrc uint32
}

// Write takes one packet of a compound. pion calls it once for every SSRC that the packet is
// addressed to; the first of them is the one that counts.
func (s *control) Write(b []byte) (int, error) {
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		return len(b), nil
	}
	now := s.conn.engine.o.Clock()
	for _, p := range packets {
		if to := p.DestinationSSRC(); len(to) > 0 && to[0] == s.ssrc {
			s.conn.handler.RTCP(now, p)
		}
	}
	return len(b), nil
}

// discard is a buffer that holds nothing.
type discard struct{}

func (discard) Write(b []byte) (int, error)     { return len(b), nil }
func (discard) Read([]byte) (int, error)        { return 0, io.EOF }
func (discard) Close() error                    { return nil }
func (discard) SetReadDeadline(time.Time) error { return nil }

// feedback collects arrival times for transport-wide congestion control, so that the client's
// own bandwidth estimation works (draft-holmer-rmcat-transport-wide-cc-extensions-01).
type feedback struct {
	mu       sync.Mutex
	recorder *twcc.Recorder
	start    time.Time
}

func (f *feedback) record(ssrc uint32, seq uint16, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.recorder == nil {
		// The sender SSRC is that of nobody: the server sends no media of its own.
		f.recorder, f.start = twcc.NewRecorder(1), now
	}
	f.recorder.Record(ssrc, seq, now.Sub(f.start).Microseconds())
}

func (f *feedback) build() []rtcp.Packet {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.recorder == nil {
		return nil
	}
	return f.recorder.BuildFeedbackPacket()
}
