package port_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/sfu/port"
)

// onTCP is where a client's connections come from, and their path.
const onTCP = "192.0.2.77:7000"

var byTCP = port.Virtual(netip.MustParseAddrPort(onTCP), port.ZoneTCP)

// serveICE serves ICE-TCP on connections made in memory until the test ends.
func serveICE(f *fixture) *pipeListener {
	f.t.Helper()
	l := newPipeListener()
	s := f.p.ServeICE(l)
	f.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return l
}

// ended waits until the other side closes, and returns how long that took.
func ended(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want EOF", err)
	}
	return time.Since(start)
}

func put(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// A client on TCP is a client like any other: its frames are datagrams, both ways.
func TestICETCP(t *testing.T) {
	run(t, func(f *fixture) {
		c := serveICE(f).dial(onTCP)
		good := framed(check(t, ufrag, password))
		put(t, c, good[:1]) // however it is cut
		put(t, c, append(slices.Clone(good[1:]), framed(media)...))
		put(t, c, append([]byte{0, 0}, framed(media)...)) // an empty frame before it
		if got := f.received(f.conn); !slices.Equal(got, []netip.AddrPort{byTCP, byTCP, byTCP}) {
			t.Errorf("delivered %v, want a check and two packets of %v", got, byTCP)
		}
		for _, b := range []string{"one", "three"} {
			if err := f.p.Write([]byte(b), byTCP); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		got := make([]byte, 12)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "\x00\x03one\x00\x05three" {
			t.Errorf("got %q, %v", got, err)
		}
		_ = c.Close()
		synctest.Wait()
		if err := f.p.Write(media, byTCP); err != nil {
			t.Error(err)
		}
	})
}

// Who proves nothing gets nothing: not a byte, no path, and no more than 5 s.
func TestICETCPHostile(t *testing.T) {
	long := binary.BigEndian.AppendUint16(nil, 65535)
	for _, tt := range []struct {
		name  string
		first []byte // in pieces of one byte each second, if drip
		drip  bool
		after time.Duration
	}{
		{"silence", nil, false, 5 * time.Second},
		{"half a frame", framed(bindingCheck())[:30], false, 5 * time.Second},
		{"a check byte by byte", framed(bindingCheck()), true, 5 * time.Second},
		{"a length of 65535", long, false, 0},
		{"another password", framed(bindingCheck()), false, 0},
		{"media before a check", framed(media), false, 0},
		{"garbage", framed([]byte("garbage")), false, 0},
		{"nothing but empty frames", []byte{0, 0, 0, 0, 0, 0}, true, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(f *fixture) {
				c := serveICE(f).dial(onTCP)
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					for b := tt.first; len(b) > 0; {
						n := len(b)
						if tt.drip {
							n = 1
							<-time.After(time.Second)
						}
						if _, err := c.Write(b[:n]); err != nil {
							return
						}
						b = b[n:]
					}
				}()
				if got := ended(t, c); got != tt.after {
					t.Errorf("closed after %v, want %v", got, tt.after)
				}
				<-gone
				if got := f.received(f.conn); got != nil {
					t.Errorf("delivered %v", got)
				}
			})
		})
	}
}

// After its first check a connection is bounded, too: no frame may be longer than a datagram, none may
// take longer than 30 s, and a call that is over keeps none.
func TestICETCPAfterTheFirstCheck(t *testing.T) {
	for _, tt := range []struct {
		name  string
		then  func(f *fixture, c net.Conn)
		after time.Duration
	}{
		{"silence", func(*fixture, net.Conn) {}, 30 * time.Second},
		{"half a frame", func(f *fixture, c net.Conn) { put(f.t, c, framed(media)[:4]) }, 30 * time.Second},
		{"a length of 65535", func(f *fixture, c net.Conn) { put(f.t, c, []byte{0xff, 0xff, 1, 2}[:2]) }, 0},
		{"a frame of 2049", func(f *fixture, c net.Conn) { put(f.t, c, []byte{8, 1}) }, 0},
		{"garbage, then media", func(f *fixture, c net.Conn) {
			put(f.t, c, framed([]byte{3, 1, 2}))
			put(f.t, c, framed([]byte{200}))
			put(f.t, c, framed(media))
			if got := f.received(f.conn); len(got) != 1 {
				f.t.Errorf("delivered %v, want the media", got)
			}
		}, 30 * time.Second},
		{"a packet each 10 s for a minute", func(f *fixture, c net.Conn) {
			for range 6 {
				<-time.After(10 * time.Second)
				put(f.t, c, framed(media))
			}
		}, 30 * time.Second},
		{"a call that is over, and packets", func(f *fixture, c net.Conn) {
			f.p.Forget(ufrag)
			for range 29 {
				<-time.After(time.Second)
				put(f.t, c, framed(media))
			}
		}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(f *fixture) {
				c := serveICE(f).dial(onTCP)
				put(t, c, framed(check(t, ufrag, password)))
				if got := f.received(f.conn); len(got) != 1 {
					t.Fatalf("delivered %v, want the check", got)
				}
				tt.then(f, c)
				if got := ended(t, c); got != tt.after {
					t.Errorf("closed after %v, want %v", got, tt.after)
				}
			})
		})
	}
}

// Who takes nothing keeps nobody waiting. What waits is bounded, with room for small packets to the last,
// and after 10 s the connection is closed.
func TestICETCPReaderThatDoesNotRead(t *testing.T) {
	run(t, func(f *fixture) {
		c := serveICE(f).dial(onTCP)
		put(t, c, framed(check(t, ufrag, password)))
		f.received(f.conn)
		start := time.Now()
		write := func(size, n int) (dropped float64) {
			before := f.value("bedside_path_datagrams_dropped_total", "")
			for range n {
				if err := f.p.Write(make([]byte, size), byTCP); err != nil {
					t.Fatal(err)
				}
			}
			return f.value("bedside_path_datagrams_dropped_total", "") - before
		}
		write(1, 1) // the one that is being written
		synctest.Wait()
		// 95 frames of 1202 bytes are the first of which one more leaves less than 16 KiB; then 165 of 102.
		if got := write(1200, 200); got != 105 {
			t.Errorf("%v pictures dropped, want 105", got)
		}
		if got := write(100, 200); got != 35 {
			t.Errorf("%v small packets dropped, want 35", got)
		}
		if time.Since(start) != 0 {
			t.Errorf("writing took %v", time.Since(start))
		}
		<-time.After(11 * time.Second)
		if _, err := c.Write(framed(media)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v, want a closed connection", err)
		}
	})
}
