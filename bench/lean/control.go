package lean

import (
	"slices"
	"time"

	"github.com/pion/rtcp"
)

const (
	// senderSSRC is whose our feedback is: that of a receiver that sends nothing, as libwebrtc's.
	senderSSRC = 1
	// feedbackInterval is that of transport-wide feedback. libwebrtc's is 100 ms; a little more, because it begins
	// with a packet, and one of audio comes 100 ms later at the same instant, when it has no order in virtual time.
	feedbackInterval = 100_037 * time.Microsecond
	reportInterval   = time.Second
	maxReports       = 31 // in one receiver report
)

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it will look anyway
	}
}

// runControl is the connection's only timer: checks, consent, feedback and reports.
func (c *Conn) runControl() {
	for {
		now := c.o.Now()
		checks, packets, due, lapsed, expired := c.control(now)
		for _, d := range checks {
			_ = c.socket.Write(d.b, d.to)
		}
		if len(packets) > 0 {
			_ = c.WriteRTCP(packets)
		}
		if lapsed {
			c.o.Handler.Up(false)
		}
		if expired {
			c.keys.Store(nil)
			return
		}
		select {
		case <-c.o.After(max(due.Sub(now), time.Millisecond)):
		case <-c.wake:
		case <-c.done:
			return
		}
	}
}

// control collects what is due at now, and when to look again. lapsed tells, once, that the path in use
// has lost its consent; expired that no restart is under way either.
func (c *Conn) control(now time.Time) (checks []datagram, packets []rtcp.Packet, due time.Time, lapsed, expired bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	checks, due = c.ice.tick(now)
	expired, lapsed = c.ice.expired, c.ice.expired && !c.lapsed
	if lapsed {
		c.lapsed = true
		c.remote.Store(nil) // nothing is sent without consent
	}
	if c.next != nil {
		more, nextDue := c.next.tick(now)
		if checks = append(checks, more...); due.IsZero() || !nextDue.IsZero() && nextDue.Before(due) {
			due = nextDue
		}
		expired = expired && c.next.expired
	}
	if c.ice.expired || c.keys.Load() == nil {
		return checks, nil, due, lapsed, expired
	}
	if f := &c.counts.feedbackDue; !f.IsZero() {
		if !now.Before(*f) {
			packets = c.counts.feedback.BuildFeedbackPacket()
			*f = time.Time{} // until the next packet
		} else {
			due = earlier(due, *f)
		}
	}
	if c.counts.reportDue.IsZero() {
		c.counts.reportDue = now.Add(reportInterval)
	}
	if !now.Before(c.counts.reportDue) {
		c.counts.reportDue = now.Add(reportInterval)
		packets = append(packets, c.counts.report(now)...)
	}
	return checks, packets, earlier(due, c.counts.reportDue), false, false
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// report makes the receiver reports of the streams that have begun.
func (c *counts) report(now time.Time) []rtcp.Packet {
	var blocks []rtcp.ReceptionReport
	for _, r := range c.receptions {
		if r.started {
			blocks = append(blocks, r.report(now))
		}
	}
	slices.SortFunc(blocks, func(a, b rtcp.ReceptionReport) int { return int(int64(a.SSRC) - int64(b.SSRC)) })
	var out []rtcp.Packet
	for part := range slices.Chunk(blocks, maxReports) {
		out = append(out, &rtcp.ReceiverReport{SSRC: senderSSRC, Reports: part})
	}
	return out
}
