package port_test

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/sfu/port"
)

const (
	ufrag    = "serverfrag"
	password = "a password of at least 22 characters"
)

var (
	alice   = netip.MustParseAddrPort("192.0.2.1:5000")
	mallory = netip.MustParseAddrPort("198.51.100.66:6666")
	media   = []byte{0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 42}
)

// socket is a net.PacketConn whose datagrams come from the test.
type socket struct {
	in     chan incoming
	closed chan struct{}
}

type incoming struct {
	b    []byte
	from netip.AddrPort
	err  error
}

func newSocket() *socket { return &socket{in: make(chan incoming), closed: make(chan struct{})} }

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-s.in:
		return copy(b, d.b), net.UDPAddrFromAddrPort(d.from), d.err
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

func (s *socket) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }
func (s *socket) Close() error                              { close(s.closed); return nil }
func (s *socket) LocalAddr() net.Addr                       { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 100), Port: 8443} }
func (s *socket) SetDeadline(time.Time) error               { return nil }
func (s *socket) SetReadDeadline(time.Time) error           { return nil }
func (s *socket) SetWriteDeadline(time.Time) error          { return nil }

// fixture is a Port with one endpoint. It runs in a synctest bubble, so that "nothing arrived" can
// be told: when every goroutine waits, nothing more will happen.
type fixture struct {
	t       *testing.T
	s       *socket
	p       *port.Port
	metrics *prometheus.Registry
	conn    *inbox // of the endpoint
}

// inbox is a Receiver that notes where everything came from.
type inbox struct{ from []netip.AddrPort }

func (i *inbox) Check(_ *stun.Message, from netip.AddrPort) { i.from = append(i.from, from) }
func (i *inbox) DTLS(_ []byte, from netip.AddrPort)         { i.from = append(i.from, from) }
func (i *inbox) Media(_ []byte, from netip.AddrPort)        { i.from = append(i.from, from) }
func (i *inbox) Flush()                                     {}

func run(t *testing.T, f func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &fixture{t: t, s: newSocket(), metrics: prometheus.NewRegistry()}
		p, err := port.New(x.s, port.Options{Metrics: x.metrics})
		if err != nil {
			t.Fatal(err)
		}
		x.p = p
		x.conn = x.register(ufrag, password)
		f(x)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// register makes an endpoint.
func (f *fixture) register(ufrag, password string) *inbox {
	f.t.Helper()
	i := &inbox{}
	if err := f.p.Open(ufrag, password, i); err != nil {
		f.t.Fatal(err)
	}
	return i
}

func (f *fixture) send(from netip.AddrPort, b []byte) {
	f.s.in <- incoming{b: b, from: from}
	synctest.Wait()
}

// received returns where what has arrived at c since the last call came from.
func (f *fixture) received(c *inbox) []netip.AddrPort {
	synctest.Wait()
	from := c.from
	c.from = nil
	return from
}

func (f *fixture) dropped(reason string) float64 {
	return f.value("bedside_udp_datagrams_dropped_total", reason)
}

// value of the metric with that name and, unless it is "", that label value.
func (f *fixture) value(name, label string) float64 {
	f.t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range families {
		for _, x := range m.Metric {
			if m.GetName() == name && (label == "" || x.Label[0].GetValue() == label) {
				return x.Counter.GetValue() + x.Gauge.GetValue()
			}
		}
	}
	f.t.Fatalf("no metric %s %q", name, label)
	return 0
}

// check is a connectivity check as a browser sends it.
func check(t *testing.T, ufrag, password string) []byte {
	t.Helper()
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(ufrag+":client"),
		stun.NewShortTermIntegrity(password), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func TestMediaNeedsAnAuthenticatedCheck(t *testing.T) {
	run(t, func(f *fixture) {
		f.send(alice, media)
		f.send(alice, check(t, ufrag, "not the password of that endpoint"))
		f.send(alice, media)
		if got := f.received(f.conn); got != nil {
			t.Errorf("delivered %v before any good check", got)
		}
		if u, a := f.dropped("unknown_address"), f.dropped("stun_unauthenticated"); u != 2 || a != 1 {
			t.Errorf("dropped %v of unknown address, %v unauthenticated; want 2 and 1", u, a)
		}
	})
	run(t, func(f *fixture) {
		f.send(alice, check(t, ufrag, password))
		f.send(alice, media)
		if got := f.received(f.conn); len(got) != 2 || got[1] != alice {
			t.Errorf("delivered %v, want the check and the packet of %v", got, alice)
		}
	})
}

// A stranger who knows somebody's address but no password must not divert their packets.
func TestAddressMovesOnlyByAuthenticatedCheck(t *testing.T) {
	run(t, func(f *fixture) {
		other := f.register("other", "another password, of the stranger")
		f.send(alice, check(t, ufrag, password))
		f.send(alice, check(t, "other", password)) // wrong password for that endpoint
		f.send(alice, media)
		if got := f.received(other); got != nil {
			t.Errorf("the other endpoint got %v", got)
		}
		if got := f.received(f.conn); len(got) != 2 {
			t.Errorf("the endpoint got %d datagrams, want 2", len(got))
		}
	})
	// A NAT that re-uses a port: the same address, now of another participant.
	run(t, func(f *fixture) {
		other := f.register("other", "another password, of the newcomer")
		f.send(alice, check(t, ufrag, password))
		f.send(alice, check(t, "other", "another password, of the newcomer"))
		f.send(alice, media)
		if got := f.received(other); len(got) != 2 {
			t.Errorf("the newcomer got %d datagrams, want the check and the packet", len(got))
		}
	})
}

// bad is a datagram that nobody gets, and the reason that is counted.
type bad struct {
	name   string
	b      func(t *testing.T) []byte
	reason string
}

func hostile() []bad {
	return []bad{
		{"unknown ufrag", func(t *testing.T) []byte { return check(t, "nobody", password) }, "stun_unknown_ufrag"},
		{"truncated STUN", func(t *testing.T) []byte { return check(t, ufrag, password)[:24] }, "stun_malformed"},
		{"no username", func(t *testing.T) []byte { return stun.MustBuild(stun.BindingRequest, stun.TransactionID).Raw }, "stun_malformed"},
		{"response", func(t *testing.T) []byte { return stun.MustBuild(stun.BindingSuccess, stun.TransactionID).Raw }, "stun_not_a_request"},
		{"TURN Allocate", func(t *testing.T) []byte {
			return stun.MustBuild(stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.TransactionID).Raw
		}, "turn_disabled"},
		{"TURN ChannelData", func(*testing.T) []byte { return []byte{0x40, 0, 0, 0} }, "turn_disabled"},
		{"invalid DTLS record", func(*testing.T) []byte { return []byte{23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0} }, "dtls_invalid_record"},
		{"nonsense", func(*testing.T) []byte { return []byte("\xff nonsense") }, "unknown_protocol"},
		{"empty", func(*testing.T) []byte { return nil }, "unknown_protocol"},
	}
}

func TestDropped(t *testing.T) {
	for _, c := range hostile() {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(f *fixture) {
				f.send(alice, check(t, ufrag, password))
				f.received(f.conn)
				f.send(alice, c.b(t))
				if got := f.dropped(c.reason); got != 1 {
					t.Errorf("dropped %v for %s, want 1", got, c.reason)
				}
			})
		})
	}
}

