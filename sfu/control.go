package sfu

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
)

// controlInterval is the quantum of a peer's timer: transport feedback is due every 100 ms, which
// is what browsers send themselves at our rates; everything else is a multiple.
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
	case *rtcp.ReceiverReport:
		p.measureRoundTrip(now, x.Reports)
		p.delivered(now, x.Reports)
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
