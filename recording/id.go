package recording

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// idSize is the length of an identifier: a ULID, 48 bits of time in ms and 80 random ones.
const idSize = 26

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newID makes the name of a recording. It says when, and nothing about whom.
func newID(now time.Time, random io.Reader) (string, error) {
	// 130 bits in 26 characters: the two on top are 0.
	var b [20]byte
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixMilli())<<16)
	if _, err := io.ReadFull(random, b[6:16]); err != nil {
		return "", fmt.Errorf("new recording: %w", err)
	}
	var shifted [20]byte
	for i := len(b) - 1; i >= 0; i-- {
		shifted[i] = b[i] >> 2
		if i > 0 {
			shifted[i] |= b[i-1] << 6
		}
	}
	return base32.NewEncoding(crockford).WithPadding(base32.NoPadding).EncodeToString(shifted[:])[:idSize], nil
}

// validID tells whether a caller's identifier is one that we make: nothing else becomes a file name.
func validID(id string) bool {
	if len(id) != idSize || id[0] > '7' {
		return false
	}
	for _, c := range []byte(id) {
		if c == 'I' || c == 'L' || c == 'O' || c == 'U' || (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
