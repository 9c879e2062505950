package mkv

import (
	"math"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Packet is one RTP packet that is to be recorded. Who takes it owns its payload.
type Packet struct {
	Taken      time.Time // when it came, on the server's clock
	Codec      codec.Name
	Seq        uint16
	Timestamp  uint32
	Marker     bool
	KeyFrame   bool // as codec.Packet says
	FrameStart bool
	Payload    []byte
}

// orderReach is how many packets may wait behind a missing one, and at the same time by how much a
// sequence number may differ from what is expected before the stream counts as a new one. A power of
// two; a second of the busiest picture has 250.
const orderReach = 512

// Order puts the packets of one stream in sequence, and waits for what is missing as long as it is told
// to. The zero value waits for nothing.
type Order struct {
	Wait time.Duration // for what is missing, from the arrival of what follows it

	begun   bool
	next    uint16 // the sequence number that is due
	held    int
	waiting [orderReach]*Packet
}

// Ordered is a packet in its turn.
type Ordered struct {
	Packet
	Missing int // how many right before it are given up
}

// Put takes a packet that came. One that has been given up, or came before, is dropped.
func (o *Order) Put(p *Packet) {
	if !o.begun {
		o.begun, o.next = true, p.Seq
	}
	ahead := int16(p.Seq - o.next)
	if ahead >= orderReach || ahead < -orderReach {
		// Not this stream's numbers: it begins anew, and what waited is not worth more.
		clear(o.waiting[:])
		o.held, o.next, ahead = 0, p.Seq, 0
	}
	if ahead < 0 {
		return
	}
	at := &o.waiting[p.Seq%orderReach]
	if *at == nil {
		o.held++
		*at = p
	}
}

// Pass takes a packet that is in its turn already, which most are, and reports whether it is. If not, it is
// to be Put.
func (o *Order) Pass(p *Packet) bool {
	if !o.begun {
		o.begun, o.next = true, p.Seq
	}
	if o.held > 0 || p.Seq != o.next {
		return false
	}
	o.next++
	return true
}

// Hurry gives up what is missing, now and later.
func (o *Order) Hurry() { o.Wait = math.MinInt64 }

// Held tells whether anything waits for what is missing.
func (o *Order) Held() bool { return o.held > 0 }

// Take returns the next packet that is in its turn now, if there is one.
func (o *Order) Take(now time.Time) (Ordered, bool) {
	if o.held == 0 {
		return Ordered{}, false
	}
	for missing := range orderReach {
		p := o.waiting[(o.next+uint16(missing))%orderReach]
		if p == nil {
			continue
		}
		if missing > 0 && o.held < orderReach/2 && now.Sub(p.Taken) < o.Wait {
			return Ordered{}, false
		}
		o.waiting[p.Seq%orderReach] = nil
		o.held--
		o.next = p.Seq + 1
		return Ordered{*p, missing}, true
	}
	return Ordered{}, false
}
