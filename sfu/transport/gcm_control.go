package transport

import (
	"encoding/binary"
	"errors"
)

const (
	controlHeaderBytes = 8 // of RTCP, which stay readable
	controlIndexBytes  = 4 // at the end: a bit and the index
	// lastControlIndex is the last that a key may seal (RFC 3711 section 9.2): at twenty compounds a second it
	// comes after three years.
	lastControlIndex = 1<<31 - 1
)

var (
	errNotSRTCP  = errors.New("transport: not a sealed SRTCP packet")
	errExhausted = errors.New("transport: no index is left for SRTCP")
)

// controlIndex returns the index of an SRTCP packet (RFC 3711 section 3.4). That a packet is only
// authenticated and not sealed is not taken: WebRTC has no such RTCP (RFC 8827 section 6.5).
func controlIndex(b []byte) (uint32, error) {
	if len(b) < controlHeaderBytes+gcmTagBytes+controlIndexBytes {
		return 0, errNotSRTCP
	}
	word := binary.BigEndian.Uint32(b[len(b)-controlIndexBytes:])
	if word>>31 == 0 {
		return 0, errNotSRTCP
	}
	return word &^ (1 << 31), nil
}

// openControl opens the SRTCP packet b in place and returns it without tag and index. What is
// authenticated beside the sealed part is the header and the word with the index (RFC 7714 section 9.2).
func (g *gcm) openControl(b []byte, index uint32) ([]byte, error) {
	end := len(b) - controlIndexBytes
	copy(g.associated[:], b[:controlHeaderBytes])
	copy(g.associated[controlHeaderBytes:], b[end:])
	// The nonce of RFC 7714 section 9.1 is that of RTP with the index, 31 bits, where the rollover counter's
	// lower half and the sequence number are.
	nonce := g.number(binary.BigEndian.Uint32(b[4:]), uint64(index))
	return g.aead.Open(b[:controlHeaderBytes], nonce, b[controlHeaderBytes:end], g.associated[:])
}

// sealControl seals the RTCP compound b in place and returns it with tag and index, for which b must have room.
// An index must never come twice with one key and SSRC.
func (g *gcm) sealControl(b []byte, index uint32) []byte {
	word := 1<<31 | index // sealed, and not only authenticated
	copy(g.associated[:], b[:controlHeaderBytes])
	binary.BigEndian.PutUint32(g.associated[controlHeaderBytes:], word)
	nonce := g.number(binary.BigEndian.Uint32(b[4:]), uint64(index))
	b = g.aead.Seal(b[:controlHeaderBytes], nonce, b[controlHeaderBytes:], g.associated[:])
	return binary.BigEndian.AppendUint32(b, word)
}

// replays is the replay window of one sender of SRTCP (RFC 3711 section 3.3.2). An index of 31 bits does not
// wrap in the life of a key.
type replays struct {
	newest uint32
	seen   uint64 // of the last srtcpReplayWindow indices, the newest in bit 0
}

// fresh tells whether an index has not come yet.
func (r *replays) fresh(index uint32) bool {
	if r == nil || index > r.newest {
		return true
	}
	behind := r.newest - index
	return behind < srtcpReplayWindow && r.seen&(1<<behind) == 0
}

// mark takes an index that is fresh, once its packet has opened.
func (r *replays) mark(index uint32) {
	if index > r.newest {
		r.seen <<= index - r.newest // a shift of 64 and more is 0
		r.newest = index
	}
	r.seen |= 1 << (r.newest - index)
}
