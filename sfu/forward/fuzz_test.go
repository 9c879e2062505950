package forward_test

import (
	"encoding/binary"
	"testing"

	"github.com/bedside-video/bedside/sfu/forward"
)

// FuzzReceiver: against a map of everything that came. Each two bytes are the distance of the next
// packet from the newest.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 0, 5, 0xFF, 0xFE, 0, 0})
	f.Add([]byte{0x20, 0, 0x20, 1, 0, 1, 0xE0, 0, 0xE0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := forward.NewReceiver(90000)
		r.Receive(epoch, 65000, 0)
		seen, newest, proof := map[int]bool{65000: true}, 65000, -1
		for ms := 0; len(b) >= 2; b, ms = b[2:], ms+1 {
			d := int(int16(binary.BigEndian.Uint16(b)))
			n := newest + d
			var want forward.Arrival
			switch {
			case d > 0 && d < 3000:
				want = forward.Arrival{Newest: true, Missing: d - 1}
				newest, proof = n, -1
			case d <= 0 && d > -1024:
				want, proof = forward.Arrival{Drop: seen[n]}, -1
			case proof == int(uint16(n)):
				want = forward.Arrival{Newest: true, Restarted: true}
				clear(seen)
				newest, proof = n, -1
			default:
				want = forward.Arrival{Drop: true}
				proof = int(uint16(n + 1))
			}
			if got := r.Receive(at(ms), uint16(n), 0); got != want {
				t.Fatalf("packet %d, %d from the newest: %+v, want %+v", uint16(n), d, got, want)
			}
			if !want.Drop {
				seen[n] = true
			}
			for i, seq := range r.Nacks(at(ms), 0, nil) {
				if back := int(uint16(newest) - seq); seen[newest-back] || back >= 3000 || i >= 256 {
					t.Fatalf("asks for %d, which came or never will", seq)
				}
			}
		}
	})
}
