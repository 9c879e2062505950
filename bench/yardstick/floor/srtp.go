package floor

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

const (
	masterKeyBytes  = 16
	masterSaltBytes = 12
	tagBytes        = 16
	headerBytes     = 12
)

// srtpKey protects one direction of a connection: AEAD_AES_128_GCM (RFC 7714), without MKI. It is not
// safe for concurrent use.
type srtpKey struct {
	aead cipher.AEAD
	salt [masterSaltBytes]byte
	iv   [masterSaltBytes]byte // scratch
}

// newSRTPKey derives the session key and salt (RFC 3711 section 4.3, RFC 7714 section 11).
func newSRTPKey(master, salt []byte) (*srtpKey, error) {
	if len(master) != masterKeyBytes || len(salt) != masterSaltBytes {
		return nil, fmt.Errorf("floor: master key of %d and salt of %d bytes", len(master), len(salt))
	}
	const labelKey, labelSalt = 0, 2
	session, err := derive(master, salt, labelKey, masterKeyBytes)
	if err != nil {
		return nil, err
	}
	salted, err := derive(master, salt, labelSalt, masterSaltBytes)
	if err != nil {
		return nil, err
	}
	return sessionKey(session, salted)
}

// sessionKey is made of what is derived.
func sessionKey(key, salt []byte) (*srtpKey, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("floor: session key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("floor: session key: %w", err)
	}
	return &srtpKey{aead: aead, salt: [masterSaltBytes]byte(salt)}, nil
}

// derive is the AES-CM key derivation function with a rate of 0; a salt of 96 bits is padded on the
// right (RFC 7714 section 11).
func derive(master, salt []byte, label byte, size int) ([]byte, error) {
	block, err := aes.NewCipher(master)
	if err != nil {
		return nil, fmt.Errorf("floor: master key: %w", err)
	}
	var iv [aes.BlockSize]byte
	copy(iv[:], salt)
	iv[7] ^= label
	out := make([]byte, size)
	cipher.NewCTR(block, iv[:]).XORKeyStream(out, out)
	return out, nil
}

// nonce is that of a packet with a header and a rollover counter (RFC 7714 section 8.1).
func (k *srtpKey) nonce(header []byte, rollover uint32) []byte {
	k.iv = k.salt
	for i := range 4 {
		k.iv[2+i] ^= header[8+i] // SSRC
	}
	for i := range 4 {
		k.iv[6+i] ^= byte(rollover >> (24 - 8*i))
	}
	k.iv[10] ^= header[2] // sequence number
	k.iv[11] ^= header[3]
	return k.iv[:]
}

// seal appends the protected packet to dst.
func (k *srtpKey) seal(dst, header, payload []byte, rollover uint32) []byte {
	at := len(dst)
	dst = append(dst, header...)
	return k.aead.Seal(dst, k.nonce(dst[at:], rollover), payload, dst[at:])
}

// open decrypts a packet into dst, which must not overlap it.
func (k *srtpKey) open(dst, packet []byte, header int, rollover uint32) ([]byte, error) {
	return k.aead.Open(dst, k.nonce(packet, rollover), packet[header:], packet[:header])
}

// rollover follows one stream's sequence numbers (RFC 3711 section 3.3.1).
type rollover struct {
	started bool
	count   uint32
	highest uint16
}

// guess returns the counter that a packet was sealed with.
func (r *rollover) guess(seq uint16) uint32 {
	switch {
	case !r.started:
		return 0
	case r.highest < 1<<15 && int(seq)-int(r.highest) > 1<<15:
		return r.count - 1
	case r.highest >= 1<<15 && int(r.highest)-1<<15 > int(seq):
		return r.count + 1
	}
	return r.count
}

// opened notes that a packet was genuine.
func (r *rollover) opened(seq uint16, count uint32) {
	if !r.started || count == r.count+1 || count == r.count && seq > r.highest {
		r.started, r.count, r.highest = true, count, seq
	}
}

// headerLength is that of an RTP packet with its contributing sources and extension, false for what
// is no RTP packet with a tag.
func headerLength(b []byte) (int, bool) {
	if len(b) < headerBytes+tagBytes || b[0]>>6 != 2 {
		return 0, false
	}
	n := headerBytes + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return 0, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	return n, len(b) >= n+tagBytes
}
