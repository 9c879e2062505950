package port

import "encoding/binary"

// class is what a datagram is, by RFC 7983 section 7.
type class uint8

const (
	classUnknown class = iota
	classSTUN
	classDTLS
	classTURNChannel
	classMedia // SRTP and SRTCP
)

// classify looks at the first byte alone; ZRTP (16-19) is not spoken here and counts as unknown.
func classify(first byte) class {
	switch {
	case first <= 3:
		return classSTUN
	case first >= 20 && first <= 63:
		return classDTLS
	case first >= 64 && first <= 127: // to 79 by RFC 7983; up to 127 are channels of RFC 5766, and nothing else here
		return classTURNChannel
	case first >= 128 && first <= 191:
		return classMedia
	}
	return classUnknown
}

// DTLS 1.2 record layer, RFC 6347 section 4.1.
const (
	dtlsHeaderLen = 13

	dtlsChangeCipherSpec = 20
	dtlsAlert            = 21
	dtlsHandshake        = 22
	dtlsApplicationData  = 23
)

// acceptDTLS tells whether every record of the datagram is one that pion/dtls may see.
//
// RFC 6347 section 4.1.2.7 wants invalid records discarded silently. pion/dtls v3.1.8 instead
// answers some of them (epoch-0 application data, unknown content types, a malformed
// ChangeCipherSpec) with a genuine, encrypted fatal alert: one spoofed datagram of 18 bytes then
// ends a call (measured with Chromium 156, 2026-11-22). An established association needs nothing
// in epoch 0 but handshake retransmissions and their ChangeCipherSpec, so all else is dropped.
func acceptDTLS(b []byte) bool {
	for len(b) > 0 {
		if len(b) < dtlsHeaderLen || b[1] != 0xfe {
			return false
		}
		epoch := binary.BigEndian.Uint16(b[3:])
		n := int(binary.BigEndian.Uint16(b[11:]))
		if len(b) < dtlsHeaderLen+n {
			return false
		}
		if !acceptRecord(b[0], epoch, b[dtlsHeaderLen:dtlsHeaderLen+n]) {
			return false
		}
		b = b[dtlsHeaderLen+n:]
	}
	return true
}

func acceptRecord(contentType byte, epoch uint16, body []byte) bool {
	if epoch > 1 { // a third epoch would be a renegotiation, which WebRTC does not do
		return false
	}
	switch contentType {
	case dtlsHandshake:
		return len(body) > 0
	case dtlsChangeCipherSpec:
		return epoch == 0 && len(body) == 1 && body[0] == 1
	case dtlsAlert, dtlsApplicationData:
		return epoch == 1 && len(body) > 0
	}
	return false
}

// STUN header, RFC 8489 section 5.
const (
	stunHeaderLen   = 20
	stunMagicCookie = 0x2112A442

	stunBindingRequest = 0x0001
	stunMethodBinding  = 0x001
)

// stunType returns the message type of a well-formed STUN header.
func stunType(b []byte) (messageType uint16, ok bool) {
	if len(b) < stunHeaderLen || binary.BigEndian.Uint32(b[4:]) != stunMagicCookie {
		return 0, false
	}
	if n := int(binary.BigEndian.Uint16(b[2:])); n%4 != 0 || stunHeaderLen+n != len(b) {
		return 0, false
	}
	return binary.BigEndian.Uint16(b), true
}

// isTURN tells whether b is a STUN message of TURN: well-formed, and not a connectivity check.
func isTURN(b []byte) bool {
	messageType, ok := stunType(b)
	return ok && stunMethod(messageType) != stunMethodBinding
}

// stunMethod strips the class bits from a message type (RFC 8489 section 5, figure 3).
func stunMethod(messageType uint16) uint16 {
	return messageType&0x000f | messageType&0x00e0>>1 | messageType&0x3e00>>2
}
