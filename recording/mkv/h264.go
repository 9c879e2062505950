package mkv

import (
	"encoding/binary"
	"slices"
)

// NAL unit types (RFC 6184 section 5.2).
const (
	nalSPS         = 7
	nalPPS         = 8
	nalSingleLast  = 23
	nalAggregation = 24
	nalFragment    = 28
)

// h264Frame collects what the packets of one frame say.
type h264Frame struct {
	sps, pps []byte // the first of each; encoders of browsers send one
	fragment bool   // a unit has begun and not ended
	unit     int    // where its length is
}

// append adds the units of one payload (RFC 6184 section 5) to data, each behind its length of four
// bytes, as Matroska has them.
func (h *h264Frame) append(data, b []byte) ([]byte, error) {
	if len(b) == 0 {
		return data, errPayload
	}
	switch kind := b[0] & 0x1F; {
	case kind >= 1 && kind <= nalSingleLast:
		return h.single(data, b)
	case kind == nalAggregation:
		for b = b[1:]; len(b) > 0; {
			if len(b) < 2 {
				return data, errPayload
			}
			n := int(binary.BigEndian.Uint16(b))
			if b = b[2:]; n == 0 || n > len(b) {
				return data, errPayload
			}
			var err error
			if data, err = h.single(data, b[:n]); err != nil {
				return data, err
			}
			b = b[n:]
		}
		return data, nil
	case kind == nalFragment:
		return h.piece(data, b)
	}
	return data, errPayload
}

func (h *h264Frame) single(data, unit []byte) ([]byte, error) {
	if h.fragment {
		return data, errPayload
	}
	switch unit[0] & 0x1F {
	case nalSPS:
		if h.sps == nil {
			h.sps = slices.Clone(unit)
		}
	case nalPPS:
		if h.pps == nil {
			h.pps = slices.Clone(unit)
		}
	}
	data = binary.BigEndian.AppendUint32(data, uint32(len(unit)))
	return append(data, unit...), nil
}

// piece adds a part of a unit (FU-A, RFC 6184 section 5.8).
func (h *h264Frame) piece(data, b []byte) ([]byte, error) {
	if len(b) < 3 {
		return data, errPayload
	}
	first, last := b[1]&0x80 != 0, b[1]&0x40 != 0
	if first == h.fragment {
		return data, errPayload
	}
	if first {
		h.fragment, h.unit = true, len(data)
		data = append(data, 0, 0, 0, 0, b[0]&0xE0|b[1]&0x1F)
	}
	data = append(data, b[2:]...)
	binary.BigEndian.PutUint32(data[h.unit:], uint32(len(data)-h.unit-4))
	if last {
		h.fragment = false
	}
	return data, nil
}

// configuration is the AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1) of a key frame
// whose sequence parameter set could be read.
func (h *h264Frame) configuration() []byte {
	c := []byte{1, h.sps[1], h.sps[2], h.sps[3], 0xFF, 0xE1}
	c = binary.BigEndian.AppendUint16(c, uint16(len(h.sps)))
	c = append(c, h.sps...)
	if h.pps == nil {
		return append(c, 0)
	}
	c = append(c, 1)
	c = binary.BigEndian.AppendUint16(c, uint16(len(h.pps)))
	return append(c, h.pps...)
}
