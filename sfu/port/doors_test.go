package port_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/sfu/port"
)

// arrivals tells which door each connection came through.
type arrivals struct {
	t        *testing.T
	pipe     *pipeListener
	tcp      *port.TCP
	registry *prometheus.Registry
	came     chan arrived
}

type arrived struct {
	door string
	conn net.Conn
}

// openDoors shares a port of which everybody asks for everything, or of which there is HTTP only.
func openDoors(t *testing.T, conf *tls.Config, all bool) *arrivals {
	t.Helper()
	a := &arrivals{t: t, pipe: newPipeListener(), registry: prometheus.NewRegistry(), came: make(chan arrived)}
	var err error
	if a.tcp, err = port.ShareTCP(a.pipe, port.TCPOptions{TLS: conf, Metrics: a.registry}); err != nil {
		t.Fatal(err)
	}
	doors := map[string]net.Listener{"http": a.tcp.HTTP()}
	if all {
		doors["turn"], doors["turns"], doors["ice"] = a.tcp.TURN(), a.tcp.TURNS(), a.tcp.ICE()
	}
	a.tcp.Start()
	for name, l := range doors {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				a.came <- arrived{name, c}
			}
		}()
	}
	return a
}

// close ends everything, so that the bubble can end, and returns the counters that are not 0.
func (a *arrivals) close() string {
	a.t.Helper()
	if err := a.tcp.Close(); err != nil {
		a.t.Error(err)
	}
	synctest.Wait()
	families, err := a.registry.Gather()
	if err != nil {
		a.t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); n > 0 {
				name := strings.TrimSuffix(strings.TrimPrefix(f.GetName(), "bedside_"), "_total")
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				all = append(all, fmt.Sprintf("%s %v", name, n))
			}
		}
	}
	return strings.Join(all, ", ")
}

func bindingCheck() []byte {
	return stun.MustBuild(stun.BindingRequest, stun.NewTransactionIDSetter([12]byte{1}), stun.NewUsername("us:them"),
		stun.NewShortTermIntegrity("password"), stun.Fingerprint).Raw
}

func allocate() []byte {
	return stun.MustBuild(stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.NewTransactionIDSetter([12]byte{1})).Raw
}

func framed(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

// spokenCases are what a connection may begin with, and where it belongs.
func spokenCases() []struct {
	name  string
	first []byte
	door  string // "" for none
	why   string // it was dropped
} {
	indication := stun.MustBuild(stun.NewType(stun.MethodSend, stun.ClassIndication), stun.NewTransactionIDSetter([12]byte{1})).Raw
	response := stun.MustBuild(stun.BindingSuccess, stun.NewTransactionIDSetter([12]byte{1}), stun.Fingerprint).Raw
	wrongCookie := framed(bindingCheck())
	wrongCookie[6] ^= 1
	inner := framed(bindingCheck())
	inner[5] -= 4 // the message ends before its frame does
	return []struct {
		name  string
		first []byte
		door  string
		why   string
	}{
		{"a check in a frame", framed(bindingCheck()), "ice", ""},
		{"a check as it is", bindingCheck(), "turn", ""},
		{"an allocation", allocate(), "turn", ""},
		{"an allocation in a frame", framed(allocate()), "", "unknown_protocol"},
		{"a response in a frame", framed(response), "", "unknown_protocol"},
		{"an indication", indication, "", "unknown_protocol"},
		{"a frame with another cookie", wrongCookie, "", "unknown_protocol"},
		{"a check shorter than its frame", inner, "", "unknown_protocol"},
		{"a frame of 65535", append([]byte{0xff, 0xff}, bindingCheck()...), "", "unknown_protocol"},
		{"a frame of 2049", append([]byte{8, 1}, bindingCheck()...), "", "unknown_protocol"},
		{"an empty frame", append([]byte{0, 0}, bindingCheck()...), "", "unknown_protocol"},
		{"a method", []byte("GET / HTTP/1.1\r\n"), "http", ""},
		{"SSH", []byte("\x00SSH-2.0-x\r\n"), "", "unknown_protocol"},
		{"a small letter", []byte("get / HTTP/1.1\r\n"), "", "unknown_protocol"},
		{"zeros", make([]byte, 64), "", "unknown_protocol"},
		{"ChannelData", []byte{0x40, 0, 0, 4, 1, 2, 3, 4}, "", "unknown_protocol"},
		{"RTP in a frame", framed([]byte{0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8}), "", "unknown_protocol"},
	}
}

// What is spoken is told apart however it is cut into segments, and nothing of it is lost.
func TestShareTCPTellsApart(t *testing.T) {
	for _, tt := range spokenCases() {
		for _, pieces := range []int{1, 2, 64} {
			t.Run(fmt.Sprintf("%s in %d", tt.name, pieces), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := openDoors(t, nil, true)
					c := a.pipe.dial(here)
					go write(c, tt.first, pieces)
					if tt.door == "" {
						_, err := c.Read(make([]byte, 1))
						if got, want := a.close(), "tcp_dropped "+tt.why+" 1"; got != want || !errors.Is(err, io.EOF) {
							t.Errorf("%v, %s; want %s", err, got, want)
						}
						return
					}
					came := <-a.came
					b := make([]byte, len(tt.first))
					if _, err := io.ReadFull(came.conn, b); err != nil || string(b) != string(tt.first) {
						t.Errorf("read %x (%v), want %x", b, err, tt.first)
					}
					_ = came.conn.Close()
					if got, want := a.close(), "tcp_connections "+tt.door+" 1"; got != want {
						t.Errorf("%s, want %s", got, want)
					}
				})
			})
		}
	}
}

