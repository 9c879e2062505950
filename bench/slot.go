package bench

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// slot is one receiving m-line.
type slot struct {
	video bool
	mid   string // set by the offer

	mu       sync.Mutex
	ssrc     uint32
	rtxSSRC  uint32
	receiver *Receiver
	traffic  Traffic // received
	heard    [heardFrames]heard
}

func newSlot(video, repeat bool) *slot {
	s := &slot{video: video, receiver: NewReceiver(video)}
	if !video && repeat {
		s.receiver.order = newRepeated()
	}
	return s
}

// setStreams notes the SSRCs that the slot is received on; rtx is 0 without RTX.
func (s *slot) setStreams(media, rtx uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ssrc, s.rtxSSRC = media, rtx
}

// wants tells whether the slot needs to see a packet's payload.
func (s *slot) wants(sequence uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.receiver.Wants(sequence)
}

// arrived accounts for one packet that the stack received in a slot; size is that of its payload.
func (c *connection) arrived(now time.Time, s *slot, p Inbound, size int) {
	s.mu.Lock()
	tag, ok := s.receiver.Packet(now, p)
	due := s.receiver.Deadline()
	decodable := s.receiver.frames.decodable
	if !p.Redundant {
		s.traffic.received(size)
	}
	s.mu.Unlock()
	c.steps.reach(now, StepPacket)
	if decodable > 0 {
		c.steps.reach(now, StepFrame)
	}
	if ok && !s.video {
		var buf [maxVoiceFrames]Tag
		tags := voiceTags(buf[:0], p.Payload)
		s.note(tags)
		c.observe(now, s, p, tags)
	} else if ok {
		c.cfg.Observer.Packet(now, Arrival{Mid: s.mid, Tag: tag, Timestamp: p.Timestamp, Repaired: p.Repaired})
	}
	c.schedule(due)
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
			_ = c.media.writeRTCP(packets)
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
	rtt := c.media.rtt()
	for _, s := range c.slots {
		s.mu.Lock()
		s.receiver.SetRTT(rtt)
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
