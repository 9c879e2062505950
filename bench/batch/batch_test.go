package batch_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/batch"
)

// plain hides that a socket is a *net.UDPConn.
type plain struct{ net.PacketConn }

func socket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func at(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func TestARunArrivesAsItWasCut(t *testing.T) {
	whole := make([]byte, 200*1000+300) // more than the kernel takes at once
	for i := range whole {
		whole[i] = byte(i / 1000)
	}
	for _, tt := range []struct {
		name     string
		from, to func(*net.UDPConn) net.PacketConn
	}{
		{"batches both ways", batches, batches},
		{"batches to plain", batches, single},
		{"plain to batches", single, batches},
		{"plain both ways", single, single},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := socket(t), socket(t)
			from, to := batch.New(tt.from(a)), batch.New(tt.to(b))
			var got []byte
			next := 0
			for n := 0; len(got) < len(whole); {
				for next < len(whole) && next-len(got) < 10_000 { // what a receive buffer surely holds
					end := min(next+30_000, len(whole))
					if err := from.WriteRun(whole[next:end], 1000, at(b)); err != nil {
						t.Fatal(err)
					}
					next = end
				}
				err := to.Read(func(d []byte, sender netip.AddrPort) {
					if sender != at(a) {
						t.Errorf("from %v", sender)
					}
					if n++; len(d) != min(1000, len(whole)-len(got)) {
						t.Errorf("datagram %d has %d bytes", n, len(d))
					}
					got = append(got, d...)
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, whole) {
				t.Error("other bytes arrived than were sent")
			}
		})
	}
}

func batches(c *net.UDPConn) net.PacketConn { return c }

func single(c *net.UDPConn) net.PacketConn { return plain{c} }

func TestCloseEndsARead(t *testing.T) {
	c := batch.New(socket(t))
	ended := make(chan error)
	go func() { ended <- runRead(c) }()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("a closed socket was read")
	}
}

func runRead(c *batch.Conn) error { return c.Read(func([]byte, netip.AddrPort) {}) }

func BenchmarkRun(b *testing.B) {
	for name, kind := range map[string]func(*net.UDPConn) net.PacketConn{"batches": batches, "plain": single} {
		b.Run(name, func(b *testing.B) {
			x, y := socket(b), socket(b)
			from, to := batch.New(kind(x)), batch.New(kind(y))
			_ = y.SetReadDeadline(time.Time{})
			data := make([]byte, 5*1000)
			b.ReportAllocs()
			for b.Loop() {
				if err := from.WriteRun(data, 1000, at(y)); err != nil {
					b.Fatal(err)
				}
				for n := 0; n < 5; {
					if err := to.Read(func([]byte, netip.AddrPort) { n++ }); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5, "ns/packet")
		})
	}
}
