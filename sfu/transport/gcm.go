package transport

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

const (
	gcmKeyBytes  = 16
	gcmSaltBytes = 12
	gcmTagBytes  = 16
	// The labels of the keys that SRTP derives (RFC 3711 section 4.3.2).
	labelRTPKey   = 0
	labelRTPSalt  = 2
	labelRTCPKey  = 3
	labelRTCPSalt = 5
)

// gcm seals and opens RTP, or opens RTCP, with AEAD_AES_128_GCM (RFC 7714). pion's context does the same; what it does
// beside sealing (its view of the header, a map of SSRCs) was 5 % of the processor time from one to 100
// (profile, 2026-11-22). A gcm is for one goroutine at a time.
type gcm struct {
	aead  cipher.AEAD
	salt  [gcmSaltBytes]byte
	nonce [gcmSaltBytes]byte // here so that it is not allocated
	// What RTCP authenticates beside the sealed part, here for the same reason.
	associated [controlHeaderBytes + controlIndexBytes]byte
}

// newGCM derives the session keys of RTP from the master key and salt of a handshake.
func newGCM(key, salt []byte) (*gcm, error) { return deriveGCM(key, salt, labelRTPKey, labelRTPSalt) }

// newControlGCM derives those of RTCP.
func newControlGCM(key, salt []byte) (*gcm, error) {
	return deriveGCM(key, salt, labelRTCPKey, labelRTCPSalt)
}

func deriveGCM(key, salt []byte, keyLabel, saltLabel byte) (*gcm, error) {
	if len(key) != gcmKeyBytes || len(salt) != gcmSaltBytes {
		return nil, fmt.Errorf("transport: a master key of %d and a salt of %d bytes", len(key), len(salt))
	}
	g := &gcm{}
	session, err := deriveKey(key, salt, keyLabel, gcmKeyBytes)
	if err != nil {
		return nil, err
	}
	derived, err := deriveKey(key, salt, saltLabel, gcmSaltBytes)
	if err != nil {
		return nil, err
	}
	copy(g.salt[:], derived)
	block, err := aes.NewCipher(session)
	if err != nil {
		return nil, fmt.Errorf("transport: session key: %w", err)
	}
	if g.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("transport: session key: %w", err)
	}
	return g, nil
}

// deriveKey is the AES counter mode generator of RFC 3711 section 4.3.3, with a key derivation rate of 0
// and the salt of RFC 7714 section 11, which is two bytes shorter and padded at the end.
func deriveKey(key, salt []byte, label byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("transport: master key: %w", err)
	}
	var counter [aes.BlockSize]byte
	copy(counter[:], salt)
	counter[7] ^= label
	out := make([]byte, n)
	cipher.NewCTR(block, counter[:]).XORKeyStream(out, out)
	return out, nil
}

// seal seals the packet b in place, whose first header bytes stay readable, and returns it with its tag,
// for which b must have room. index is the packet's, with the rollover counter (RFC 3711 section 3.3.1); it
// must never come twice with one SSRC.
func (g *gcm) seal(b []byte, header int, ssrc uint32, index uint64) []byte {
	return g.aead.Seal(b[:header], g.number(ssrc, index), b[header:], b[:header])
}

// open opens the packet b in place and returns it without its tag.
func (g *gcm) open(b []byte, header int, ssrc uint32, index uint64) ([]byte, error) {
	return g.aead.Open(b[:header], g.number(ssrc, index), b[header:], b[:header])
}

// number makes the nonce of RFC 7714 section 8.1: two bytes of 0, SSRC, rollover counter and sequence
// number, on the salt. It is valid until the next.
func (g *gcm) number(ssrc uint32, index uint64) []byte {
	n := &g.nonce
	*n = g.salt
	binary.BigEndian.PutUint32(n[2:], binary.BigEndian.Uint32(n[2:])^ssrc)
	binary.BigEndian.PutUint32(n[6:], binary.BigEndian.Uint32(n[6:])^uint32(index>>16))
	binary.BigEndian.PutUint16(n[10:], binary.BigEndian.Uint16(n[10:])^uint16(index))
	return n[:]
}

// headerLength is how much of an RTP packet is not sealed (RFC 3550 section 5.1); false if b is too short.
func headerLength(b []byte) (int, bool) {
	if len(b) < 12 {
		return 0, false
	}
	n := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if n += 4; len(b) < n {
			return 0, false
		}
		n += 4 * int(binary.BigEndian.Uint16(b[n-2:]))
	}
	return n, len(b) >= n
}
