package plan_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/sfu/port/plan"
)

// to is the n-th destination; some are IPv6.
func to(n int) netip.AddrPort {
	if n%3 == 2 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(n >> 8), 15: byte(n)}), 5000)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), uint16(5000+n>>8))
}

// datagrams reads "a1000 b200": destination and size.
func datagrams(text string) []plan.Datagram {
	var list []plan.Datagram
	for _, word := range strings.Fields(text) {
		var size int
		_, _ = fmt.Sscan(word[1:], &size)
		list = append(list, plan.Datagram{To: to(int(word[0] - 'a')), Size: size})
	}
	return list
}

// show is the inverse: messages in brackets, datagrams by their index.
func show(p *plan.Plan) string {
	var all []string
	for _, m := range p.Messages {
		var indices []string
		for i := m.First; i >= 0; i = p.Next(i) {
			indices = append(indices, fmt.Sprint(i))
		}
		all = append(all, strings.Join(indices, " "))
	}
	return "[" + strings.Join(all, "] [") + "]"
}

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		name, datagrams, want string
	}{
		{"one", "a1000", "[0]"},
		{"equal sizes", "a1000 a1000 a1000", "[0 1 2]"},
		{"a shorter tail", "a1000 a1000 a300", "[0 1 2]"},
		{"nothing follows a shorter one", "a1000 a300 a300 a300", "[0 1] [2 3]"},
		{"a longer one begins anew", "a300 a1000 a1000", "[0] [1 2]"},
		{"two destinations by turns", "a1000 b1000 a1000 b1000", "[0 2] [1 3]"},
		{"order within a destination", "a1000 b1000 a300 a1000 b1000 a1000", "[0 2] [1 4] [3 5]"},
		{"almost equal sizes", "a1000 a1001 a1001", "[0] [1 2]"},
		{"too long for one frame", "a1453 a1453", "[0] [1]"},
		{"the longest that fits", "a1452 a1452", "[0 1]"},
		{"a short one after one too long", "a1453 a100 a100", "[0] [1 2]"},
		{"empty ones stay alone", "a0 a0 a10 a0", "[0] [1] [2] [3]"},
		{"64 of them", strings.Repeat("a100 ", 66), "[" + numbers(0, 64) + "] [64 65]"},
		{"65,507 bytes", strings.Repeat("a1452 ", 47), "[" + numbers(0, 45) + "] [45 46]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p plan.Plan
			p.Make(datagrams(tt.datagrams), true)
			if got := show(&p); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPlanWithoutMerging(t *testing.T) {
	var p plan.Plan
	p.Make(datagrams("a1000 a1000 b1000"), false)
	if got := show(&p); got != "[0] [1] [2]" {
		t.Errorf("got %s", got)
	}
}

func numbers(from, end int) string {
	var all []string
	for i := from; i < end; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return strings.Join(all, " ")
}

// verify checks what Make promises, and the kernel's limits.
func verify(t *testing.T, list []plan.Datagram, p *plan.Plan) {
	t.Helper()
	seen := make([]bool, len(list))
	last := map[netip.AddrPort]int{}
	for _, m := range p.Messages {
		count, bytes := 0, 0
		for i := m.First; i >= 0; i = p.Next(i) {
			d := list[i]
			if seen[i] {
				t.Fatalf("datagram %d is sent twice", i)
			}
			seen[i] = true
			if d.To != m.To {
				t.Fatalf("datagram %d goes to %v instead of %v", i, m.To, d.To)
			}
			if before, ok := last[d.To]; ok && before > i {
				t.Fatalf("datagram %d overtakes %d", before, i)
			}
			last[d.To] = i
			if isLast := p.Next(i) < 0; d.Size > m.Segment || !isLast && d.Size != m.Segment {
				t.Fatalf("datagram %d of %d bytes in a message of %d", i, d.Size, m.Segment)
			}
			count, bytes = count+1, bytes+d.Size
		}
		if count != m.Count || bytes != m.Bytes {
			t.Fatalf("a message of %d datagrams, %d bytes says %d, %d", count, bytes, m.Count, m.Bytes)
		}
		if count > 1 && (count > plan.MaxSegments || bytes > plan.MaxBytes || m.Segment > plan.MaxSegment || m.Segment == 0) {
			t.Fatalf("the kernel refuses %d datagrams of %d, %d bytes", count, m.Segment, bytes)
		}
	}
	if i := slices.Index(seen, false); i >= 0 {
		t.Fatalf("datagram %d is not sent", i)
	}
}

func TestPlanOfAnything(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	sizes := []int{0, 1, 60, 1000, 1001, 1200, 1452, 1453, 9000, 65507}
	var p plan.Plan // one for all, as the socket has it
	for range 2000 {
		list := make([]plan.Datagram, rng.IntN(300))
		destinations, variety := 1+rng.IntN(200), 1+rng.IntN(len(sizes))
		for i := range list {
			list[i] = plan.Datagram{To: to(rng.IntN(destinations)), Size: sizes[rng.IntN(variety)]}
		}
		p.Make(list, true)
		verify(t, list, &p)
		p.Make(list, false)
		verify(t, list, &p)
	}
}

// FuzzPlan reads three bytes a datagram: destination and size.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 3, 232, 1, 3, 232, 2, 3, 232, 1, 0, 100, 1, 3, 232})
	f.Add([]byte(strings.Repeat("\x01\x05\xac", 130)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var list []plan.Datagram
		for ; len(b) >= 3; b = b[3:] {
			list = append(list, plan.Datagram{To: to(int(b[0])), Size: int(binary.BigEndian.Uint16(b[1:]))})
		}
		var p plan.Plan
		for range 2 {
			p.Make(list, true)
			verify(t, list, &p)
		}
	})
}

// neighbours are destinations that differ little: in their ports (one NAT), or in their addresses (one network).
func neighbours(kind string, n int) []netip.AddrPort {
	var all []netip.AddrPort
	for i := range n {
		switch kind {
		case "ports of one IPv4 address":
			all = append(all, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(40000+i)))
		case "even ports":
			all = append(all, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(40000+2*i)))
		case "ports 256 apart":
			all = append(all, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(256*i)))
		case "IPv4 addresses of one network":
			all = append(all, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 40000))
		case "IPv6 addresses of one network":
			all = append(all, netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}), 40000))
		case "IPv6 networks":
			all = append(all, netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(i), 15: 1}), 40000))
		}
	}
	return all
}

