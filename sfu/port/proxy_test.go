package port_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/sfu/port"
)

const v2Signature = "\r\n\r\n\x00\r\nQUIT\n"

func TestProxyTCP(t *testing.T) {
	const byProxy = "10.1.2.3:500"
	four := "\xc0\x00\x02\x07\x0a\x00\x00\x01\x10\x00\x01\xbb" // 192.0.2.7 to 10.0.0.1, 4096 to 443
	six := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + strings.Repeat("\x00", 16) + "\x10\x00\x01\xbb"
	for _, tt := range []struct {
		name, from, says string
		want             string // the address; "" for a connection that is closed
	}{
		{"version 1", byProxy, "PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\r\n", "192.0.2.7:4096"},
		{"version 1, IPv6", byProxy, "PROXY TCP6 2001:db8::1 ::1 4096 443\r\n", "[2001:db8::1]:4096"},
		{"version 1, a test", byProxy, "PROXY UNKNOWN\r\n", byProxy},
		{"version 2", byProxy, v2Signature + "\x21\x11\x00\x0c" + four, "192.0.2.7:4096"},
		{"version 2, IPv6", byProxy, v2Signature + "\x21\x21\x00\x24" + six, "[2001:db8::1]:4096"},
		{"version 2 with more", byProxy, v2Signature + "\x21\x11\x00\x13" + four + "\x04\x00\x04abcd", "192.0.2.7:4096"},
		{"version 2, a test", byProxy, v2Signature + "\x20\x00\x00\x00", byProxy},
		{"version 2 without an address", byProxy, v2Signature + "\x21\x00\x00\x00", byProxy},
		{"a stranger without", "198.51.100.1:7", "", "198.51.100.1:7"},
		{"no header", byProxy, "GET / HTTP/1.1\r\n", ""},
		{"loopback", byProxy, "PROXY TCP4 127.0.0.1 10.0.0.1 4096 443\r\n", ""},
		{"loopback, mapped", byProxy, "PROXY TCP6 ::ffff:127.0.0.1 ::1 4096 443\r\n", ""},
		{"another family", byProxy, "PROXY TCP4 2001:db8::1 ::1 4096 443\r\n", ""},
		{"a port too high", byProxy, "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n", ""},
		{"a line without end", byProxy, "PROXY " + strings.Repeat("x", 200), ""},
		{"version 3", byProxy, v2Signature + "\x31\x11\x00\x0c" + four, ""},
		{"UDP", byProxy, v2Signature + "\x21\x12\x00\x0c" + four, ""},
		{"too short for its family", byProxy, v2Signature + "\x21\x21\x00\x0c" + four, ""},
		{"too long", byProxy, v2Signature + "\x21\x11\xff\xff" + four, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pipe := newPipeListener()
				l, err := port.ProxyTCP(pipe, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, prometheus.NewRegistry())
				if err != nil {
					t.Fatal(err)
				}
				c := pipe.dial(tt.from)
				go write(c, []byte(tt.says+"rest"), 3)
				if tt.want == "" {
					if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
						t.Errorf("%v, want EOF", err)
					}
				} else if got, err := l.Accept(); err != nil || got.RemoteAddr().String() != tt.want {
					t.Errorf("%v, %v; want %s", got.RemoteAddr(), err, tt.want)
				} else {
					want := "rest"
					b := make([]byte, len(want))
					if _, err := io.ReadFull(got, b); err != nil || string(b) != want {
						t.Errorf("%q, %v; want %q", b, err, want)
					}
					_ = got.Close()
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A proxy that says nothing has 5 s, keeps nobody waiting, and goes with the listener.
func TestProxyTCPSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipeListener()
		l, err := port.ProxyTCP(pipe, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		silent := make([]net.Conn, 1025)
		for i := range silent {
			silent[i] = pipe.dial("10.1.2.3:500")
		}
		if _, err := silent[1024].Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(start) != 0 {
			t.Errorf("one too many: %v after %v", err, time.Since(start))
		}
		go pipe.dial("198.51.100.1:7")
		if c, err := l.Accept(); err != nil || time.Since(start) != 0 {
			t.Errorf("a stranger waits: %v, %v", c, err)
		}
		if _, err := silent[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(start) != 5*time.Second {
			t.Errorf("silence: %v after %v", err, time.Since(start))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
