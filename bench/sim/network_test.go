package sim_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/sim"
)

// packet is RTP of one SSRC, numbered.
func packet(n byte) []byte { return []byte{0x80, 96, 0, n, 0, 0, 0, 0, 1, 2, 3, 4, n} }

// pair is two hosts with a socket each, near behind a link.
func pair(t *testing.T, up, down sim.Path) (near, far *sim.Socket, host *sim.Host) {
	t.Helper()
	n := sim.NewNetwork(1)
	host, err := n.AddHost("10.0.0.1", up, down)
	if err != nil {
		t.Fatal(err)
	}
	other, err := n.AddHost("10.0.0.2", sim.Path{}, sim.Path{})
	if err != nil {
		t.Fatal(err)
	}
	if near, err = host.Listen(1000); err != nil {
		t.Fatal(err)
	}
	if far, err = other.Listen(1000); err != nil {
		t.Fatal(err)
	}
	return near, far, host
}

// farther is how much longer the way to the second host of a network is than its path says, and back: no two
// datagrams are to arrive at one instant, which has no order.
const (
	farther = 3 * 1013 * time.Nanosecond
	back    = 1013 * time.Nanosecond
)

func addrOf(s *sim.Socket) netip.AddrPort { return s.LocalAddr().(*net.UDPAddr).AddrPort() }

func TestNetworkDelaysExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far, _ := pair(t, sim.Path{Delay: 30 * time.Millisecond}, sim.Path{Delay: 70 * time.Millisecond})
		for _, tt := range []struct {
			from, to *sim.Socket
			want     time.Duration
		}{{near, far, 30*time.Millisecond + farther}, {far, near, 70*time.Millisecond + back}} {
			begun := time.Now()
			if _, err := tt.from.WriteToUDPAddrPort([]byte("hello"), addrOf(tt.to)); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			n, from, err := tt.to.ReadFromUDPAddrPort(b)
			if err != nil || string(b[:n]) != "hello" || from != addrOf(tt.from) {
				t.Errorf("received %q from %v, %v", b[:n], from, err)
			}
			if took := time.Since(begun); took != tt.want {
				t.Errorf("it took %v, want %v", took, tt.want)
			}
		}
	})
}

// A bottleneck of 80 kbit/s: 100 ms for 1000 bytes with their headers. Its queue of 210 ms holds two,
// the one that is being sent among them. A change of the path leaves alone what is on the way.
func TestNetworkRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far, host := pair(t, sim.Path{Delay: 30 * time.Millisecond, Rate: link.Constant(80 * link.Kbit), Queue: 210 * time.Millisecond}, sim.Path{})
		begun := time.Now()
		send := func(n int) {
			t.Helper()
			for range n {
				if _, err := near.WriteToUDPAddrPort(make([]byte, 972), addrOf(far)); err != nil {
					t.Fatal(err)
				}
			}
		}
		send(4)
		host.Set(sim.Path{Delay: 10 * time.Millisecond}, sim.Path{})
		send(1)
		var got []time.Duration
		for range 3 {
			if _, _, err := far.ReadFromUDPAddrPort(make([]byte, 1500)); err != nil {
				t.Fatal(err)
			}
			got = append(got, time.Since(begun))
		}
		if want := []time.Duration{130*time.Millisecond + farther, 230*time.Millisecond + farther, 230*time.Millisecond + farther}; !slices.Equal(got, want) {
			t.Errorf("arrived after %v, want %v", got, want)
		}
		if up, _ := host.Full(); up != 2 {
			t.Errorf("%d dropped, want 2", up)
		}
	})
}

