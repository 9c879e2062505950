package sfu

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// controlInterval is the quantum of what goes out periodically: transport feedback is due every 100 ms,
// which is what browsers send themselves at our rates; everything else is a multiple. It is the room's
// timer: one for each participant woke the server up four times as often in a room of four, and took 7 %
// of its processor time (profile, 2026-11-22).
const (
	controlInterval = 100 * time.Millisecond
	reportInterval  = time.Second
)

// maxReportBytes keeps a compound of reports below what any path carries in one piece.
const maxReportBytes = 1100

// control sends what is due. It is called on the room's goroutine.
func (p *Peer) control(now time.Time) {
	p.tally.flush(p.room.server.metrics)
	report := now.Sub(p.reported) >= reportInterval
	if report {
		p.reported = now
	}
	if !p.connected.Load() {
		return
	}
	if p.up.IsZero() {
		p.up = now
	}
	p.estimate(now, report)
	p.allocate(now)
	pubs, slots := p.media()
	bound := p.bound(now, pubs)
	var reports []rtcp.ReceptionReport
	for _, pub := range pubs {
		reports = append(reports, pub.control(now, report)...)
	}
	var out []rtcp.Packet // reports come first in a compound (RFC 3550 section 6.1)
	if report {
		p.protect(now, slots)
		for _, s := range slots {
			if sr, ok := s.senderReport(now); ok {
				out = append(out, sr)
			}
		}
		for len(reports) > 0 {
			n := min(len(reports), 31) // RFC 3550 section 6.4.2: five bits of count
			out = append(out, &rtcp.ReceiverReport{SSRC: 1, Reports: reports[:n]})
			reports = reports[n:]
		}
	}
	p.sendCompound(append(append(out, bound...), p.conn.TransportFeedback()...))
}

// sendCompound sends packets in as few datagrams as they fit.
func (p *Peer) sendCompound(packets []rtcp.Packet) {
	for len(packets) > 0 {
		size, n := packets[0].MarshalSize(), 1
		for n < len(packets) && size+packets[n].MarshalSize() <= maxReportBytes {
			size += packets[n].MarshalSize()
			n++
		}
		p.send(packets[:n]...)
		packets = packets[n:]
	}
}

// RTCP takes what a client reports. It is called on the connection's RTCP goroutine.
func (p *Peer) RTCP(now time.Time, packet rtcp.Packet) {
	p.noteRTCP(now)
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
		p.delivered(now, x.Reports)
		p.reportedLost(now)
	case *rtcp.ReceiverReport:
		p.measureRoundTrip(now, x.Reports)
		p.delivered(now, x.Reports)
		p.reportedLost(now)
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		p.estimated(now, x)
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

// Feedback takes what a client tells of what it got. It is called where RTCP is.
func (p *Peer) Feedback(now time.Time, x *twcc.Feedback) {
	p.noteRTCP(now)
	p.acknowledged(now, x)
	if !p.draining() { // what is lost to a queue, no redundancy mends
		p.received(x)
	}
}

// keyFrameWanted passes a request on to whoever is in the slot now.
func (p *Peer) keyFrameWanted(now time.Time, ssrc uint32) {
	if s := p.slotOf(ssrc); s != nil {
		if sub := s.holder(); sub != nil {
			sub.publication.requestKeyFrame(now, sub)
		}
	}
}

// maxNACKed bounds the packets that one NACK message may ask for: the history is no longer, and a
// message with hundreds of ranges is an attack on the uplink of the server.
const maxNACKed = 512

func (p *Peer) nacked(now time.Time, x *rtcp.TransportLayerNack) {
	s := p.slotOf(x.MediaSSRC)
	if s == nil || s.kind == codec.Audio && !s.out.Repeats() {
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
	var sent, missed int
	if s.kind == codec.Audio {
		sent, missed = p.repeat(now, s, seqs)
	} else {
		sent, missed = s.retransmit(now, p, seqs)
	}
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
