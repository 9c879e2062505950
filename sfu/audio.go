package sfu

import (
	"slices"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/redundancy"
)

// Audio is what a participant is told of how to send their voice, and how to play others'. The zero value
// leaves it to the client.
type Audio struct {
	Bitrate int           // of their voice in bit/s; 0: as they like
	Carry   []int         // which packets before it each packet carries (RED); nil: as they like
	Delay   time.Duration // for which voices are to be held, so that what comes in later packets is in time
	Packet  time.Duration // how much of their voice is to be in a packet; 0: as they like
}

func (a Audio) equal(b Audio) bool {
	return a.Bitrate == b.Bitrate && a.Delay == b.Delay && a.Packet == b.Packet && slices.Equal(a.Carry, b.Carry)
}

// carried decides what a voice is to carry on its way to the server. Publication.mu guards it.
type carried struct {
	meter      redundancy.Meter
	controller redundancy.Controller
	pattern    redundancy.Pattern
	known      bool // seq and ts are those of the last packet that came as itself
	seq        uint16
	ts         uint32
}

// publishersRoom is the depth that a publisher's path is taken to have room for: what it has is for the
// client's own estimate to say.
const publishersRoom = 2

// came takes a packet that came as itself and is newer than all before it.
func (x *carried) came(p *codec.Packet) {
	if lost := p.Seq - x.seq - 1; x.known && lost < 1<<15 {
		span := time.Duration(p.Timestamp-x.ts) * time.Second / time.Duration(codec.Opus.ClockRate())
		x.meter.Came(int(lost), span/time.Duration(lost+1))
	}
	x.known, x.seq, x.ts = true, p.Seq, p.Timestamp
}

// decide is called once a second.
func (x *carried) decide(now time.Time) {
	x.pattern = x.controller.Decide(now, &x.meter, publishersRoom, 1, redundancy.Open)
	x.meter.Age()
}

// announceAudio tells p what its audio is to be like, when that has changed.
func (p *Peer) announceAudio() {
	var a Audio
	pubs, slots := p.media()
	for _, pub := range pubs {
		if pub.source == codec.Mic {
			a = p.bounds.shape(pub.toCarry(), pub.asked())
		}
	}
	for _, s := range slots {
		a.Delay = max(a.Delay, s.delay())
	}
	if !a.equal(p.audio) {
		p.audio = a
		p.o.Events.Audio(a)
	}
}

// asked is the lowest bitrate that a subscriber's path asks for; 0 when none does.
func (pub *Publication) asked() int {
	lowest := 0
	for _, s := range *pub.subscribers.Load() {
		if asked := int(s.slot.asks.Load()); asked > 0 && (lowest == 0 || asked < lowest) {
			lowest = asked
		}
	}
	return lowest
}

func (pub *Publication) toCarry() []int {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.carried.pattern.Distances()
}

// delay is how long what the slot plays is to be held: near copies come while any player waits, unless packets are
// long, of which one and the next are to be there.
func (s *slot) delay() time.Duration {
	if s.kind != codec.Audio {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	packet := time.Duration(max(1, s.joined.frames)) * frame
	switch pattern := s.shield.pattern; {
	case pattern.Far():
		return time.Duration(pattern.Reach()) * packet
	case pattern != redundancy.None && packet > frame:
		return 2 * packet
	}
	return 0
}

// frame is how much of a voice is in one packet, as browsers have it.
const frame = 20 * time.Millisecond
