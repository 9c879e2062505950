package twcc

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

const (
	// maxHeld is how many numbers a Recorder keeps the times of: 100 ms of 100 Mbit/s. What is older is not
	// told any more. A power of two.
	maxHeld   = 1024
	firstHeld = 64 // of them there is room for at first
	// maxStatuses is how many packets one message tells of, so that it fits into one datagram whatever came.
	maxStatuses = 400

	referenceUnits = int64(ReferenceUnit / DeltaUnit)
)

// Recorder notes when packets came, to tell their sender. The zero value is ready.
type Recorder struct {
	ssrc   uint32    // of the media that came last
	next   int64     // number of the first packet that the next message tells of
	end    int64     // behind the newest
	count  uint8     // of messages
	held   []arrival // nil before the first
	states []uint8   // of the message at hand
}

// arrival is when the packet of a number came, in DeltaUnit.
type arrival struct{ number, at int64 }

// Record notes that a packet of some stream came, at a time since an instant of the caller's choice that is
// not after any packet.
func (r *Recorder) Record(ssrc uint32, sequence uint16, at time.Duration) {
	r.ssrc = ssrc
	if r.held == nil {
		r.held = make([]arrival, firstHeld)
		r.next = 1<<16 + int64(sequence) // so that nothing is below 0
		r.end = r.next
	}
	number := r.end - 1 + int64(int16(sequence-uint16(r.end-1)))
	if number < r.end-maxHeld || number < 1<<15 {
		return
	}
	r.grow(int(r.end - min(r.next, number)))
	a := r.place(number)
	if a.number == number {
		return // again
	}
	if number >= r.end {
		r.grow(int(number + 1 - r.next))
		a = r.place(number)
		r.end = number + 1
		r.next = max(r.next, r.end-maxHeld)
	} else if number < r.next {
		r.next = number // late: what came after is told again, as senders expect
	}
	*a = arrival{number, int64((at + DeltaUnit/2) / DeltaUnit)}
}

// grow makes room for n numbers in a row, as far as they are kept.
func (r *Recorder) grow(n int) {
	size := len(r.held)
	for size < n && size < maxHeld {
		size *= 2
	}
	if size == len(r.held) {
		return
	}
	old := r.held
	r.held = make([]arrival, size)
	for _, a := range old {
		if a.number > 0 {
			*r.place(a.number) = a
		}
	}
}

func (r *Recorder) place(number int64) *arrival { return &r.held[number&int64(len(r.held)-1)] }

func (r *Recorder) came(number int64) (at int64, ok bool) {
	a := r.place(number)
	return a.at, a.number == number
}

// Append appends one message about what came since the last to b, as a whole RTCP packet from sender, and
// tells whether there was anything to tell. It is to be called until there is not.
func (r *Recorder) Append(b []byte, sender uint32) ([]byte, bool) {
	first := r.next
	for ; first < r.end; first++ {
		if _, ok := r.came(first); ok {
			break
		}
	}
	if first >= r.end {
		r.next = r.end // the rest came long ago, or never
		return b, false
	}
	at, _ := r.came(first)
	reference := at / referenceUnits
	from := len(b)
	b = append(b, 2<<6|format, payloadType, 0, 0)
	b = binary.BigEndian.AppendUint32(b, sender)
	b = binary.BigEndian.AppendUint32(b, r.ssrc)
	// What is missing in front of the first is told, too, if it fits.
	base := max(r.next, first-maxStatuses/2)
	b = binary.BigEndian.AppendUint16(b, uint16(base))
	b = append(b, 0, 0) // how many
	b = binary.BigEndian.AppendUint32(b, uint32(reference)<<8|uint32(r.count))
	r.count++
	r.next = r.classify(base, reference*referenceUnits)
	binary.BigEndian.PutUint16(b[from+14:], uint16(len(r.states)))
	b = appendChunks(b, r.states)
	b = r.appendDeltas(b, base, reference*referenceUnits)
	if pad := -(len(b) - from) & 3; pad > 0 { // RFC 3550 section 6.4.1: the last byte tells how much
		b = append(b, make([]byte, pad)...)
		b[len(b)-1] = byte(pad)
		b[from] |= padded
	}
	binary.BigEndian.PutUint16(b[from+2:], uint16((len(b)-from)/4-1))
	return b, true
}

// classify finds the symbols of the packets from base on, whose first time is after last, and returns where
// the message ends: before a packet that came too long after the one before it, or when it is full.
func (r *Recorder) classify(base, last int64) (end int64) {
	r.states = r.states[:0]
	ends := 0 // behind the last that came
	number := base
	for ; number < r.end && len(r.states) < maxStatuses; number++ {
		at, ok := r.came(number)
		symbol := uint8(lost)
		if ok {
			delta := at - last
			if delta < math.MinInt16 || delta > math.MaxInt16 {
				break
			}
			last = at
			if symbol = large; delta >= 0 && delta <= math.MaxUint8 {
				symbol = small
			}
		}
		r.states = append(r.states, symbol)
		if ok {
			ends = len(r.states)
		}
	}
	// What is missing behind the last that came may be under way.
	r.states = r.states[:ends]
	return base + int64(ends)
}

// appendDeltas writes the times of what classify has found.
func (r *Recorder) appendDeltas(b []byte, base, last int64) []byte {
	for i, symbol := range r.states {
		if symbol == lost {
			continue
		}
		at, _ := r.came(base + int64(i))
		if symbol == small {
			b = append(b, byte(at-last))
		} else {
			b = binary.BigEndian.AppendUint16(b, uint16(at-last))
		}
		last = at
	}
	return b
}

// appendChunks writes symbols: long runs as such, others by the bit where no time is large, else by two bits.
func appendChunks(b []byte, states []uint8) []byte {
	for len(states) > 0 {
		run := 1
		for run < len(states) && states[run] == states[0] {
			run++
		}
		next := states[:min(14, len(states))]
		wide := slices.Contains(next, large)
		var chunk uint16
		n := len(next)
		switch {
		case run >= 14 || run == len(states) || wide && run >= 7:
			n, chunk = run, uint16(states[0])<<13|uint16(run)
		case !wide:
			chunk = 2 << 14
			for i, s := range next {
				chunk |= uint16(s) << (13 - i)
			}
		default:
			n, chunk = min(7, len(states)), 3<<14
			for i, s := range states[:n] {
				chunk |= uint16(s) << (12 - 2*i)
			}
		}
		b = binary.BigEndian.AppendUint16(b, chunk)
		states = states[n:]
	}
	return b
}