func TestNetworkLosesTheSamePackets(t *testing.T) {
	lose := func(other byte) (lost []byte) {
		synctest.Test(t, func(t *testing.T) {
			near, far, host := pair(t, sim.Path{Delay: time.Millisecond, Loss: 0.2}, sim.Path{})
			for i := range byte(200) {
				_, _ = near.WriteToUDPAddrPort(packet(i), addrOf(far))
				if i%7 == other { // what is no RTP neither is lost nor counts
					_, _ = near.WriteToUDPAddrPort([]byte{22, 1, 2, 3}, addrOf(far))
				}
			}
			sim.Advance(time.Second)
			got := map[byte]bool{}
			for b := make([]byte, 100); ; {
				_ = far.SetReadDeadline(time.Now().Add(time.Millisecond))
				n, _, err := far.ReadFromUDPAddrPort(b)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				if n == 13 {
					got[b[12]] = true
				}
			}
			for i := range byte(200) {
				if !got[i] {
					lost = append(lost, i)
				}
			}
			if counted := host.Up()[0x01020304]; counted.Sent != 200 || counted.Dropped != uint64(len(lost)) {
				t.Errorf("counted %+v, %d are missing", counted, len(lost))
			}
		})
		return lost
	}
	first := lose(0)
	if len(first) < 20 || len(first) > 60 {
		t.Errorf("%d of 200 lost at 20 %%", len(first))
	}
	if again := lose(3); !bytes.Equal(first, again) {
		t.Errorf("lost %v, then %v", first, again)
	}
}

func TestNetworkCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far, host := pair(t, sim.Path{Delay: time.Millisecond}, sim.Path{})
		host.Cut(true)
		_, _ = near.WriteToUDPAddrPort([]byte("lost"), addrOf(far))
		host.Cut(false)
		_, _ = near.WriteToUDPAddrPort([]byte("found"), addrOf(far))
		b := make([]byte, 100)
		if n, _, err := far.ReadFromUDPAddrPort(b); err != nil || string(b[:n]) != "found" {
			t.Errorf("received %q, %v", b[:n], err)
		}
	})
}

func TestSocketCloseEndsARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _, _ := pair(t, sim.Path{}, sim.Path{})
		failed := make(chan error)
		runRead := func() {
			_, _, err := near.ReadFromUDPAddrPort(make([]byte, 1))
			failed <- err
		}
		go runRead()
		synctest.Wait()
		_ = near.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// A severed machine says nothing: no end of file, no error, until the other end gives up.
func TestSeveredConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := sim.NewListener(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)})
		accepted := make(chan net.Conn, 1)
		runAccept := func() {
			c, err := l.Accept()
			if err == nil {
				accepted <- c
			}
		}
		go runAccept()
		near, err := l.Dial(context.Background(), &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2)})
		if err != nil {
			t.Fatal(err)
		}
		far := <-accepted
		near.Sever()
		_ = near.Close()
		if n, err := far.Write([]byte("into the void")); n != 13 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		begun := time.Now()
		_ = far.SetReadDeadline(begun.Add(20 * time.Second))
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 20*time.Second {
			t.Errorf("read ended with %v after %v", err, time.Since(begun))
		}
		_ = far.Close()
		l.Wait()
	})
}

// Bursts are as long as asked for, and the mean loss stays. host.Up tells after each packet whether it
// was lost.
func TestNetworkLosesInBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const packets = 20_000
		near, far, host := pair(t, sim.Path{Loss: 0.2, Burst: 3}, sim.Path{})
		lost, bursts, before := uint64(0), 0, false
		for range packets {
			_, _ = near.WriteToUDPAddrPort(packet(0), addrOf(far))
			dropped := host.Up()[0x01020304].Dropped
			if dropped > lost && !before {
				bursts++
			}
			before, lost = dropped > lost, dropped
		}
		if mean := float64(lost) / float64(bursts); mean < 2.8 || mean > 3.2 {
			t.Errorf("bursts of %.2f packets, want 3", mean)
		}
		if share := float64(lost) / packets; share < 0.19 || share > 0.21 {
			t.Errorf("%.3f are lost, want 0.2", share)
		}
	})
}
