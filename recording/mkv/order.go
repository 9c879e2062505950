package mkv

import (
	"bytes"
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
	kept    int // of those held, by Keep
	waiting [orderReach]*Packet
	own     [orderReach]bool // kept, by the same index
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
		clear(o.own[:])
		o.held, o.kept, o.next, ahead = 0, 0, p.Seq, 0
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
		if o.own[p.Seq%orderReach] {
			o.own[p.Seq%orderReach] = false
			o.kept--
		}
		o.waiting[p.Seq%orderReach] = nil
		o.held--
		o.next = p.Seq + 1
		return Ordered{*p, missing}, true
	}
	return Ordered{}, false
}

// Keep copies the payloads of what still waits, so that the caller may use their space again.
func (o *Order) Keep() {
	for i := 0; i < orderReach && o.kept < o.held; i++ {
		p := o.waiting[(int(o.next)+i)%orderReach]
		if p == nil {
			continue
		}
		if !o.own[p.Seq%orderReach] {
			own := *p
			own.Payload = bytes.Clone(p.Payload)
			o.waiting[p.Seq%orderReach], o.own[p.Seq%orderReach] = &own, true
			o.kept++
		}
	}
}
