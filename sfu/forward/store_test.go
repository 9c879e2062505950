package forward_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
)

var start = time.Unix(1000, 0)

func payload(seq uint16, size int) *codec.Packet {
	return &codec.Packet{Seq: seq, Marker: seq%2 == 0, Payload: bytes.Repeat([]byte{byte(seq)}, size)}
}

// has wants the cache to have exactly those of the packets 0 to n-1, of size bytes each.
func has(t *testing.T, c *forward.Cache, n, size int, want func(seq int) bool) {
	t.Helper()
	for seq := range n {
		p, marker, ok := c.Get(uint16(seq), nil)
		if ok != want(seq) {
			t.Fatalf("packet %d kept: %t, want %t", seq, ok, want(seq))
		}
		if ok && (!bytes.Equal(p, payload(uint16(seq), size).Payload) || marker != (seq%2 == 0)) {
			t.Fatalf("packet %d is another's: %v, %t", seq, p, marker)
		}
	}
}

func TestCache(t *testing.T) {
	t.Run("empty", func(t *testing.T) {
		c := forward.NewCache(8, 1000)
		has(t, &c, 10, 1, func(int) bool { return false })
	})
	t.Run("before the first", func(t *testing.T) {
		c := forward.NewCache(8, 1000)
		c.Put(start, payload(1, 1))
		has(t, &c, 4, 1, func(seq int) bool { return seq == 1 })
	})
	t.Run("bounded in packets", func(t *testing.T) {
		c := forward.NewCache(5, 1000) // 8
		for seq := range 20 {
			c.Put(start, payload(uint16(seq), 10))
		}
		has(t, &c, 20, 10, func(seq int) bool { return seq >= 12 })
	})
	t.Run("bounded in bytes", func(t *testing.T) {
		c := forward.NewCache(64, 100)
		for seq := range 20 {
			c.Put(start, payload(uint16(seq), 30)) // the last 10 bytes of each lap are left over
		}
		has(t, &c, 20, 30, func(seq int) bool { return seq >= 17 })
	})
	t.Run("larger than the cache", func(t *testing.T) {
		c := forward.NewCache(8, 100)
		c.Put(start, payload(0, 100))
		c.Put(start, payload(1, 101))
		has(t, &c, 2, 100, func(seq int) bool { return seq == 0 })
	})
	t.Run("late", func(t *testing.T) {
		c := forward.NewCache(4, 1000)
		for _, seq := range []uint16{0, 1, 3, 4, 6, 2, 5} {
			c.Put(start, payload(seq, 10)) // 2 has its place taken by 6
		}
		has(t, &c, 8, 10, func(seq int) bool { return seq >= 3 && seq <= 6 })
	})
	t.Run("grows to three quarters of a second", func(t *testing.T) {
		c := forward.NewCache(512, 256<<10)
		const size, every, packets = 1000, 7 * time.Millisecond, 1000
		for seq := range packets {
			c.Put(start.Add(time.Duration(seq)*every), payload(uint16(seq), size))
			if seq < 200 { // while it grows, too
				kept := 0
				for ; kept <= seq; kept++ {
					p, _, ok := c.Get(uint16(seq-kept), nil)
					if !ok {
						break
					}
					if !bytes.Equal(p, payload(uint16(seq-kept), size).Payload) {
						t.Fatalf("at %d, packet %d is another's", seq, seq-kept)
					}
				}
				if want := min(seq+1, int(750*time.Millisecond/every)); kept < want {
					t.Fatalf("at %d it keeps %d packets, want %d", seq, kept, want)
				}
			}
		}
		// 143 KB a second take 128 KiB: a lap is 131 packets.
		has(t, &c, packets, size, func(seq int) bool { return seq >= packets-131 })
	})
	t.Run("does not grow without need", func(t *testing.T) {
		c := forward.NewCache(512, 256<<10)
		for seq := range 100 {
			c.Put(start.Add(time.Duration(seq)*40*time.Millisecond), payload(uint16(seq), 1000))
		}
		has(t, &c, 100, 1000, func(seq int) bool { return seq >= 100-32 })
	})
	t.Run("a new numbering", func(t *testing.T) {
		c := forward.NewCache(4, 1000)
		c.Put(start, payload(40000, 10))
		c.Put(start, payload(0, 10)) // the same place
		has(t, &c, 2, 10, func(seq int) bool { return seq == 0 })
	})
	t.Run("appends", func(t *testing.T) {
		c := forward.NewCache(4, 1000)
		c.Put(start, payload(7, 2))
		buf := make([]byte, 2, 10)
		got, _, _ := c.Get(7, buf)
		if want := []byte{0, 0, 7, 7}; !bytes.Equal(got, want) || &got[0] != &buf[0] {
			t.Errorf("%v, want %v in the caller's buffer", got, want)
		}
	})
}

