package port

import (
	"net"
	"net/netip"
	"testing"

	"github.com/pion/stun/v4"
)

// nowhere is a link from which nothing comes and on which everything is lost.
type nowhere chan struct{}

func (n nowhere) receive(func([]byte, netip.AddrPort), func()) error { <-n; return net.ErrClosed }
func (n nowhere) send(uint32, []byte, netip.AddrPort) error          { return nil }
func (n nowhere) close() error                                       { close(n); return nil }

// suspicious is a Receiver that gets nothing from an address that has not shown its password.
type suspicious struct {
	t     *testing.T
	shown map[netip.AddrPort]bool
	got   int
}

func (s *suspicious) Check(m *stun.Message, from netip.AddrPort) {
	if stun.MessageIntegrity("password").Check(m) != nil {
		s.t.Fatal("a check with another password")
	}
	s.shown[from] = true
	s.got++
}

func (s *suspicious) DTLS(b []byte, from netip.AddrPort) {
	if !s.shown[from] || len(b) < dtlsHeaderLen || b[0] < 20 || b[0] > 23 {
		s.t.Fatalf("DTLS %x from %v", b, from)
	}
	s.got++
}

func (s *suspicious) Flush() {}

func (s *suspicious) Media(b []byte, from netip.AddrPort) {
	if !s.shown[from] || b[0]>>6 != 2 {
		s.t.Fatalf("media %x from %v", b, from)
	}
	s.got++
}

// FuzzDemux cuts its input into datagrams of one of four addresses, of which the last
// is a path: one byte says which address and,
// by its high bits, whether a good check comes first; one says how long. Every datagram is delivered to
// somebody who may have it or counted under one reason.
func FuzzDemux(f *testing.F) {
	good := stun.MustBuild(stun.BindingRequest, stun.TransactionID, stun.NewUsername("us:them"),
		stun.NewShortTermIntegrity("password"), stun.Fingerprint).Raw
	f.Add([]byte{0x80, 4, 0x80, 96, 0, 1})
	f.Add(append([]byte{1, byte(len(good))}, good...))
	f.Add([]byte{0x81, 15, 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 1, 2, 0x90, 0xc8, 2, 2, 0x80, 96, 3, 1, 0x40})
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := open(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 443}, nil, func(*counters) ([]link, error) { return []link{make(nowhere)}, nil })
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Close() }()
		s := &suspicious{t: t, shown: map[netip.AddrPort]bool{}}
		if err := p.Open("us", "password", s); err != nil {
			t.Fatal(err)
		}
		d := newDemux(p, 0) // ours; that of p has nothing to do
		path, err := p.Attach(Virtual(netip.MustParseAddrPort("192.0.2.3:5000"), ZoneTCP), func([]byte) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		routed := 0
		route := func(b []byte, from netip.AddrPort) {
			routed++
			if from.Addr().As4()[3] == 3 {
				path.Deliver(b)
				return
			}
			d.route(b, from)
		}
		for len(in) >= 2 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, in[0] & 3}), 5000)
			if in[0]&0x80 != 0 {
				route(good, from)
			}
			n := min(int(in[1]), len(in)-2)
			route(in[2:2+n], from)
			in = in[2+n:]
		}
		dropped := 0
		for r := range dropReasons {
			dropped += int(p.stats.dropped[r].Load())
		}
		if s.got+dropped != routed || s.got != int(p.stats.received.Load()) {
			t.Fatalf("of %d datagrams %d were delivered (%d counted) and %d dropped", routed, s.got, p.stats.received.Load(), dropped)
		}
	})
}
