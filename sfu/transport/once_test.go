package transport

import (
	"math/rand/v2"
	"testing"

	"github.com/bedside-video/bedside/sfu/codec"
)

// A model with the whole history: no index is taken twice, and what is within the window and new is.
func TestOnce(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var o once
		taken := map[int64]bool{}
		newest := int64(random.IntN(1 << 16))
		for range 5000 {
			at := newest + int64(random.IntN(40)) - 30
			switch random.IntN(200) {
			case 0:
				at = newest + int64(random.IntN(3000))
			case 1:
				at = newest - int64(random.IntN(3000))
			}
			want := at >= 0 && !taken[at] && at > newest-onceWindow
			if len(taken) == 0 {
				want, newest, at = true, at&0xffff, at&0xffff
			}
			if got, ok := o.take(uint16(at)); ok != want || ok && got != uint64(at) {
				t.Fatalf("seed %d: index %d, newest %d: %d, %t, want %t", seed, at, newest, got, ok, want)
			}
			if want {
				taken[at] = true
				newest = max(newest, at)
			}
		}
	}
}

func TestNoNumberIsSentTwice(t *testing.T) {
	e := establish(t, &recorder{})
	slot := e.negotiation.slots[2]
	for _, seq := range []uint16{65534, 65535, 0, 65535, 1, 0, 3, 2} {
		if err := slot.Write(Outgoing{Codec: codec.VP8, Seq: seq}, []byte(vp8)); err != nil {
			t.Fatal(err)
		}
		if err := slot.WriteRTX(Outgoing{Codec: codec.VP8, Seq: seq}, []byte(vp8)); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.port.sent) != 12 {
		t.Errorf("%d packets were sent, want 6 of each stream", len(e.port.sent))
	}
}