// Errors of one datagram (ICMP unreachable, no buffers) must not end every call on the port.
func TestReadErrorsAreRetried(t *testing.T) {
	run(t, func(f *fixture) {
		for _, err := range []error{syscall.ECONNREFUSED, syscall.ENOBUFS, syscall.EINTR, syscall.ENOMEM, os.ErrDeadlineExceeded} {
			f.s.in <- incoming{err: &net.OpError{Op: "read", Err: err}, from: alice}
		}
		f.send(alice, check(t, ufrag, password))
		if got := f.received(f.conn); len(got) != 1 {
			t.Errorf("delivered %d datagrams after the errors, want 1", len(got))
		}
		if got := f.value("bedside_udp_read_errors_total", ""); got != 5 {
			t.Errorf("counted %v read errors, want 5", got)
		}
	})
}

func TestAddressesOfOneEndpointAreBounded(t *testing.T) {
	run(t, func(f *fixture) {
		for i := range uint16(17) {
			f.send(netip.AddrPortFrom(alice.Addr(), 1000+i), check(t, ufrag, password))
		}
		f.received(f.conn)
		f.send(netip.AddrPortFrom(alice.Addr(), 1000), media) // the first, forgotten
		f.send(netip.AddrPortFrom(alice.Addr(), 1016), media)
		if got := f.received(f.conn); len(got) != 1 || got[0].Port() != 1016 {
			t.Errorf("delivered from %v, want only from port 1016", got)
		}
	})
}

func TestRemovedEndpointIsForgotten(t *testing.T) {
	run(t, func(f *fixture) {
		f.send(alice, check(t, ufrag, password))
		f.p.Forget(ufrag)
		f.send(alice, media)
		f.send(alice, check(t, ufrag, password))
		if u, k := f.dropped("unknown_address"), f.dropped("stun_unknown_ufrag"); u != 1 || k != 1 {
			t.Errorf("dropped %v of unknown address, %v of unknown ufrag; want 1 and 1", u, k)
		}
	})
}

// One stranger's datagram costs a counter: no allocation, no log, no map of ours grows.
func BenchmarkStranger(b *testing.B) {
	s := newSocket()
	p, err := port.New(s, port.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.in <- incoming{b: media, from: mallory}
	}
	_ = p.Close()
}
