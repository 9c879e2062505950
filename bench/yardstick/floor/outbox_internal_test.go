package floor

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOutboxCanBeCut adds packets of random sizes and cuts what is flushed as the kernel does: it must
// give the same packets in the same order.
func TestOutboxCanBeCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var sent, got [][]byte
	var o outbox
	flushes := 0
	flush := func() {
		for b := o.buf; len(b) > 0; {
			n := min(o.segment, len(b))
			got = append(got, slices.Clone(b[:n]))
			b = b[n:]
		}
		if len(o.buf) > datagramLimit || o.count > segmentsLimit {
			t.Fatalf("%d packets, %d bytes", o.count, len(o.buf))
		}
		flushes++
		o.reset()
	}
	for i := range 20_000 {
		p := bytes.Repeat([]byte{byte(i)}, []int{108, 1028, 1028, 1028, 1200, 90}[rng.IntN(6)])
		sent = append(sent, p)
		if !o.takes(len(p)) {
			flush()
		}
		o.buf = append(o.buf, p...)
		o.added(len(p))
	}
	flush()
	if !slices.EqualFunc(sent, got, bytes.Equal) {
		t.Errorf("%d packets became %d, or others", len(sent), len(got))
	}
	if flushes > len(sent)/2+1 {
		t.Errorf("%d flushes for %d packets: nothing is grouped", flushes, len(sent))
	}
}

// TestOutboxOfOneSize groups up to what the kernel takes.
func TestOutboxOfOneSize(t *testing.T) {
	for _, c := range []struct{ size, want int }{{1028, 63}, {108, 64}, {65507, 1}} {
		var o outbox
		n := 0
		for ; o.takes(c.size); n++ {
			o.buf = append(o.buf, make([]byte, c.size)...)
			o.added(c.size)
		}
		if n != c.want {
			t.Errorf("%d packets of %d bytes, want %d", n, c.size, c.want)
		}
	}
}
