package linkem_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v4/deadline"

	"github.com/bedside-video/bedside/bench/linkem"
	"github.com/bedside-video/bedside/bench/linkem/link"
)

const ms = time.Millisecond

// wire is a socket in memory: what is sent to it by in is read, what is written is noted with its time.
type wire struct {
	net.PacketConn // refuses the rest by panicking
	in             chan byte
	closed         chan struct{}
	deadline       *deadline.Deadline

	mu   sync.Mutex
	sent []string
}

func newWire() *wire {
	return &wire{in: make(chan byte, 100), closed: make(chan struct{}), deadline: deadline.New()}
}

func (w *wire) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case b[0] = <-w.in:
		return 1, net.UDPAddrFromAddrPort(peer()), nil
	case <-w.deadline.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-w.closed:
		return 0, nil, net.ErrClosed
	}
}

func (w *wire) WriteTo(b []byte, to net.Addr) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, fmt.Sprint(b[0], " to ", to, " at ", time.Now().UnixMilli()))
	return len(b), nil
}

func (w *wire) SetReadDeadline(t time.Time) error { w.deadline.Set(t); return nil }
func (w *wire) Close() error                      { close(w.closed); return nil }

func peer() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:7") }

func newConn(t *testing.T, socket net.PacketConn, up, down string) *linkem.Conn {
	t.Helper()
	c, err := linkem.NewConn(socket, parse(t, up), parse(t, down), 1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, c *linkem.Conn, b ...byte) {
	t.Helper()
	for _, one := range b {
		if n, err := c.WriteTo([]byte{one}, net.UDPAddrFromAddrPort(peer())); n != 1 || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
}

// wait lets virtual time pass and what is due then happen.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *wire) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

func TestConnUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := newWire(), time.Now().UnixMilli()
		c := newConn(t, w, "rate=1kbit,delay=40ms", "") // a byte lasts 8 ms
		synctest.Wait()                                 // run reads, with nothing to wake it
		write(t, c, 1, 2)
		wait(100 * ms)
		if err := c.Set(link.Shape{}, link.Shape{}); err != nil {
			t.Fatal(err)
		}
		write(t, c, 3)
		write(t, c, 4)
		synctest.Wait()
		want := []string{}
		for i, at := range []int64{48, 56, 100, 100} {
			want = append(want, fmt.Sprint(i+1, " to ", peer(), " at ", start+at))
		}
		if got := w.written(); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.WriteTo([]byte{5}, net.UDPAddrFromAddrPort(peer())); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
	})
}

func TestConnChangedWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := newWire(), time.Now().UnixMilli()
		c := newConn(t, w, "rate=1kbit", "")
		write(t, c, 1)
		wait(4 * ms) // half of it is sent
		if err := c.Set(parse(t, "rate=2kbit"), link.Shape{}); err != nil {
			t.Fatal(err)
		}
		wait(50 * ms)
		if want := []string{fmt.Sprint("1 to ", peer(), " at ", start+6)}; !slices.Equal(w.written(), want) {
			t.Errorf("sent %q, want %q", w.written(), want)
		}
		if err := c.Set(link.Shape{Loss: 2}, link.Shape{}); err == nil {
			t.Error("took a loss of 200 %")
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestConnDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start, buf := newWire(), time.Now(), make([]byte, 10)
		c := newConn(t, w, "", "delay=40ms")
		w.in <- 1
		w.in <- 2
		for want := range byte(2) {
			n, from, err := c.ReadFrom(buf)
			if n != 1 || err != nil || buf[0] != want+1 || from.String() != peer().String() || time.Since(start) != 40*ms {
				t.Errorf("after %v: %d bytes %v from %v, %v; want %d", time.Since(start), n, buf[:1], from, err, want+1)
			}
		}
		if err := c.SetReadDeadline(start.Add(70 * ms)); err != nil {
			t.Fatal(err)
		}
		w.in <- 3 // would be read at 80 ms
		if _, _, err := c.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 70*ms {
			t.Errorf("after %v: %v, want the deadline", time.Since(start), err)
		}
		want := linkem.Report{Down: link.Counters{In: 3, InBytes: 3, Out: 2, OutBytes: 2, Held: 1}}
		if got := c.Report(); got != want {
			t.Errorf("report %+v, want %+v", got, want)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
	})
}

func TestConnBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := newWire(), time.Now()
		c := newConn(t, w, "delay=100ms", "delay=10ms")
		write(t, c, 1)
		w.in <- 2
		if _, _, err := c.ReadFrom(make([]byte, 1)); err != nil || time.Since(start) != 10*ms {
			t.Errorf("read after %v, %v; want 10 ms, whatever goes the other way", time.Since(start), err)
		}
		wait(90 * ms)
		if want := []string{fmt.Sprint("1 to ", peer(), " at ", start.UnixMilli()+100)}; !slices.Equal(w.written(), want) {
			t.Errorf("sent %q, want %q", w.written(), want)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestConnNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		c := newConn(t, w, "", "")
		for range 1027 {
			w.in <- 1
		}
		wait(ms)
		if r := c.Report(); r.Down.Out != 1027 || r.Unread != 3 {
			t.Errorf("%d came out, %d unread; want 1027 and the 3 beyond 1024", r.Down.Out, r.Unread)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestConnOnLoopback measures real sockets; equality is for virtual time.
func TestConnOnLoopback(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := newConn(t, socket, "delay=5ms", "delay=5ms,rate=10mbit")
	var wg sync.WaitGroup
	wg.Go(func() { runEcho(server) })
	buf := make([]byte, 100)
	var trips []time.Duration
	for i := range byte(20) {
		sent := time.Now()
		if _, err := client.WriteTo([]byte{i}, server.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if err := client.SetReadDeadline(sent.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, from, err := client.ReadFrom(buf)
		if err != nil || n != 1 || buf[0] != i || from.String() != server.LocalAddr().String() {
			t.Fatalf("%v from %v, %v; want [%d]", buf[:n], from, err, i)
		}
		trips = append(trips, time.Since(sent))
	}
	slices.Sort(trips)
	t.Logf("figure: 5 ms each way on loopback sockets: round trip median %v, longest %v", trips[10], trips[19])
	if trips[0] < 10*ms {
		t.Errorf("a round trip of %v, less than the delays", trips[0])
	}
	if r := client.Report(); r.Up.Out != 20 || r.Down.Out != 20 {
		t.Errorf("report %+v, want 20 each way", r)
	}
	for _, c := range []net.PacketConn{client, server} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

// runEcho sends back what it gets until the socket is closed.
func runEcho(socket net.PacketConn) {
	buf := make([]byte, 2000)
	for {
		n, from, err := socket.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = socket.WriteTo(buf[:n], from)
	}
}

func parse(t *testing.T, text string) link.Shape {
	t.Helper()
	s, err := link.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
