package codec

// Descriptor is the VP8 payload descriptor of one packet (RFC 7741 section 4.2).
type Descriptor struct {
	PictureID     uint16 // valid where PictureIDBits > 0
	PictureIDBits uint8  // 7 or 15; 0 where the packet has no PictureID
	TL0PICIDX     uint8  // valid where HasTL0PICIDX
	HasTL0PICIDX  bool
	TID           uint8 // temporal layer, 0 to 3; 0 where the packet does not say
	HasTID        bool
	LayerSync     bool // Y: the frame depends on nothing but the base layer
	NonReference  bool // N: no other frame depends on this one
}

// PictureIDAt is where in the payload the PictureID is, in the packets that have one, and where
// TL0PICIDX is in those that have none: behind the descriptor's first byte, and one that says what
// follows. Otherwise TL0PICIDX follows the PictureID.
const PictureIDAt = 2

// extendedAt is where the byte is that says what follows.
const extendedAt = 1

// parseVP8 reads the payload descriptor and the first bit of the payload header (RFC 7741
// sections 4.2 and 4.3) of a payload that is not empty.
func (p *Packet) parseVP8() error {
	b := p.Payload
	p.VP8.NonReference = b[0]&0x20 != 0
	first := b[0]&0x10 != 0 && b[0]&0x07 == 0 // S, and partition 0
	n := extendedAt
	if b[0]&0x80 != 0 {
		if len(b) <= extendedAt {
			return ErrDescriptor
		}
		size, ok := p.VP8.parseExtended(b[extendedAt], b[PictureIDAt:])
		if !ok {
			return ErrDescriptor
		}
		n = PictureIDAt + size
	}
	if len(b) <= n {
		return ErrDescriptor // RFC 7741 section 4.2 puts a payload behind every descriptor
	}
	p.FrameStart = first
	p.KeyFrame = first && b[n]&0x01 == 0 // P, the inverse key frame flag
	return nil
}

// parseExtended reads the fields that flags (the bits I, L, T and K) announces from b, and returns
// how many bytes they have.
func (d *Descriptor) parseExtended(flags byte, b []byte) (size int, ok bool) {
	if flags&0x80 != 0 {
		if len(b) < 1 {
			return 0, false
		}
		d.PictureID, d.PictureIDBits, size = uint16(b[0]), 7, 1
		if b[0]&0x80 != 0 {
			if len(b) < 2 {
				return 0, false
			}
			d.PictureID, d.PictureIDBits, size = uint16(b[0]&0x7F)<<8|uint16(b[1]), 15, 2
		}
	}
	if flags&0x40 != 0 {
		if len(b) <= size {
			return 0, false
		}
		d.TL0PICIDX, d.HasTL0PICIDX = b[size], true
		size++
	}
	if flags&0x30 != 0 {
		if len(b) <= size {
			return 0, false
		}
		if flags&0x20 != 0 {
			d.TID, d.LayerSync, d.HasTID = b[size]>>6, b[size]&0x20 != 0, true
		}
		size++
	}
	return size, true
}
