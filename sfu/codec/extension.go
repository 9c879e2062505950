package codec

import "encoding/binary"

// Extension returns the header extension element with that id, as negotiated with a=extmap; nil
// when the packet has none, and an empty slice that is not nil for an element without content.
func (p *Packet) Extension(id uint8) []byte {
	if id == 0 {
		return nil
	}
	for rest := p.extensions; len(rest) > 0; {
		e, next, err := nextElement(rest, p.twoByte)
		if err != nil {
			return nil
		}
		if e.id == id {
			return e.content
		}
		rest = next
	}
	return nil
}

// AudioLevel reads the content of an RFC 6464 extension element. The level is that of the RFC, in
// -dBov: 0 is the loudest, 127 silence. Voice is the sender's opinion, true also from senders that
// have none.
func AudioLevel(ext []byte) (level uint8, voice, ok bool) {
	if len(ext) != 1 {
		return 0, false, false
	}
	return ext[0] & 0x7F, ext[0]&0x80 != 0, true
}

// SendTime reads the content of an abs-send-time extension element: when the packet was sent by the sender's clock, in
// units of 2^-18 s, modulo 64 s (www.webrtc.org/experiments/rtp-hdrext/abs-send-time).
func SendTime(ext []byte) (units uint32, ok bool) {
	if len(ext) != 3 {
		return 0, false
	}
	return uint32(ext[0])<<16 | uint32(ext[1])<<8 | uint32(ext[2]), true
}

// parseExtensions checks and keeps the header extension at the start of b, and returns what
// follows. Extensions of other profiles than RFC 8285's are skipped, as RFC 3550 section 5.3.1
// wants.
func (p *Packet) parseExtensions(b []byte) (rest []byte, err error) {
	if len(b) < 4 {
		return nil, ErrExtension
	}
	profile := binary.BigEndian.Uint16(b)
	size := 4 * int(binary.BigEndian.Uint16(b[2:]))
	b = b[4:]
	if len(b) < size {
		return nil, ErrExtension
	}
	rest = b[size:]
	switch {
	case profile == oneByteHeader:
	case profile&0xFFF0 == twoByteHeader:
		p.twoByte = true
	default:
		return rest, nil
	}
	p.extensions = b[:size:size]
	for elements := p.extensions; len(elements) > 0; {
		if _, elements, err = nextElement(elements, p.twoByte); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// element is one header extension element; id 0 is padding.
type element struct {
	id      uint8
	content []byte
}

// nextElement cuts the first element off b, which is not empty.
func nextElement(b []byte, twoByte bool) (e element, rest []byte, err error) {
	if b[0] == 0 {
		return element{}, b[1:], nil
	}
	if twoByte {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return element{}, nil, ErrExtension
		}
		end := 2 + int(b[1])
		return element{b[0], b[2:end:end]}, b[end:], nil
	}
	id, end := b[0]>>4, 2+int(b[0]&0x0F)
	if id == 0 || id == 15 {
		// RFC 8285 section 4.2: nothing after a 15, or a 0 with a length, is to be read.
		return element{}, nil, nil
	}
	if len(b) < end {
		return element{}, nil, ErrExtension
	}
	return element{id, b[1:end:end]}, b[end:], nil
}
