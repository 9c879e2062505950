// Package opus takes Opus packets apart and puts their frames together again in longer ones (RFC 6716
// section 3), as the repacketizer of libopus does: bytes are moved, nothing is decoded. A packet of 60 ms
// takes the headers of IP, UDP, RTP and SRTP once instead of three times, and of a voice behind a thin link
// those are most of what is sent.
//
// It is pure: no goroutine, clock, lock, socket or random source.
package opus

import (
	"errors"
	"time"
)

// ErrPacket tells that bytes are no Opus packet (RFC 6716 section 3.4).
var ErrPacket = errors.New("opus: malformed packet")

// Limits of RFC 6716 section 3.2: a frame's length and a packet's duration, and so its frames of 2.5 ms.
const (
	maxFrameBytes = 1275
	maxDuration   = 120 * time.Millisecond
	maxFrames     = 48
)

// codeMask are the bits of the first byte that say how many frames follow; the others say what they are.
const codeMask = 3

// Packet is a parsed packet. Its frames alias what was parsed.
type Packet struct {
	toc    byte // configuration and stereo, without the code
	n      int
	frames [maxFrames][]byte
}

// Frames are the frames of the packet, in order. One may be empty: then there is nothing to decode
// (DTX, or a loss).
func (p *Packet) Frames() [][]byte { return p.frames[:p.n] }

// Duration is how long the packet sounds.
func (p *Packet) Duration() time.Duration { return time.Duration(p.n) * frameDuration(p.toc) }

// frameDuration is that of RFC 6716 table 2.
func frameDuration(toc byte) time.Duration {
	config := toc >> 3
	switch {
	case config < 12: // SILK
		return [...]time.Duration{10, 20, 40, 60}[config&3] * time.Millisecond
	case config < 16: // hybrid
		return [...]time.Duration{10, 20}[config&1] * time.Millisecond
	}
	return 2500 * time.Microsecond << (config & 3) // CELT
}

// Duration is how long a packet sounds, by its first two bytes; 0 for what cannot be one.
func Duration(b []byte) time.Duration {
	if len(b) == 0 {
		return 0
	}
	frames := 1
	switch b[0] & codeMask {
	case 1, 2:
		frames = 2
	case 3:
		if len(b) < 2 {
			return 0
		}
		frames = int(b[1] & 0x3f)
	}
	if d := time.Duration(frames) * frameDuration(b[0]); d <= maxDuration {
		return d
	}
	return 0
}

// Parse reads the packet b; every length in it is checked. After an error p is of no use.
func (p *Packet) Parse(b []byte) error {
	p.n = 0
	if len(b) == 0 {
		return ErrPacket // R1
	}
	p.toc = b[0] &^ codeMask
	rest, ok := b[1:], false
	switch b[0] & codeMask {
	case 0:
		ok = p.equal(rest, 1)
	case 1:
		ok = p.equal(rest, 2)
	case 2:
		ok = p.sized(rest, 2)
	default:
		ok = p.many(rest)
	}
	if !ok {
		p.n = 0
		return ErrPacket
	}
	return nil
}

// equal cuts b into n frames of one length.
func (p *Packet) equal(b []byte, n int) bool {
	size := len(b) / n
	if len(b)%n != 0 || size > maxFrameBytes { // R3, R6; R2
		return false
	}
	for i := range n {
		p.frames[i] = b[i*size : (i+1)*size : (i+1)*size]
	}
	p.n = n
	return true
}

// sized cuts b into n frames, of which all but the last are preceded by their lengths, one behind the other.
func (p *Packet) sized(b []byte, n int) bool {
	var sizes [maxFrames]int
	for i := range n - 1 {
		size, bytes := frameLength(b)
		if bytes == 0 {
			return false // R4, R7
		}
		sizes[i], b = size, b[bytes:]
	}
	for i := range n - 1 {
		if len(b) < sizes[i] {
			return false
		}
		p.frames[i], b = b[:sizes[i]:sizes[i]], b[sizes[i]:]
	}
	p.frames[n-1] = b[:len(b):len(b)]
	p.n = n
	return len(b) <= maxFrameBytes
}

// many reads a packet of code 3 behind its first byte: a count of frames, padding, and the frames.
func (p *Packet) many(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	head, n := b[0], int(b[0]&0x3f)
	b = b[1:]
	if n == 0 || time.Duration(n)*frameDuration(p.toc) > maxDuration { // R5
		return false
	}
	if head&0x40 != 0 {
		var ok bool
		if b, ok = unpad(b); !ok {
			return false
		}
	}
	if head&0x80 != 0 {
		return p.sized(b, n)
	}
	return p.equal(b, n)
}

// unpad takes off the padding, whose length comes first: 255 is 254 bytes and more to come.
func unpad(b []byte) (rest []byte, ok bool) {
	padding := 0
	for len(b) > 0 {
		x := int(b[0])
		b = b[1:]
		if x < 255 {
			padding += x
			if padding > len(b) {
				return nil, false
			}
			return b[:len(b)-padding], true
		}
		padding += 254
	}
	return nil, false
}

// frameLength reads a length (RFC 6716 section 3.2.1), and how many bytes it takes; 0 where it is cut short.
func frameLength(b []byte) (size, bytes int) {
	switch {
	case len(b) == 0:
		return 0, 0
	case b[0] < 252:
		return int(b[0]), 1
	case len(b) < 2:
		return 0, 0
	}
	return int(b[0]) + 4*int(b[1]), 2
}
