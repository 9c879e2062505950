package codec

import "encoding/binary"

// NAL unit types (RFC 6184 section 5.2, ITU-T H.264 table 7-1).
const (
	nalSlice       = 1
	nalIDR         = 5
	nalSPS         = 7
	nalDelimiter   = 9
	nalSingleLast  = 23
	nalAggregation = 24 // STAP-A
	nalFragment    = 28 // FU-A
)

// parseH264 reads the NAL unit headers of a payload that is not empty (RFC 6184 section 5).
//
// A key frame starts with its sequence parameter set. An IDR slice alone does not count: after
// another person's pictures it would be decoded with that person's parameter sets, because
// encoders number theirs from 0 alike. Every browser sends the sets in front of every IDR.
func (p *Packet) parseH264() error {
	b := p.Payload
	switch nal := b[0] & 0x1F; {
	case nal >= nalSlice && nal <= nalSingleLast:
		p.unitH264(nal, b[1:])
	case nal == nalAggregation:
		return p.aggregateH264(b[1:])
	case nal == nalFragment:
		if len(b) < 3 {
			return ErrDescriptor
		}
		if b[1]&0x80 != 0 {
			p.unitH264(b[1]&0x1F, b[2:])
		}
	default:
		// The rest belong to the interleaved mode, which nobody negotiates, or are reserved.
		return ErrDescriptor
	}
	return nil
}

// aggregateH264 reads the units of a STAP-A (RFC 6184 section 5.7.1).
func (p *Packet) aggregateH264(b []byte) error {
	if len(b) == 0 {
		return ErrDescriptor
	}
	for len(b) > 0 {
		if len(b) < 2 {
			return ErrDescriptor
		}
		size := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if size == 0 || size > len(b) {
			return ErrDescriptor
		}
		p.unitH264(b[0]&0x1F, b[1:size])
		b = b[size:]
	}
	return nil
}

// unitH264 notes what the start of one NAL unit says; b is what follows its header.
func (p *Packet) unitH264(nal byte, b []byte) {
	switch nal {
	case nalSPS:
		p.KeyFrame, p.FrameStart = true, true
	case nalDelimiter:
		p.FrameStart = true
	case nalSlice, nalIDR:
		// first_mb_in_slice is the slice header's first number, and 0 is coded as a single 1 bit
		// (ITU-T H.264 sections 7.3.3 and 9.1).
		if len(b) > 0 && b[0]&0x80 != 0 {
			p.FrameStart = true
		}
	}
}
