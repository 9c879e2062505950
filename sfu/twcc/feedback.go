// Package twcc reads and writes transport-wide congestion control feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1), without garbage: a server reads one such
// message of sixty packets every 100 ms from everybody, and writes as many. It is pure: no goroutine, clock,
// lock or socket.
package twcc

import (
	"encoding/binary"
	"errors"
	"time"
)

const (
	// DeltaUnit is that of the times between packets.
	DeltaUnit = 250 * time.Microsecond
	// ReferenceUnit is that of the time from which the first packet's is counted.
	ReferenceUnit = 64 * time.Millisecond
	// MaxPackets is how many one message may speak of: 40 ms of 1 Gbit/s. A run of them takes two bytes,
	// so that a stranger's message of 1 kB could speak of millions.
	MaxPackets = 4096

	payloadType = 205 // RTPFB (RFC 4585 section 6.1)
	format      = 15  // FMT

	headerBytes = 20 // before the chunks
	padded      = 1 << 5
)

// The symbols of a chunk.
const (
	lost = iota
	small
	large
	reserved
)

// ErrFormat is what Parse returns for what is none of these messages.
var ErrFormat = errors.New("twcc: not a transport-wide feedback message")

// Packet is what is told of one packet.
type Packet struct {
	Came  bool
	Delta int16 // since the one before that came, or since Feedback.Reference; in DeltaUnit
}

// Feedback is one message.
type Feedback struct {
	Base      uint16 // number of the first packet
	Reference uint32 // 24 bits, in ReferenceUnit
	Packets   []Packet
}

// Is tells whether an RTCP packet is such a message, by its header.
func Is(b []byte) bool { return len(b) >= 4 && b[0]&0x1f == format && b[1] == payloadType }

// Parse reads one RTCP packet, header included. Its memory is used again from message to message, so that
// Packets is valid until the next. Errors are ErrFormat: nothing of such a message is to be used.
func (f *Feedback) Parse(b []byte) error {
	if !Is(b) || len(b) < headerBytes || b[0]>>6 != 2 {
		return ErrFormat
	}
	length := 4 * (1 + int(binary.BigEndian.Uint16(b[2:])))
	if length < headerBytes || length > len(b) {
		return ErrFormat
	}
	count := int(binary.BigEndian.Uint16(b[14:]))
	f.Base = binary.BigEndian.Uint16(b[12:])
	f.Reference = binary.BigEndian.Uint32(b[16:]) >> 8
	if count > MaxPackets {
		return ErrFormat
	}
	rest, err := f.chunks(b[headerBytes:length], count)
	if err != nil {
		return err
	}
	return f.deltas(rest)
}

// chunks reads the fate of count packets; a large delta is marked by a Delta of 1 until deltas has read it.
func (f *Feedback) chunks(b []byte, count int) (rest []byte, err error) {
	f.Packets = f.Packets[:0]
	for len(f.Packets) < count {
		if len(b) < 2 {
			return nil, ErrFormat
		}
		chunk := binary.BigEndian.Uint16(b)
		b = b[2:]
		switch left := count - len(f.Packets); chunk >> 14 {
		case 0, 1: // a run of one symbol
			for range min(left, int(chunk&0x1fff)) {
				f.add(chunk >> 13 & 3)
			}
			if chunk>>13&3 == reserved || chunk&0x1fff == 0 { // an empty one would let b speak of nothing for ever
				return nil, ErrFormat
			}
		case 2: // fourteen of one bit
			for i := range min(left, 14) {
				f.add(chunk >> (13 - i) & 1)
			}
		case 3: // seven of two bits
			for i := range min(left, 7) {
				symbol := chunk >> (12 - 2*i) & 3
				if symbol == reserved {
					return nil, ErrFormat
				}
				f.add(symbol)
			}
		}
	}
	return b, nil
}

func (f *Feedback) add(symbol uint16) {
	p := Packet{Came: symbol != lost}
	if symbol == large {
		p.Delta = 1
	}
	f.Packets = append(f.Packets, p)
}

// deltas reads the times of the packets that came. What follows them is padding.
func (f *Feedback) deltas(b []byte) error {
	for i := range f.Packets {
		p := &f.Packets[i]
		switch {
		case !p.Came:
		case p.Delta == 0 && len(b) >= 1:
			p.Delta, b = int16(b[0]), b[1:]
		case p.Delta == 1 && len(b) >= 2:
			p.Delta, b = int16(binary.BigEndian.Uint16(b)), b[2:]
		default:
			return ErrFormat
		}
	}
	return nil
}
