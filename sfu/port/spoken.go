package port

import "encoding/binary"

// spoken is what a TCP connection begins with.
type spoken uint8

const (
	spokenMore    spoken = iota // too little to tell
	spokenTLS                   // a ClientHello; what is inside begins anew
	spokenHTTP                  // a method
	spokenTURN                  // a STUN request as it is (RFC 8489 section 6.2.2)
	spokenICE                   // a connectivity check in a frame (RFC 6544 section 3, RFC 4571)
	spokenUnknown               // nothing that is spoken here
)

const (
	// recordHandshake is the first byte of a TLS ClientHello (RFC 8446 section 5.1).
	recordHandshake = 0x16
	// sniffBytes are enough to tell everything: length, type, length and cookie of a framed check.
	sniffBytes = frameHeaderLen + 8
	// frameHeaderLen is the length that RFC 4571 section 2 puts before each packet.
	frameHeaderLen = 2
)

// tellSpoken looks at the first bytes of a connection. The protocols exclude each other: a method begins
// with a capital, which as a length is beyond any datagram; a STUN request's type is below 16, and no
// check is as short as that.
func tellSpoken(b []byte) spoken {
	switch {
	case len(b) == 0:
		return spokenMore
	case b[0] == recordHandshake:
		return spokenTLS
	case b[0] >= 'A' && b[0] <= 'Z':
		return spokenHTTP
	case b[0] > datagramBytes>>8:
		return spokenUnknown
	case len(b) < frameHeaderLen:
		return spokenMore
	}
	if n := binary.BigEndian.Uint16(b); n >= stunHeaderLen {
		return tellFramed(b[frameHeaderLen:], int(n))
	}
	return tellSTUN(b)
}

// tellSTUN takes any request: which, and from whom, is the relay's affair.
func tellSTUN(b []byte) spoken {
	const stunClass = 0x0110 // 0: a request
	if kind := binary.BigEndian.Uint16(b); kind == 0 || kind&stunClass != 0 {
		return spokenUnknown
	}
	return tellCookie(b, spokenTURN)
}

// tellFramed takes a check that fills its frame of n bytes.
func tellFramed(b []byte, n int) spoken {
	switch {
	case n > datagramBytes:
		return spokenUnknown
	case len(b) < 4:
		return spokenMore
	case binary.BigEndian.Uint16(b) != stunBindingRequest, stunHeaderLen+int(binary.BigEndian.Uint16(b[2:])) != n:
		return spokenUnknown
	}
	return tellCookie(b, spokenICE)
}

func tellCookie(b []byte, then spoken) spoken {
	switch {
	case len(b) < 8:
		return spokenMore
	case binary.BigEndian.Uint32(b[4:]) != stunMagicCookie:
		return spokenUnknown
	}
	return then
}
