package sfu

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
)

// receptionReport writes a receiver's figures as RTCP does.
func receptionReport(ssrc uint32, r forward.Report) rtcp.ReceptionReport {
	return rtcp.ReceptionReport{
		SSRC: ssrc, FractionLost: r.FractionLost, TotalLost: uint32(r.CumulativeLost) & 0xffffff,
		LastSequenceNumber: r.HighestSeq, Jitter: r.Jitter, LastSenderReport: r.LastSR, Delay: r.SinceLastSR,
	}
}

// senderReport describes a slot's stream at now; false while nothing has been sent through it. The
// RTP timestamp is the publisher's of this instant, as its own sender reports tell, so that audio
// and video slots of one person stay in step although each is renumbered by itself.
func (s *slot) senderReport(now time.Time) (*rtcp.SenderReport, bool) {
	sub := s.holder()
	if sub == nil {
		return nil, false
	}
	s.mu.Lock()
	current := s.rewriter.Current()
	s.mu.Unlock()
	source, ok := sub.publication.timestampAt(current, now)
	if !ok {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ts, ok := s.rewriter.SlotTimestamp(source)
	if !ok || s.occupant != sub || s.rewriter.Current() != current || s.sent.Packets == 0 {
		return nil, false
	}
	return &rtcp.SenderReport{
		SSRC: s.out.SSRC(), NTPTime: forward.NTP(now), RTPTime: ts, PacketCount: s.sent.Packets, OctetCount: s.sent.Octets,
	}, true
}

// timestampAt extrapolates the RTP timestamp of a stream of this publication to now.
func (pub *Publication) timestampAt(s forward.Stream, now time.Time) (uint32, bool) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	for _, e := range pub.encodings {
		if e.stream == s {
			return e.reports.Timestamp(now, pub.clockRate())
		}
	}
	return 0, false
}

// senderReported takes over a publisher's sender report for one of its streams; at is its time on
// the server's clock.
func (pub *Publication) senderReported(now, at time.Time, r *rtcp.SenderReport) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	for _, e := range pub.encodings {
		if e.ssrc == r.SSRC {
			e.receiver.SenderReport(now, r.NTPTime)
			e.reports.Receive(at, r.RTPTime)
		}
	}
}

// quantum of the peer's timer: transport feedback is due every 100 ms, which is what browsers send
// themselves at our rates; everything else is a multiple.
const (
	controlInterval = 100 * time.Millisecond
	reportInterval  = time.Second
)

// runControl is the peer's only timer.
func (p *Peer) runControl() {
	ticker := time.NewTicker(controlInterval)
	defer ticker.Stop()
	reported := p.room.server.clock()
	for {
		select {
		case <-ticker.C:
		case <-p.closing:
			p.tally.flush(p.room.server.metrics)
			return
		}
		now := p.room.server.clock()
		due := now.Sub(reported) >= reportInterval
		if due {
			reported = now
		}
		p.control(now, due)
	}
}

// control sends what is due.
func (p *Peer) control(now time.Time, report bool) {
	p.tally.flush(p.room.server.metrics)
	if !p.connected.Load() {
		return
	}
	p.send(p.conn.TransportFeedback()...)
	pubs, slots := p.media()
	var reports []rtcp.ReceptionReport
	for _, pub := range pubs {
		reports = append(reports, pub.control(now, report)...)
	}
	if !report {
		return
	}
	for len(reports) > 0 {
		n := min(len(reports), 31) // RFC 3550 section 6.4.2: five bits of count
		p.send(&rtcp.ReceiverReport{SSRC: 1, Reports: reports[:n]})
		reports = reports[n:]
	}
	for _, s := range slots {
		if sr, ok := s.senderReport(now); ok {
			p.send(sr)
		}
	}
}

// RTCP takes what a client reports. It is called on the connection's RTCP goroutine.
func (p *Peer) RTCP(now time.Time, packet rtcp.Packet) {
	switch x := packet.(type) {
	case *rtcp.SenderReport:
		p.mu.Lock()
		at := p.clock.Server(now, x.NTPTime)
		p.mu.Unlock()
		pubs, _ := p.media()
		for _, pub := range pubs {
			pub.senderReported(now, at, x)
		}
		p.measureRoundTrip(now, x.Reports)
	case *rtcp.ReceiverReport:
		p.measureRoundTrip(now, x.Reports)
	case *rtcp.PictureLossIndication:
		p.keyFrameWanted(now, x.MediaSSRC)
	case *rtcp.FullIntraRequest:
		for _, f := range x.FIR {
			p.keyFrameWanted(now, f.SSRC)
		}
	case *rtcp.TransportLayerNack:
		p.nacked(now, x)
	}
}

// keyFrameWanted passes a request on to whoever is in the slot now.
func (p *Peer) keyFrameWanted(now time.Time, ssrc uint32) {
	if s := p.slotOf(ssrc); s != nil {
		if sub := s.holder(); sub != nil {
			sub.publication.requestKeyFrame(now)
		}
	}
}

// maxNACKed bounds the packets that one NACK message may ask for: the history is no longer, and a
// message with hundreds of ranges is an attack on the uplink of the server.
const maxNACKed = 512

func (p *Peer) nacked(now time.Time, x *rtcp.TransportLayerNack) {
	s := p.slotOf(x.MediaSSRC)
	if s == nil || s.kind != codec.Video {
		return
	}
	seqs := make([]uint16, 0, 32)
	for _, pair := range x.Nacks {
		pair.Range(func(seq uint16) bool {
			seqs = append(seqs, seq)
			return len(seqs) < maxNACKed
		})
		if len(seqs) >= maxNACKed {
			break
		}
	}
	sent, missed := s.retransmit(now, p.roundTrip(), seqs)
	p.room.server.metrics.retransmits.Add(float64(sent))
	p.room.server.metrics.retransmitNo.Add(float64(missed))
}

// measureRoundTrip follows RFC 3550 section 6.4.1: our sender reports carry the server's clock.
func (p *Peer) measureRoundTrip(now time.Time, reports []rtcp.ReceptionReport) {
	for _, r := range reports {
		if r.LastSenderReport == 0 {
			continue
		}
		units := uint32(forward.NTP(now)>>16) - r.LastSenderReport - r.Delay // of 1/65536 s
		rtt := time.Duration(units) * time.Second >> 16
		if rtt > 0 && rtt < 10*time.Second {
			p.rtt.Store(int64(rtt))
		}
	}
}
