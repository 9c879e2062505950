package port

import (
	"encoding/binary"
	"testing"
)

// FuzzSpoken: what is told of the first bytes is never taken back when more come, ten are enough, and
// what is told is so.
func FuzzSpoken(f *testing.F) {
	for _, seed := range []string{
		"GET / HTT", "\x16\x03\x01\x02\x00", "\x00\x03\x00\x00\x21\x12\xa4\x42", "\x00\x14\x00\x01\x00\x00\x21\x12\xa4\x42",
		"\xff\xff\x00\x01", "\x00\x00", "\x08\x00\x00\x01\x07\xec\x21\x12\xa4\x42", "\x00\x13\x00\x00\x21\x12\xa4\x42",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		told := spokenMore
		for n := range len(b) + 1 {
			now := tellSpoken(b[:n])
			if told != spokenMore && now != told {
				t.Fatalf("%x: %d, and with a byte more %d", b[:n], told, now)
			}
			told = now
		}
		if len(b) >= sniffBytes && told == spokenMore {
			t.Fatalf("%x: nothing told", b)
		}
		switch told {
		case spokenTURN:
			if b[0] != 0 || b[1] >= stunHeaderLen || binary.BigEndian.Uint32(b[4:]) != stunMagicCookie {
				t.Fatalf("%x is no STUN request", b)
			}
		case spokenICE:
			if n := binary.BigEndian.Uint16(b); n < stunHeaderLen || n > datagramBytes || binary.BigEndian.Uint32(b[6:]) != stunMagicCookie {
				t.Fatalf("%x is no framed check", b)
			}
		case spokenHTTP:
			if b[0] < 'A' || b[0] > 'Z' {
				t.Fatalf("%x is no method", b)
			}
		}
	})
}
