package bench

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/bench/lean"
)

// decryptEvery is how many packets of a stream a Client that does not verify looks into one of: enough
// for the delay and for whose picture it is, at a sixteenth of the price.
const decryptEvery = 16

// leanStack is the stack Lean.
type leanStack struct {
	c     *connection
	conn  *lean.Conn
	sends map[uint32]sentStream     // by SSRC, of the encodings
	reads map[uint32]*receiveStream // by SSRC, RTX too
	lines []lean.Line
	// ssrcs of the encodings, in the order of the publications: media and RTX of each.
	ssrcs [][][2]uint32
	// restarting tells what the next answer answers.
	restarting bool
}

// sentStream is where feedback on an SSRC goes.
type sentStream struct {
	p     *publication
	index int // of the encoding
}

// receiveStream is one SSRC that is received.
type receiveStream struct {
	slot  *slot
	rtx   bool
	count uint // of packets
}

func newLeanStack(c *connection) (*leanStack, error) {
	s := &leanStack{c: c, sends: make(map[uint32]sentStream), reads: make(map[uint32]*receiveStream)}
	conn, err := lean.New(lean.Options{
		Handler: s, Certificate: c.cfg.Certificate, Socket: c.cfg.Socket, GCM: c.cfg.GCM, Now: c.cfg.Clock.Now, After: c.cfg.Clock.After,
	})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	s.conn = conn
	for _, p := range c.pubs {
		s.addTrack(p)
	}
	for _, slot := range c.slots {
		s.lines = append(s.lines, lean.Line{Video: slot.video, Repeat: c.cfg.Media.Repeat})
	}
	for i := range s.lines {
		s.lines[i].Mid = strconv.Itoa(i)
	}
	return s, nil
}

func (s *leanStack) addTrack(p *publication) {
	first := p.encodings[0]
	line := lean.Line{
		Video: first.video, Sends: true, Stream: first.stream, Track: string(p.source), Redundant: first.redundancy > 0,
		Repeat: s.c.cfg.Media.Repeat,
	}
	var ssrcs [][2]uint32
	for _, e := range p.encodings {
		one := [2]uint32{s.newSSRC(), 0}
		if e.video {
			one[1] = s.newSSRC()
		}
		ssrcs = append(ssrcs, one)
		if e.rid != "" {
			line.RIDs = append(line.RIDs, e.rid)
		}
	}
	if len(line.RIDs) == 0 {
		line.SSRC, line.RTX = ssrcs[0][0], ssrcs[0][1]
	}
	s.ssrcs, s.lines = append(s.ssrcs, ssrcs), append(s.lines, line)
}

// newSSRC draws one that none of ours has.
func (s *leanStack) newSSRC() uint32 {
	for {
		ssrc := s.c.rng.Uint32()
		if _, used := s.sends[ssrc]; !used && ssrc > 1 { // 1 is whose our feedback is
			s.sends[ssrc] = sentStream{}
			return ssrc
		}
	}
}

// offer implements stack.
func (s *leanStack) offer(restart bool) (string, error) {
	if s.restarting = restart; restart {
		return s.conn.Restart()
	}
	for i, p := range s.c.pubs {
		p.setMid(s.lines[i].Mid)
	}
	for i, slot := range s.c.slots {
		slot.mid = s.lines[len(s.c.pubs)+i].Mid
	}
	return s.conn.Offer(s.lines), nil
}

// answer implements stack.
func (s *leanStack) answer(text string) error {
	apply := func() error { return s.conn.Answer(text, s.bind) }
	if s.restarting {
		apply = func() error { return s.conn.Restarted(text) }
	}
	if err := apply(); err != nil {
		return fmt.Errorf("bench: answer: %w", err)
	}
	return nil
}

// bind gives the tracks and the slots what the answer settled.
func (s *leanStack) bind(a *lean.Answer) {
	for i, p := range s.c.pubs {
		line := a.Lines[i]
		for j, e := range p.encodings {
			ssrc := s.ssrcs[i][j]
			s.sends[ssrc[0]], s.sends[ssrc[1]] = sentStream{p, j}, sentStream{p, j}
			if line.Rejected || line.PT == 0 {
				continue
			}
			e.bind(binding{writer: s.conn, ssrc: ssrc[0], rtxSSRC: ssrc[1], pt: line.PT, rtxPT: line.RTXPT, redPT: line.RED, ids: extensionIDs{
				mid: line.IDs.MID, rid: line.IDs.RID, repairedRID: line.IDs.RepairedRID, level: line.IDs.AudioLevel,
			}})
		}
	}
	delete(s.sends, 0)
	for i, slot := range s.c.slots {
		line := a.Lines[len(s.c.pubs)+i]
		if line.SSRC == 0 {
			continue
		}
		slot.setStreams(line.SSRC, line.RTX)
		s.reads[line.SSRC] = &receiveStream{slot: slot}
		if line.RTX != 0 {
			s.reads[line.RTX] = &receiveStream{slot: slot, rtx: true}
		}
	}
}

// writeRTCP implements stack.
func (s *leanStack) writeRTCP(packets []rtcp.Packet) error { return s.conn.WriteRTCP(packets) }

// rtt implements stack.
func (s *leanStack) rtt() time.Duration { return s.conn.RTT() }

// close implements stack.
func (s *leanStack) close() { s.conn.Close() }

// Up implements lean.Handler.
func (s *leanStack) Up(up bool) { s.c.setUp(up) }

// RTP implements lean.Handler.
func (s *leanStack) RTP(now time.Time, p *lean.Packet) {
	stream := s.reads[p.Header.SSRC]
	if stream == nil {
		return // nobody announced it
	}
	in := Inbound{
		Sequence: p.Header.SequenceNumber, Timestamp: p.Header.Timestamp, Marker: p.Header.Marker, Size: p.Size,
	}
	stream.count++
	red := p.Header.PayloadType == payloadRED
	if !stream.rtx && !red && !s.c.cfg.Verify && stream.count%decryptEvery != 1 && !stream.slot.wants(in.Sequence) {
		in.Opaque = true
		s.c.arrived(now, stream.slot, in, p.PayloadSize())
		return
	}
	payload, err := p.Decrypt()
	if err != nil {
		return // forged, or a packet that was received before
	}
	if stream.rtx {
		if len(payload) <= 2 {
			return // padding, to probe for bandwidth
		}
		in.Sequence, in.Repaired, payload = binary.BigEndian.Uint16(payload), true, payload[2:]
	}
	in.Payload = payload
	if red {
		s.c.arrivedRED(now, stream.slot, in)
		return
	}
	s.c.arrived(now, stream.slot, in, len(payload))
}

// RTCP implements lean.Handler.
func (s *leanStack) RTCP(now time.Time, packets []rtcp.Packet) {
	for _, packet := range packets {
		for _, ssrc := range packet.DestinationSSRC() {
			if to, ok := s.sends[ssrc]; ok && to.p != nil {
				// A failed write means that the connection is closing.
				_ = to.p.feedback(now, to.index, []rtcp.Packet{packet})
			}
		}
	}
}