// write writes b in so many pieces, or until the other side closes.
func write(c net.Conn, b []byte, pieces int) {
	n := max(1, (len(b)+pieces-1)/pieces)
	for len(b) > 0 {
		m := min(n, len(b))
		if _, err := c.Write(b[:m]); err != nil {
			return
		}
		b = b[m:]
	}
}

// Inside TLS there are HTTP and the relay.
func TestShareTCPTellsApartInsideTLS(t *testing.T) {
	conf, roots := selfSigned(t)
	for _, tt := range spokenCases() {
		door, why := tt.door, tt.why
		switch door {
		case "turn":
			door = "turns"
		case "ice":
			door, why = "", "unknown_protocol"
		}
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := openDoors(t, conf, true)
				c := tls.Client(a.pipe.dial(elsewhere), &tls.Config{RootCAs: roots, ServerName: "localhost"})
				go write(c, tt.first, 2)
				if door == "" {
					_, err := c.Read(make([]byte, 1))
					if got, want := a.close(), "tcp_dropped "+why+" 1"; got != want || err == nil {
						t.Errorf("%v, %s; want %s", err, got, want)
					}
					return
				}
				came := <-a.came
				b := make([]byte, len(tt.first))
				if _, err := io.ReadFull(came.conn, b); err != nil || string(b) != string(tt.first) {
					t.Errorf("read %x (%v), want %x", b, err, tt.first)
				}
				_ = c.NetConn().Close()
				_ = came.conn.Close()
				if got, want := a.close(), "tcp_connections "+door+" 1"; got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		})
	}
}

// Who is slow at any step is closed in 5 s, however busy they look.
func TestShareTCPClosesTheSlow(t *testing.T) {
	conf, roots := selfSigned(t)
	drip := func(b []byte) func(net.Conn) {
		return func(c net.Conn) {
			for i := range b {
				if _, err := c.Write(b[i : i+1]); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}
	}
	for _, tt := range []struct {
		name  string
		talk  func(net.Conn)
		want  string
		after time.Duration
	}{
		{"a check byte by byte", drip(framed(bindingCheck())), "tcp_dropped silent 1", 5 * time.Second},
		{"half a header", func(c net.Conn) { _, _ = c.Write(allocate()[:3]) }, "tcp_dropped silent 1", 5 * time.Second},
		{"a ClientHello byte by byte", drip(append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, make([]byte, 20)...)),
			"tcp_dropped tls_handshake 1, tls_handshake_failures 1", 5 * time.Second},
		{"silence inside TLS", func(c net.Conn) {
			_ = tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "localhost"}).Handshake()
			_, _ = io.Copy(io.Discard, c)
		}, "tcp_dropped silent 1", 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := openDoors(t, conf, true)
				start := time.Now()
				c := a.pipe.dial(elsewhere)
				gone := make(chan struct{})
				c = &watched{Conn: c, gone: gone}
				go tt.talk(c)
				if tt.name != "silence inside TLS" {
					go func() { _, _ = io.Copy(io.Discard, c) }()
				}
				<-gone
				if got := time.Since(start); got != tt.after {
					t.Errorf("closed after %v, want %v", got, tt.after)
				}
				<-time.After(2 * time.Second) // for who drips to notice
				if got := a.close(); got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
			})
		})
	}
}

// watched tells when its other side has closed.
type watched struct {
	net.Conn
	gone chan struct{}
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		select {
		case <-w.gone:
		default:
			close(w.gone)
		}
	}
	return n, err
}

// What nobody serves is closed at once.
func TestShareTCPNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openDoors(t, nil, false)
		for _, first := range [][]byte{allocate(), framed(bindingCheck())} {
			c := a.pipe.dial(elsewhere)
			start := time.Now()
			go write(c, first, 1)
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(start) != 0 {
				t.Errorf("%v after %v, want EOF at once", err, time.Since(start))
			}
		}
		if got, want := a.close(), "tcp_dropped not_served 2"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// Handshakes that never end keep nobody out, and are bounded.
func TestShareTCPManyHandshakes(t *testing.T) {
	const most = 2048
	synctest.Test(t, func(t *testing.T) {
		a := openDoors(t, nil, true)
		slow := make([]net.Conn, most+2)
		for i := range slow {
			slow[i] = a.pipe.dial(elsewhere)
			if _, err := slow[i].Write([]byte{22}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		start := time.Now()
		go write(a.pipe.dial(here), []byte("GET"), 1)
		came := <-a.came
		if time.Since(start) != 0 {
			t.Errorf("served after %v", time.Since(start))
		}
		_ = came.conn.Close()
		for i, c := range slow[:4] {
			_, err := c.Read(make([]byte, 1))
			if early := time.Since(start) == 0; !errors.Is(err, io.EOF) || early != (i < 3) {
				t.Errorf("handshake %d: %v after %v", i, err, time.Since(start))
			}
		}
		synctest.Wait()
		want := fmt.Sprintf("tcp_connections http 1, tcp_dropped crowded 3, tcp_dropped tls_handshake %d, tls_handshake_failures %d", most-1, most+2)
		if got := a.close(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// A certificate that a client does not take is counted: it is the first sign of a bad one.
func TestShareTCPHandshakeFailure(t *testing.T) {
	conf, _ := selfSigned(t)
	synctest.Test(t, func(t *testing.T) {
		a := openDoors(t, conf, true)
		c := tls.Client(a.pipe.dial(elsewhere), &tls.Config{ServerName: "localhost"}) // trusts nobody
		if c.Handshake() == nil {
			t.Error("an unknown certificate was taken")
		}
		_ = c.NetConn().Close()
		synctest.Wait()
		if got, want := a.close(), "tcp_dropped tls_handshake 1, tls_handshake_failures 1"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
