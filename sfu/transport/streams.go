package transport

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// maxRTCPSenders bounds the SSRCs in whose name a client sends RTCP: SRTCP keeps a replay window for
// each. A browser has one for each of its streams, RTX included, and one for all its slots.
const maxRTCPSenders = 64

// keptStatuses is how much of the memory for transport-wide feedback a connection keeps.
const keptStatuses = 256

// inbound is what a client sends.
type inbound struct {
	conn       *Conn
	negotiated atomic.Pointer[negotiated]
	feedback   feedback

	mu       sync.Mutex // held while a packet is handed over, so that Close can wait for it
	closed   bool
	context  *srtp.Context // nil before the handshake; of RTCP, and of RTP without gcm
	gcm      *gcm          // of RTP; nil if another profile was chosen
	controls *gcm          // of RTCP, likewise
	header   rtp.Header    // pion's view, re-used
	streams  map[uint32]*stream
	senders  map[uint32]*replays // of RTCP
	overflow bool                // told
	sinks    map[encoding]Sink
	touched  []*stream     // to be flushed at the end of the burst; <= SSRCLimit
	told     twcc.Feedback // re-used
	arrived  func(now time.Time, bytes int)
	bytes    uint64 // of RTP as IP packets, so far
}

// encoding names one encoding of one published track; rid is "" without simulcast.
type encoding struct{ mid, rid string }

func (in *inbound) init(c *Conn) {
	in.conn = c
	in.streams, in.senders, in.sinks = map[uint32]*stream{}, map[uint32]*replays{}, map[encoding]Sink{}
}

func (in *inbound) setContext(x *srtp.Context, media, controls *gcm) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.context, in.gcm, in.controls = x, media, controls
}

func (in *inbound) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
}

// flush ends a burst. Another goroutine may end one here that is not at its end yet: nothing is lost by that.
func (in *inbound) flush() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range in.touched {
		s.touched = false
		if !in.closed {
			s.sink.Flush()
		}
	}
	in.touched = in.touched[:0]
}

// tooMany tells the Handler, once, that a client exceeds a limit.
func (in *inbound) tooMany() {
	if !in.overflow {
		in.overflow = true
		in.conn.handler.TooManyStreams()
	}
}

