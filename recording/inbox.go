package recording

import (
	"sync"
	"time"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

// What an inbox holds at most: five seconds of a picture of 1.5 Mbit/s, for a disk that stands still.
const (
	inboxPackets = 1024
	inboxBytes   = 1 << 20
)

// inbox is where the packet path leaves packets. It copies, so a call costs a lock that is held for
// the time of a copy. When it is full, packets are lost and counted.
type inbox struct {
	mu     sync.Mutex
	mail   mail
	lost   int
	ended  bool
	reason string
}

// mail is what came since the last look.
type mail struct {
	packets []mkv.Packet
	bytes   []byte // what the payloads are parts of
	clocks  []clocked
}

// clocked is a clock that was told after so many of the packets.
type clocked struct {
	after int
	clock codec.Clock
}

// maxClocks between two looks: a publisher sends a report a second.
const maxClocks = 16

func (x *inbox) put(now time.Time, c codec.Name, p *codec.Packet) {
	x.mu.Lock()
	m := &x.mail
	if x.ended || len(m.packets) == inboxPackets || len(m.bytes)+len(p.Payload) > inboxBytes {
		x.lost++
		x.mu.Unlock()
		return
	}
	at := len(m.bytes)
	m.bytes = append(m.bytes, p.Payload...)
	// The payload is cut from bytes when it is taken: until then those may move.
	m.packets = append(m.packets, mkv.Packet{
		Taken: now, Codec: c, Seq: p.Seq, Timestamp: p.Timestamp, Marker: p.Marker,
		KeyFrame: p.KeyFrame, FrameStart: p.FrameStart, Payload: m.bytes[at:],
	})
	x.mu.Unlock()
}

func (x *inbox) clock(c codec.Clock) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.mail.clocks) < maxClocks {
		x.mail.clocks = append(x.mail.clocks, clocked{len(x.mail.packets), c})
	}
}

func (x *inbox) end(reason string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended, x.reason = true, reason
}

// take exchanges what came for an empty mail, whose space is used again.
func (x *inbox) take(empty mail) (m mail, lost int, ended bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m, lost = x.mail, x.lost
	x.mail = mail{packets: empty.packets[:0], bytes: empty.bytes[:0], clocks: empty.clocks[:0]}
	x.lost = 0
	at := 0
	for i := range m.packets {
		p := &m.packets[i]
		n := len(p.Payload)
		p.Payload = m.bytes[at : at+n : at+n]
		at += n
	}
	return m, lost, x.ended
}
