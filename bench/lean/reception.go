package lean

import (
	"time"

	"github.com/pion/rtcp"
)

// reception is what receiver reports say of one SSRC (RFC 3550 section 6.4 and appendix A). It is
// stepped: now is an argument.
type reception struct {
	ssrc      uint32
	clockRate float64
	started   bool
	base      uint32
	highest   uint32 // extended by the cycles
	received  uint32
	// at the last report
	expectedBefore, receivedBefore uint32
	transit                        float64
	jitter                         float64 // in units of the RTP clock
	lastReport                     uint32  // the middle of the sender's NTP time
	lastReportAt                   time.Time
}

// packet counts one packet. now is relative to any epoch that stays.
func (r *reception) packet(now time.Duration, sequence uint16, timestamp uint32) {
	if !r.started {
		r.started, r.base, r.highest = true, uint32(sequence), uint32(sequence)
		r.transit = now.Seconds()*r.clockRate - float64(timestamp)
	}
	r.received++
	if step := int16(sequence - uint16(r.highest)); step > 0 {
		r.highest += uint32(step)
	}
	transit := now.Seconds()*r.clockRate - float64(timestamp)
	d := transit - r.transit
	r.transit = transit
	if d < 0 {
		d = -d
	}
	if d < 1<<31 { // the timestamp has wrapped
		r.jitter += (d - r.jitter) / 16
	}
}

// sender takes a sender report.
func (r *reception) sender(now time.Time, sr *rtcp.SenderReport) {
	r.lastReport, r.lastReportAt = uint32(sr.NTPTime>>16), now
}

// report makes the block of a receiver report and begins a new interval.
func (r *reception) report(now time.Time) rtcp.ReceptionReport {
	expected := r.highest - r.base + 1
	lost := int64(expected) - int64(r.received)
	out := rtcp.ReceptionReport{
		SSRC: r.ssrc, LastSequenceNumber: r.highest, Jitter: uint32(r.jitter), TotalLost: uint32(min(max(lost, 0), 1<<23-1)),
	}
	interval := int64(expected - r.expectedBefore)
	missing := interval - int64(r.received-r.receivedBefore)
	if interval > 0 && missing > 0 {
		out.FractionLost = uint8(min(missing*256/interval, 255))
	}
	r.expectedBefore, r.receivedBefore = expected, r.received
	if !r.lastReportAt.IsZero() {
		out.LastSenderReport = r.lastReport
		out.Delay = uint32(now.Sub(r.lastReportAt).Seconds() * 65536)
	}
	return out
}
