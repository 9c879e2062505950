package link_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

// A Bottleneck lets the same packets through at the same times as a Link with nothing but a rate.
func TestBottleneckIsALink(t *testing.T) {
	for _, text := range []string{"rate=1mbit", "rate=100kbit,queue=50ms", "rate=2mbit:100ms/300kbit:50ms/0bit:20ms,queue=80ms"} {
		shape := parse(t, text)
		start := time.Unix(1000, 0)
		l, err := link.New(start, shape, 1)
		if err != nil {
			t.Fatal(err)
		}
		b := link.Bottleneck{Rate: shape.Rate, Queue: shape.Queue}
		var want, got []arrival
		drain := func(until time.Time) {
			for next, ok := l.Next(); ok && !next.After(until); next, ok = l.Next() {
				for p, came := l.Pop(next); came; p, came = l.Pop(next) {
					want = append(want, arrival{int(p.Peer.Port()), next.Sub(start)})
				}
			}
		}
		at, random := time.Duration(0), uint32(7)
		for i := range 1000 {
			random = random*1664525 + 1013904223
			at += time.Duration(random>>20) * 2 * time.Microsecond // 0 to 8 ms
			size := 100 + int(random>>8)%1100
			drain(start.Add(at))
			l.Push(start.Add(at), link.Packet{Data: make([]byte, size), Peer: netip.AddrPortFrom(netip.Addr{}, uint16(i))})
			if leaves, ok := b.Pass(at, size); ok {
				got = append(got, arrival{i, leaves})
			}
		}
		drain(start.Add(time.Hour))
		if len(got) != len(want) || len(got) == 1000 {
			t.Fatalf("%s: %d packets came through, want %d, and some dropped", text, len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%s: packet %d at %v, want %d at %v", text, got[i].ordinal, got[i].at, want[i].ordinal, want[i].at)
			}
		}
	}
}