func TestCacheAllocatesOnce(t *testing.T) {
	c := forward.NewCache(512, 256<<10)
	p, seq, buf := payload(0, 1200), uint16(0), make([]byte, 1500)
	for range 1000 { // it has grown to its limit
		c.Put(start, p)
		p.Seq++
	}
	seq = p.Seq
	n := testing.AllocsPerRun(1000, func() {
		seq++
		p.Seq = seq
		c.Put(start, p)
		if _, _, ok := c.Get(seq, buf[:0]); !ok {
			t.Fatal("not kept")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func entry(seq uint16) forward.Entry {
	return forward.Entry{Stream: 3, Out: forward.Out{Seq: seq, Timestamp: uint32(seq) * 10}, SrcSeq: seq + 1, Codec: codec.VP8}
}

// A history remembers three quarters of a second, from 128 packets on to 512, and forgets nothing while it grows.
func TestHistoryGrows(t *testing.T) {
	for _, tt := range []struct {
		every time.Duration
		least int
	}{{20 * time.Millisecond, 128}, {7 * time.Millisecond, 128}, {4 * time.Millisecond, 187}, {time.Millisecond, 512}} {
		var h forward.History
		for n := range 3000 {
			h.Put(start.Add(time.Duration(n)*tt.every), entry(uint16(n)))
			kept := 0
			for kept <= n {
				if got, ok := h.Get(uint16(n - kept)); !ok || got != entry(uint16(n-kept)) {
					break
				}
				kept++
			}
			if n > 1500 && kept < tt.least || n < 128 && kept != n+1 || kept > 512 {
				t.Fatalf("every %v, after %d: %d are known, want %d", tt.every, n, kept, tt.least)
			}
		}
	}
}

func TestHistory(t *testing.T) {
	var h forward.History
	if _, ok := h.Get(0); ok {
		t.Error("an empty history has packet 0")
	}
	h.Put(start, entry(65000))
	if got, ok := h.Get(65000); !ok || got != entry(65000) {
		t.Errorf("%+v, %t", got, ok)
	}
	h.Put(start, entry(5))
	if _, ok := h.Get(0); ok {
		t.Error("a packet that never left is known")
	}
	h.Clear()
	h.Put(start, entry(64000)) // long ago enough to have grown
	for seq := uint16(64001); seq != 100; seq++ {
		h.Put(start, entry(seq))
	}
	for _, tt := range []struct {
		name string
		seq  uint16
		want bool
	}{
		{"the newest", 99, true}, {"the oldest", 65124, true}, {"one before", 65123, false}, {"one to come", 100, false},
	} {
		if got, ok := h.Get(tt.seq); ok != tt.want || ok && got != entry(tt.seq) {
			t.Errorf("%s: %+v, %t", tt.name, got, ok)
		}
	}
	h.Put(start, entry(65000))
	if _, ok := h.Get(65000); ok {
		t.Error("a packet older than the oldest was kept")
	}
	if _, ok := h.Get(65512); !ok {
		t.Error("and took a newer one's place")
	}
	h.Put(start, entry(102))
	if _, ok := h.Get(101); ok {
		t.Error("a packet that never left is known")
	}
	h.Put(start, entry(101))
	if _, ok := h.Get(101); !ok {
		t.Error("a late packet is not known")
	}
	h.Clear()
	if _, ok := h.Get(102); ok {
		t.Error("the last person's packet outlived Clear")
	}
}

// A packet does not outlive the rest because the one that would take its place never left.
func TestHistoryHoles(t *testing.T) {
	var h forward.History
	for seq := range uint16(600) {
		if seq != 1+512 {
			h.Put(start, entry(seq))
		}
	}
	if _, ok := h.Get(1); ok {
		t.Error("packet 1 is known, 599 being the newest")
	}
}

// NACK amplification: what a subscriber can make the server send is bounded.
func TestResend(t *testing.T) {
	var h forward.History
	h.Put(start, entry(1))
	steps := []struct {
		ms       int
		interval int // ms
		want     bool
	}{{0, 100, true}, {0, 100, false}, {99, 100, false}, {100, 100, true}, {119, 0, false}, {120, 0, true}}
	for _, s := range steps {
		if _, ok := h.Resend(at(s.ms), 1, at(s.interval).Sub(epoch)); ok != s.want {
			t.Errorf("at %d ms, interval %d ms: %t, want %t", s.ms, s.interval, ok, s.want)
		}
	}
	times := 3
	for ms := 200; ms < 10000; ms++ {
		if _, ok := h.Resend(at(ms), 1, 0); ok {
			times++
		}
	}
	if times != 10 {
		t.Errorf("sent again %d times, want 10", times)
	}
	if _, ok := h.Get(1); !ok {
		t.Error("and forgotten")
	}
	if _, ok := h.Resend(at(0), 2, 0); ok {
		t.Error("a packet that never left was sent again")
	}
}
