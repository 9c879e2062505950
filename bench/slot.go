package bench

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const receiveMTU = 1500

// slot is one receiving m-line.
type slot struct {
	mid string

	mu       sync.Mutex
	ssrc     uint32
	rtxSSRC  uint32
	receiver *Receiver
}

func (c *connection) onTrack(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	s := c.slot(r.RTPTransceiver().Mid())
	if s == nil {
		return
	}
	s.mu.Lock()
	s.ssrc, s.rtxSSRC = uint32(t.SSRC()), uint32(t.RtxSSRC())
	s.mu.Unlock()
	c.goRun(func() { c.runSlot(s, t) })
	c.goRun(func() { runDrain(r) })
}

// runSlot accounts for what arrives in one slot.
func (c *connection) runSlot(s *slot, t *webrtc.TrackRemote) {
	buf := make([]byte, receiveMTU)
	for {
		n, attributes, err := t.Read(buf)
		if err != nil {
			return
		}
		var h rtp.Header
		size, err := h.Unmarshal(buf[:n])
		if err != nil {
			continue
		}
		end := n
		if h.Padding && n > size {
			end = max(size, n-int(buf[n-1]))
		}
		now := c.cfg.Clock.Now()
		p := Inbound{
			Sequence: h.SequenceNumber, Timestamp: h.Timestamp, Marker: h.Marker,
			Repaired: attributes.Get(webrtc.AttributeRtxSequenceNumber) != nil,
			Payload:  append([]byte(nil), buf[size:end]...),
		}
		s.mu.Lock()
		tag, ok := s.receiver.Packet(now, p)
		due := s.receiver.Deadline()
		decodable := s.receiver.frames.decodable
		s.mu.Unlock()
		c.steps.reach(now, StepPacket)
		if decodable > 0 {
			c.steps.reach(now, StepFrame)
		}
		if ok {
			c.cfg.Observer.Packet(now, Arrival{Mid: s.mid, Tag: tag, Timestamp: h.Timestamp, Repaired: p.Repaired})
		}
		c.schedule(due)
	}
}

// schedule makes runFeedback look at due, unless it will look before anyway.
func (c *connection) schedule(due time.Time) {
	if due.IsZero() {
		return
	}
	if planned := c.planned.Load(); planned == 0 || due.UnixNano() < planned {
		c.poke()
	}
}

// runDrain reads a receiver's RTCP, because pion's interceptors see only what is read.
func runDrain(r *webrtc.RTPReceiver) {
	buf := make([]byte, receiveMTU)
	for {
		if _, _, err := r.Read(buf); err != nil {
			return
		}
	}
}

// poke makes runFeedback look again.
func (c *connection) poke() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// runFeedback sends NACKs and PLIs when they are due.
func (c *connection) runFeedback() {
	for {
		now := c.cfg.Clock.Now()
		packets, due := c.feedback(now)
		c.planned.Store(0)
		if !due.IsZero() {
			c.planned.Store(due.UnixNano())
		}
		if len(packets) > 0 {
			// A failed write means that the connection is closing.
			_ = c.pc.WriteRTCP(packets)
		}
		var timer <-chan time.Time
		if !due.IsZero() {
			timer = c.cfg.Clock.After(max(due.Sub(now), time.Millisecond))
		}
		select {
		case <-c.wake:
		case <-timer:
		case <-c.done:
			return
		}
	}
}

// feedback collects what the slots ask for, and when to look again.
func (c *connection) feedback(now time.Time) (out []rtcp.Packet, due time.Time) {
	for _, s := range c.slots {
		s.mu.Lock()
		nacks, key := s.receiver.Feedback(now)
		next := s.receiver.Deadline()
		ssrc := s.ssrc
		s.mu.Unlock()
		if len(nacks) > 0 {
			out = append(out, &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(nacks)})
		}
		if key {
			out = append(out, &rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: ssrc})
		}
		if !next.IsZero() && (due.IsZero() || next.Before(due)) {
			due = next
		}
	}
	return out, due
}
