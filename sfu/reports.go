package sfu

import (
	"time"

	"github.com/pion/rtcp"

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
	if !ok || s.occupant != sub || s.rewriter.Current() != current {
		return nil, false
	}
	packets, octets := s.out.Sent()
	if packets == 0 {
		return nil, false
	}
	return &rtcp.SenderReport{
		SSRC: s.out.SSRC(), NTPTime: forward.NTP(now), RTPTime: ts, PacketCount: packets, OctetCount: octets,
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
	var stream forward.Stream
	pub.mu.Lock()
	for _, e := range pub.encodings {
		if e.ssrc == r.SSRC {
			e.receiver.SenderReport(now, r.NTPTime)
			e.reports.Receive(at, r.RTPTime, pub.clockRate())
			at, _ = e.reports.Time(r.RTPTime, pub.clockRate())
			stream = e.stream
		}
	}
	pub.mu.Unlock()
	if t := pub.tap.Load(); t != nil && stream != 0 {
		t.clock(stream, at, r.RTPTime, pub.clockRate())
	}
}
