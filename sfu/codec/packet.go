// Package codec reads what the server needs to know of an RTP packet: its header, and as much of
// the codec's own header as it takes to find key frames and to renumber. It never looks at media.
// It is pure: no goroutine, clock, lock or socket.
package codec

import (
	"encoding/binary"
	"errors"
)

// Why a packet is not one. They carry no bytes of it: packets are media of patients.
var (
	ErrShort      = errors.New("codec: packet too short")
	ErrVersion    = errors.New("codec: not RTP version 2")
	ErrExtension  = errors.New("codec: malformed header extension")
	ErrPadding    = errors.New("codec: malformed padding")
	ErrDescriptor = errors.New("codec: malformed payload header")
	ErrUnknown    = errors.New("codec: unknown codec")
)

// Packet is a view over one decrypted RTP packet. Its slices alias the bytes given to Parse and
// are valid for as long as those are; nothing is copied and nothing allocated.
type Packet struct {
	Seq         uint16
	Timestamp   uint32 // in units of the codec's clock rate
	SSRC        uint32
	PayloadType uint8
	Marker      bool
	Payload     []byte // without padding; empty in a packet that is nothing but padding
	Size        int    // of the whole packet, in bytes

	// What ParsePayload finds.

	// KeyFrame: a decoder that has seen nothing before can start with this packet. True for the
	// first packet of a VP8 key frame, for an H.264 packet with a sequence parameter set, and for
	// every Opus packet that carries something.
	KeyFrame bool
	// FrameStart: the packet starts a frame. An H.264 frame whose parameter sets travel in
	// packets of their own has several starts, all with the same Timestamp.
	FrameStart bool
	VP8        Descriptor // of a VP8 packet; otherwise zero

	extensions []byte
	twoByte    bool // the extensions have headers of two bytes
}

const (
	headerSize    = 12
	oneByteHeader = 0xBEDE // RFC 8285 section 4.2
	twoByteHeader = 0x1000 // RFC 8285 section 4.3; the lower four bits are the application's
)

// Parse reads the header of one RTP packet (RFC 3550 section 5.1) and its header extensions
// (RFC 8285). It checks every length in the packet and replaces all of p; after an error p is of
// no use. It does not read the payload: ParsePayload does.
func (p *Packet) Parse(b []byte) error {
	*p = Packet{Size: len(b)}
	if len(b) < headerSize {
		return ErrShort
	}
	if b[0]>>6 != 2 {
		return ErrVersion
	}
	p.Marker = b[1]&0x80 != 0
	p.PayloadType = b[1] & 0x7F
	p.Seq = binary.BigEndian.Uint16(b[2:])
	p.Timestamp = binary.BigEndian.Uint32(b[4:])
	p.SSRC = binary.BigEndian.Uint32(b[8:])

	rest := b[headerSize:]
	contributing := 4 * int(b[0]&0x0F)
	if len(rest) < contributing {
		return ErrShort
	}
	rest = rest[contributing:]
	if b[0]&0x10 != 0 {
		var err error
		if rest, err = p.parseExtensions(rest); err != nil {
			return err
		}
	}
	if b[0]&0x20 != 0 {
		if len(rest) == 0 {
			return ErrPadding
		}
		n := int(rest[len(rest)-1])
		if n == 0 || n > len(rest) {
			return ErrPadding
		}
		rest = rest[:len(rest)-n]
	}
	p.Payload = rest
	return nil
}

// ParsePayload reads the codec's header at the start of the payload and fills KeyFrame, FrameStart
// and VP8. A packet without payload is none of them and no error. After an error they are zero.
func (p *Packet) ParsePayload(name Name) error {
	p.KeyFrame, p.FrameStart, p.VP8 = false, false, Descriptor{}
	if name.Kind() == 0 {
		return ErrUnknown
	}
	if len(p.Payload) == 0 {
		return nil
	}
	var err error
	switch name {
	case VP8:
		err = p.parseVP8()
	case H264:
		err = p.parseH264()
	default:
		p.KeyFrame, p.FrameStart = true, true
	}
	if err != nil {
		p.KeyFrame, p.FrameStart, p.VP8 = false, false, Descriptor{}
	}
	return err
}
