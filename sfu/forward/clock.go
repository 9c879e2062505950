package forward

import "time"

// ntpEpoch is 1900-01-01, from which NTP counts (RFC 3550 section 4), in Unix seconds.
const ntpEpoch = -2208988800

// NTP returns t as the 64-bit NTP timestamp of a sender report.
func NTP(t time.Time) uint64 {
	seconds := uint64(t.Unix() - ntpEpoch)
	return seconds<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// fromNTP is the reverse of NTP, to within a nanosecond. It knows no eras but the first, which
// ends in 2036; publishers' clocks need not be right, only run.
func fromNTP(ntp uint64) time.Time {
	return time.Unix(int64(ntp>>32)+ntpEpoch, int64(ntp&(1<<32-1)*uint64(time.Second)>>32))
}

// maxClockError is how far a publisher's clock may run away from the server's before its offset is
// measured anew: it was set, or slept. A drift of 50 ppm, much for a crystal, takes 5 hours to that.
const maxClockError = time.Second

// PublisherClock translates one participant's clock to the server's. There is one for all that
// somebody publishes, so that audio and video keep the distance in time that the participant's own
// sender reports give them: that is lip sync. The zero value is ready.
type PublisherClock struct {
	offset time.Duration // server minus publisher, and the way of the first report
	known  bool
}

// Server translates the NTP time of a sender report that arrives now to the server's clock. The
// first report fixes the distance of the two clocks; it may be wrong by the time the report took,
// alike for everything of this participant.
func (c *PublisherClock) Server(now time.Time, ntp uint64) time.Time {
	t := fromNTP(ntp)
	if off := now.Sub(t.Add(c.offset)).Abs(); !c.known || off > maxClockError {
		c.offset, c.known = now.Sub(t), true
	}
	return t.Add(c.offset)
}

// SenderReports knows from the sender reports of one encoding which of its timestamps belongs to
// which time. The zero value knows nothing.
type SenderReports struct {
	at    time.Time // on the server's clock
	ts    uint32
	later time.Duration // by how much the last report was later than what is believed
}

// exact is how well a sender report is expected to fit the one before: they count in milliseconds.
const exact = 2 * time.Millisecond

// Receive notes a sender report: its time, translated by the PublisherClock, and its timestamp.
//
// What dates everything later is believed only when the next report says so too, and then the less of both.
// libwebrtc takes the moment at which it sends a packet of sound for that at which the sound was taken ("leaving
// the time when this frame was received from the capture device as undefined for voice", audio/channel_send.cc):
// a thread that had to wait makes a report, and all the five seconds until the next, late by as much: 120 ms
// on a busy machine (Chromium 156, 2026-11-22). Nothing makes one early.
func (s *SenderReports) Receive(at time.Time, ts, clockRate uint32) {
	was, ok := s.Time(ts, clockRate)
	later := at.Sub(was)
	switch {
	case !ok || later <= exact || later > maxClockError:
		later = 0
	case s.later == 0:
		s.later = later
		return
	default:
		most := min(s.later, later)
		at = was.Add(most)
		later -= most
	}
	s.at, s.ts, s.later = at, ts, later
}

// Timestamp of the encoding at the time t of the server's clock; false before the first report.
// Rewriter.SlotTimestamp translates it to a slot's, which makes the slot's sender report for t.
func (s *SenderReports) Timestamp(t time.Time, clockRate uint32) (uint32, bool) {
	if s.at.IsZero() {
		return 0, false
	}
	return s.ts + units(t.Sub(s.at), clockRate), true
}

// Time at which a frame with the timestamp ts was taken, on the server's clock; false before the first
// report.
func (s *SenderReports) Time(ts uint32, clockRate uint32) (time.Time, bool) {
	if s.at.IsZero() {
		return time.Time{}, false
	}
	return s.at.Add(time.Duration(int32(ts-s.ts)) * time.Second / time.Duration(clockRate)), true
}
