package port

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"testing"
)

// noted is the far end of a path that keeps what it is given.
type noted struct {
	mu  sync.Mutex
	got [][]byte
}

func (n *noted) send(b []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got = append(n.got, slices.Clone(b))
	return true
}

func (n *noted) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.got)
}

// A path in the middle of sockets' traffic, both ways at the same time: everything arrives, in its order.
func TestPathAmongSockets(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			const packets, round = 1000, 50 // what a round sends fits any socket's buffer
			p := openReaders(t, 2, w.options)
			server := netip.MustParseAddrPort(p.LocalAddr().String())
			end, socket := &noted{}, listen(t, "udp4", "127.0.0.1:0")
			at := Virtual(netip.MustParseAddrPort("192.0.2.1:5000"), ZoneTCP)
			path, err := p.Attach(at, end.send)
			if err != nil {
				t.Fatal(err)
			}
			defer path.Close()
			for ufrag, to := range map[string]netip.AddrPort{"path": addrOf(socket), "socket": at} {
				if err := p.Open(ufrag, "password of "+ufrag, &fan{port: p, to: []netip.AddrPort{to}}); err != nil {
					t.Fatal(err)
				}
			}
			path.Deliver(checkOf(t, "path"))
			say(t, socket, server, checkOf(t, "socket"))
			var next [2]int
			for first := 0; first < packets; first += round {
				var talking sync.WaitGroup
				talking.Go(func() {
					for n := range round {
						path.Deliver(packet(0, first+n, 300))
					}
				})
				for n := range round {
					say(t, socket, server, packet(1, first+n, 300))
				}
				hears(t, socket, next[:], round)
				talking.Wait()
				await(t, func() bool { return end.count() == first+round })
			}
			for i, b := range end.got {
				if !bytes.Equal(b, packet(1, i, 300)) {
					t.Fatalf("the path was not given packet %d", i)
				}
			}
			_ = p.Close()
			path.Deliver(packet(0, packets, 300))
			if got := p.stats.dropped[dropUnknownAddress].Load(); got != 1 {
				t.Errorf("%d dropped after the port was closed, want 1", got)
			}
		})
	}
}

// Endpoints come and go, paths open and close while they are written to: nothing hangs or races, and
// nothing is left.
func TestPathsComeAndGo(t *testing.T) {
	p := openReaders(t, 2, Options{})
	var all sync.WaitGroup
	for i := range 4 {
		at := Virtual(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(5000+i)), ZoneRelay)
		ufrag := string(rune('a' + i))
		all.Go(func() {
			for range 100 {
				path, err := p.Attach(at, (&noted{}).send)
				if err != nil {
					t.Error(err)
					return
				}
				path.Deliver(checkOf(t, ufrag))
				path.Deliver(packet(i, 1, 300))
				path.Close()
			}
		})
		all.Go(func() {
			for range 100 {
				_ = p.Open(ufrag, "password of "+ufrag, &fan{port: p, to: []netip.AddrPort{at}})
				p.Forget(ufrag)
				_ = p.Write(packet(i, 2, 300), at)
			}
		})
	}
	all.Wait()
	if n := len(p.paths.at); n != 0 {
		t.Errorf("%d paths are left", n)
	}
}

func TestPathsAllocateNothing(t *testing.T) {
	p := openReaders(t, 1, Options{})
	to := Virtual(netip.MustParseAddrPort("192.0.2.1:5000"), ZoneTCP)
	path, err := p.Attach(to, func([]byte) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Open("path", "password of path", &fan{port: p, to: []netip.AddrPort{to}}); err != nil {
		t.Fatal(err)
	}
	path.Deliver(checkOf(t, "path"))
	b := packet(0, 0, 300)
	if got := testing.AllocsPerRun(100, func() { path.Deliver(b) }); got != 0 {
		t.Errorf("%v allocations a packet, want 0", got)
	}
}