// Of 200 that are thrown into 512 places, 166 lie in different ones on average if it is done at random.
func TestHashSpreads(t *testing.T) {
	for _, kind := range []string{
		"ports of one IPv4 address", "even ports", "ports 256 apart",
		"IPv4 addresses of one network", "IPv6 addresses of one network", "IPv6 networks",
	} {
		t.Run(kind, func(t *testing.T) {
			places, readers := map[uint64]bool{}, [2]int{}
			for _, to := range neighbours(kind, 200) {
				places[plan.Hash(to)%512] = true
				readers[plan.Hash(to)%2]++
			}
			if len(places) < 140 {
				t.Errorf("200 destinations are in %d of 512 places", len(places))
			}
			if min(readers[0], readers[1]) < 70 {
				t.Errorf("of two readers one has %d, the other %d", readers[0], readers[1])
			}
		})
	}
}

func TestPlanAllocatesNothing(t *testing.T) {
	list := frames(10, 5)
	var p plan.Plan
	p.Make(list, true)
	if n := testing.AllocsPerRun(100, func() { p.Make(list, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// frames of so many packets, to each of so many subscribers, in the order in which they are forwarded.
func frames(subscribers, packets int) []plan.Datagram {
	var list []plan.Datagram
	for i := range packets {
		for s := range subscribers {
			size := 1116
			if i == packets-1 {
				size = 700
			}
			list = append(list, plan.Datagram{To: to(s), Size: size})
		}
	}
	return list
}

func BenchmarkPlan(b *testing.B) {
	lists := map[string][]plan.Datagram{}
	for _, subscribers := range []int{1, 10, 100} {
		lists[fmt.Sprintf("frame to %d", subscribers)] = frames(subscribers, 5)
	}
	const burst = "burst to 100 at one address"
	for _, to := range neighbours("ports of one IPv4 address", 100) {
		for range 5 {
			lists[burst] = append(lists[burst], plan.Datagram{To: to, Size: 1116})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		b.Run(name, func(b *testing.B) {
			list := lists[name]
			var p plan.Plan
			b.ReportAllocs()
			for b.Loop() {
				p.Make(list, true)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/datagram")
		})
	}
}
