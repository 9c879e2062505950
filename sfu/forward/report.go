package forward

import "time"

// Report is a reception report block (RFC 3550 section 6.4.1) but for the SSRC.
type Report struct {
	FractionLost   uint8  // since the report before, in 1/256
	CumulativeLost int32  // fits 24 bits
	HighestSeq     uint32 // extended
	Jitter         uint32 // in timestamp units
	LastSR         uint32 // the middle of the last sender report's NTP time, 0 without one
	SinceLastSR    uint32 // in 1/65536 s, 0 without one
}

// statistics is what a Receiver keeps for its reports.
type statistics struct {
	received uint64
	repaired uint64
	before   Totals // of earlier numberings
	transit  uint32 // of the newest packet, in timestamp units, from an unknown zero
	jitter   uint32 // times 16

	reportedExpected uint64 // at the last report
	reportedReceived uint64

	lastSR   uint32
	lastSRAt time.Time
}

// arrived updates the jitter (RFC 3550 appendix A.8).
func (s *statistics) arrived(at, ts uint32) {
	transit := at - ts
	d := int32(transit - s.transit)
	s.transit = transit
	if d < 0 {
		d = -d
	}
	// A clock that jumps is no jitter; unsigned, because -d is d for the lowest int32.
	s.jitter += uint32(d) - (s.jitter+8)>>4
}

// SenderReport notes the publisher's sender report: its NTP time, which the next report echoes.
func (r *Receiver) SenderReport(now time.Time, ntp uint64) {
	r.stats.lastSR, r.stats.lastSRAt = uint32(ntp>>16), now
}

// Totals are what a Receiver has counted since its stream began, over all its numberings.
type Totals struct {
	Expected uint64 // as the sequence numbers tell
	Received uint64 // of them, as themselves
	Repaired uint64 // by retransmission
}

// Totals returns the counts so far.
func (r *Receiver) Totals() Totals {
	t := r.stats.before
	if !r.epoch.IsZero() {
		t.Expected += r.newest - r.first + 1
	}
	t.Received += r.stats.received
	t.Repaired += r.stats.repaired
	return t
}

// Jitter of the arrivals (RFC 3550 section 6.4.1), in timestamp units.
func (r *Receiver) Jitter() uint32 { return r.stats.jitter >> 4 }

// Report makes a report and starts the next one's interval. It is zero before the first packet.
// Duplicates do not count as received, other than in RFC 3550 appendix A.3: with Chromium's
// probes, which repeat old packets, they would hide every loss.
func (r *Receiver) Report(now time.Time) Report {
	if r.epoch.IsZero() {
		return Report{}
	}
	s := &r.stats
	expected := r.newest - r.first + 1
	lost := int64(expected) - int64(s.received)
	interval := int64(expected - s.reportedExpected)
	intervalLost := interval - int64(s.received-s.reportedReceived)
	s.reportedExpected, s.reportedReceived = expected, s.received

	rep := Report{
		CumulativeLost: int32(min(max(lost, -1<<23), 1<<23-1)),
		HighestSeq:     uint32(r.newest - 1<<16),
		Jitter:         s.jitter >> 4,
	}
	if intervalLost > 0 {
		rep.FractionLost = uint8(min(intervalLost<<8/interval, 255))
	}
	if !s.lastSRAt.IsZero() {
		rep.LastSR = s.lastSR
		rep.SinceLastSR = units(now.Sub(s.lastSRAt), 1<<16)
	}
	return rep
}
