package port

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// openReaders makes a Port of so many sockets of one address.
func openReaders(t testing.TB, readers int, o Options) *Port {
	t.Helper()
	conns, err := Listen(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, readers)
	if err != nil {
		t.Fatal(err)
	}
	o.More = conns[1:]
	return newPort(t, conns[0], o)
}

// A room whose people are heard by several readers: everybody gets everybody's packets in their order,
// and nobody anything else.
func TestReaders(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			const people, packets, round = 12, 100, 10 // what a round sends fits any socket's buffer
			p := openReaders(t, 3, w.options)
			server := p.LocalAddr().(*net.UDPAddr).AddrPort()
			var sockets [people]*net.UDPConn
			var addresses []netip.AddrPort
			for i := range sockets {
				sockets[i] = listen(t, "udp4", "127.0.0.1:0")
				addresses = append(addresses, addrOf(sockets[i]))
			}
			for i := range sockets {
				ufrag := fmt.Sprint("person", i)
				if err := p.Open(ufrag, "password of "+ufrag, &fan{port: p, to: addresses}); err != nil {
					t.Fatal(err)
				}
				say(t, sockets[i], server, checkOf(t, ufrag))
			}
			await(t, func() bool { return p.stats.received.Load() == people })
			var next [people][people]int // packet that one is to hear of another
			for first := 0; first < packets; first += round {
				var talking sync.WaitGroup
				for i, s := range sockets {
					talking.Go(func() {
						for n := range round {
							say(t, s, server, packet(i, first+n, 300))
						}
					})
				}
				for i, s := range sockets {
					hears(t, s, next[i][:], people*round)
				}
				talking.Wait()
			}
			busy := 0
			for i := range people {
				p.Forget(fmt.Sprint("person", i))
				say(t, sockets[i], server, packet(i, packets, 300)) // its reader looks
			}
			await(t, func() bool { return p.stats.dropped[dropUnknownAddress].Load() == people })
			_ = p.Close()
			for i := range p.readers {
				if n := len(p.readers[i].demux.addresses); n != 0 {
					t.Errorf("reader %d remembers %d addresses of people who are gone", i, n)
				}
				if p.readers[i].demux.checks.message.Raw != nil { // has read a check
					busy++
				}
			}
			if busy < 2 {
				t.Errorf("%d readers had something to do, want 2 at least", busy)
			}
		})
	}
}

func say(t testing.TB, s *net.UDPConn, to netip.AddrPort, b []byte) {
	t.Helper()
	if _, err := s.WriteToUDPAddrPort(b, to); err != nil {
		t.Error(err)
	}
}

// hears reads so many packets and checks that each one's are in order.
func hears(t *testing.T, s *net.UDPConn, next []int, packets int) {
	t.Helper()
	buf := make([]byte, datagramBytes)
	_ = s.SetReadDeadline(time.Now().Add(testDeadline))
	for range packets {
		n, err := s.Read(buf)
		if err != nil {
			t.Fatalf("has %v: %v", next, err)
		}
		whose := int(buf[3]) // see packet: buf[0] is that of RTP
		if !bytes.Equal(buf[:n], packet(whose, next[whose], 300)) {
			t.Fatalf("not packet %d of %d", next[whose], whose)
		}
		next[whose]++
	}
}

func TestListen(t *testing.T) {
	for _, n := range []int{0, 1, 3} {
		conns, err := Listen(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, n)
		if err != nil || len(conns) != max(n, 1) {
			t.Fatalf("%d sockets: got %d, %v", n, len(conns), err)
		}
		for _, c := range conns {
			if c.LocalAddr().String() != conns[0].LocalAddr().String() {
				t.Errorf("%v and %v are two addresses", c.LocalAddr(), conns[0].LocalAddr())
			}
		}
		if _, err := Listen(conns[0].LocalAddr().(*net.UDPAddr), 1); err == nil {
			t.Errorf("%d sockets: another program may listen there, too", n)
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

// BenchmarkReaders is four publishers at once, of frames of five packets for ten subscribers each.
func BenchmarkReaders(b *testing.B) {
	for _, readers := range []int{1, 2} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			const publishers, packets, subscribers = 4, 5, 10
			p := openReaders(b, readers, Options{})
			server := p.LocalAddr().(*net.UDPAddr).AddrPort()
			var own, last [publishers]*net.UDPConn
			for i := range publishers {
				f := &fan{port: p}
				for range subscribers {
					last[i] = listen(b, "udp4", "127.0.0.1:0")
					f.to = append(f.to, addrOf(last[i]))
				}
				ufrag := fmt.Sprint("publisher", i)
				if err := p.Open(ufrag, "password of "+ufrag, f); err != nil {
					b.Fatal(err)
				}
				own[i] = listen(b, "udp4", "127.0.0.1:0")
				say(b, own[i], server, checkOf(b, ufrag))
			}
			await(b, func() bool { return p.stats.received.Load() == publishers })
			d := packet(1, 1, 1116)
			start := cpuTime(b)
			b.ResetTimer()
			var publishing sync.WaitGroup
			for i := range publishers {
				publishing.Go(func() {
					buf := make([]byte, datagramBytes)
					for range b.N {
						for range packets {
							say(b, own[i], server, d)
						}
						for range packets {
							if _, err := last[i].Read(buf); err != nil {
								b.Error(err)
								return
							}
						}
					}
				})
			}
			publishing.Wait()
			forwarded := float64(b.N * publishers * packets * subscribers)
			b.ReportMetric(float64((cpuTime(b)-start).Nanoseconds())/forwarded, "cpu-ns/datagram")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/forwarded, "ns/datagram")
			b.ReportMetric(0, "ns/op")
		})
	}
}