// media opens one SRTP packet; mu is held.
func (in *inbound) media(now time.Time, b []byte) {
	if len(b) < 12 {
		return
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	s := in.streams[ssrc]
	full := s == nil && len(in.streams) == in.conn.engine.o.SSRCLimit
	if full && in.overflow {
		return // not worth the opening
	}
	if s == nil {
		s = &stream{in: in, ssrc: ssrc}
	}
	plain, ok := in.open(s, b)
	if !ok {
		return
	}
	if full {
		in.tooMany()
		return
	}
	in.conn.stamp(now)
	in.streams[ssrc] = s
	s.take(now, plain)
}

// open opens a packet in place; false means that it is a stranger's, or has come before. mu is held.
func (in *inbound) open(s *stream, b []byte) (plain []byte, ok bool) {
	if in.gcm == nil {
		plain, err := in.context.DecryptRTP(b, b, &in.header)
		return plain, err == nil
	}
	header, ok := headerLength(b)
	if !ok {
		return nil, false
	}
	index, ok := s.numbers.peek(binary.BigEndian.Uint16(b[2:]))
	if !ok {
		return nil, false
	}
	plain, err := in.gcm.open(b, header, s.ssrc, index)
	if err != nil {
		return nil, false
	}
	s.numbers.mark(index)
	return plain, true
}

// control opens one SRTCP packet; mu is held.
func (in *inbound) control(now time.Time, b []byte) {
	if len(b) < 8 {
		return
	}
	sender := binary.BigEndian.Uint32(b[4:])
	seen := in.senders[sender]
	if seen == nil && len(in.senders) == maxRTCPSenders && in.overflow {
		return
	}
	plain, index, ok := in.openControl(seen, b)
	if !ok {
		return
	}
	if seen == nil {
		if len(in.senders) == maxRTCPSenders {
			in.tooMany()
			return
		}
		seen = &replays{}
		in.senders[sender] = seen
	}
	seen.mark(index)
	in.conn.stamp(now)
	in.compound(now, plain)
}

// compound hands on the packets of a compound one by one, as far as they can be read. Transport-wide feedback
// is most of what comes, and is read without garbage.
func (in *inbound) compound(now time.Time, b []byte) {
	for len(b) >= 4 {
		length := 4 * (1 + int(binary.BigEndian.Uint16(b[2:])))
		if length > len(b) {
			return
		}
		first := b[:length]
		b = b[length:]
		if twcc.Is(first) {
			if in.told.Parse(first) != nil {
				return
			}
			in.conn.handler.Feedback(now, &in.told)
			if cap(in.told.Packets) > keptStatuses {
				in.told.Packets = nil // of a stall
			}
			continue
		}
		packets, err := rtcp.Unmarshal(first)
		if err != nil {
			return
		}
		for _, p := range packets {
			in.conn.handler.RTCP(now, p)
		}
	}
}

// openControl opens a packet in place, as open does. pion's context remembers what has come by itself, and
// the index is 0.
func (in *inbound) openControl(seen *replays, b []byte) (plain []byte, index uint32, ok bool) {
	if in.controls == nil {
		plain, err := in.context.DecryptRTCP(b[:0], b, nil)
		return plain, 0, err == nil
	}
	index, err := controlIndex(b)
	if err != nil || !seen.fresh(index) {
		return nil, 0, false
	}
	plain, err = in.controls.openControl(b, index)
	return plain, index, err == nil
}

// sink asks the handler once for each encoding.
func (in *inbound) sink(e encoding) Sink {
	sink, ok := in.sinks[e]
	// An encoding has a MID that was negotiated, so hostile RIDs are what can grow the map.
	if !ok && len(in.sinks) < in.conn.engine.o.SSRCLimit {
		sink = in.conn.handler.Open(e.mid, e.rid)
		in.sinks[e] = sink // nil values: refused
	}
	return sink
}

// stream is one SSRC of the client's.
type stream struct {
	in     *inbound
	ssrc   uint32
	packet codec.Packet

	numbers  once // which have come, where gcm opens
	resolved bool
	touched  bool
	sink     Sink // nil: refused. Never another once it is there
	line     *receiveLine
	unwrap   *codec.Unwrapper // of a line with RED
	earlier  codec.Packet     // recovered
}

// take hands one decrypted packet on. What is wrong with it is the client's affair.
func (s *stream) take(now time.Time, b []byte) {
	p := &s.packet
	if p.Parse(b) != nil {
		return
	}
	n := s.in.negotiated.Load()
	if n == nil {
		return
	}
	s.in.bytes += uint64(len(b) + maxOverhead + ipOverhead)
	if s.in.arrived != nil {
		s.in.arrived(now, len(b)+maxOverhead+ipOverhead)
	}
	if x := p.Extension(n.ids.transportCC); len(x) == 2 {
		s.in.feedback.record(s.ssrc, binary.BigEndian.Uint16(x), now)
	}
	if !s.resolved && !s.resolve(n) {
		return
	}
	if s.sink == nil {
		return
	}
	if !s.touched {
		s.touched = true
		s.in.touched = append(s.in.touched, s)
	}
	s.forward(now, p)
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
	if s.unwrap != nil && !s.recover(now, p) {
		return
	}
	name := s.line.codecs[p.PayloadType]
	if name == 0 || p.ParsePayload(name) != nil {
		return
	}
	s.sink.RTP(now, name, p, repaired)
}

// recover undoes RED: it hands on the earlier packets that p carries and that did not come, and leaves
// p's own. False for what cannot be read.
func (s *stream) recover(now time.Time, p *codec.Packet) bool {
	media := s.line.red[p.PayloadType]
	if media == 0 {
		s.unwrap.Note(p.Seq, p.Timestamp)
		return true
	}
	if len(p.Payload) == 0 { // padding
		p.PayloadType = media
		return true
	}
	whole := len(p.Payload)
	found, err := s.unwrap.Unwrap(p, media)
	if err != nil {
		return false
	}
	p.Size -= whole - len(p.Payload) // as it would have come alone
	for _, r := range found {
		// Of its header no more is known: neither marker nor loudness.
		s.earlier = codec.Packet{
			Seq: r.Seq, Timestamp: r.Timestamp, SSRC: p.SSRC, PayloadType: media, Payload: r.Payload, Size: len(r.Payload),
		}
		if name := s.line.codecs[media]; s.earlier.ParsePayload(name) == nil {
			s.sink.RTP(now, name, &s.earlier, true)
		}
	}
	return true
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
	s.sink, s.line, s.resolved = s.in.sink(encoding{mid, rid}), line, true
	if line.redundant {
		s.unwrap = new(codec.Unwrapper)
	}
	return true
}

// feedback collects arrival times for transport-wide congestion control, so that the client's
// own bandwidth estimation works (draft-holmer-rmcat-transport-wide-cc-extensions-01).
type feedback struct {
	mu       sync.Mutex
	recorder twcc.Recorder
	start    time.Time // zero: nothing has come
}

func (f *feedback) record(ssrc uint32, seq uint16, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.start.IsZero() {
		f.start = now
	}
	f.recorder.Record(ssrc, seq, now.Sub(f.start))
}

// feedbackSSRC is who sends it: nobody, as the server sends no media of its own.
const feedbackSSRC = 1

func (f *feedback) build() (packets []rtcp.Packet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.start.IsZero() {
		return nil
	}
	for {
		b, ok := f.recorder.Append(nil, feedbackSSRC)
		if !ok {
			return packets
		}
		raw := rtcp.RawPacket(b)
		packets = append(packets, &raw)
	}
}
