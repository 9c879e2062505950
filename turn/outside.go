package turn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/bedside-video/bedside/turn/policy"
)

// evenTries is how often the system is asked for a port until it gives an even one.
const evenTries = 64

// errNoAddress tells that the relay has no address of that family.
var errNoAddress = errors.New("turn: no address of that family")

// Outside is a Host on a machine of its own: an allocation is a UDP socket, which nothing but peers is
// sent from and nothing but peers is heard on.
type Outside struct {
	peers   policy.Peers
	own     []netip.Addr // as peers see this machine
	running sync.WaitGroup
}

// NewOutside returns a Host that speaks to the peers from these addresses of the machine, one of a family.
func NewOutside(peers policy.Peers, own []netip.Addr) *Outside {
	return &Outside{peers: peers, own: own}
}

// Wait returns when all lines have been closed and nothing of them runs.
func (h *Outside) Wait() { h.running.Wait() }

// Open implements Host.
func (h *Outside) Open(ipv6 bool, receive func([]byte, int) bool) (Line, error) {
	for _, a := range h.own {
		if a.Is6() != ipv6 {
			continue
		}
		conn, err := listenEven(ipv6)
		if err != nil {
			return nil, fmt.Errorf("turn: %w", err)
		}
		number := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		l := &outsideLine{host: h, at: netip.AddrPortFrom(a, number), conn: conn, receive: receive}
		h.running.Go(l.run)
		return l, nil
	}
	return nil, errNoAddress
}

// listenEven opens a socket with an even port. It has any address of the machine: behind NAT, the one
// that peers see is not the machine's.
func listenEven(ipv6 bool) (*net.UDPConn, error) {
	network := "udp4"
	if ipv6 {
		network = "udp6"
	}
	for range evenTries {
		conn, err := net.ListenUDP(network, nil)
		if err != nil {
			return nil, err
		}
		if conn.LocalAddr().(*net.UDPAddr).Port%2 == 0 {
			return conn, nil
		}
		_ = conn.Close()
	}
	return nil, errNoPort
}

// outsideLine is one socket.
type outsideLine struct {
	host    *Outside
	at      netip.AddrPort
	conn    *net.UDPConn
	receive func([]byte, int) bool
}

func (l *outsideLine) Address() netip.AddrPort { return l.at }

// Send sends to one of the peers; there is no other address that it could send to.
func (l *outsideLine) Send(b []byte, peer int) {
	_, _ = l.conn.WriteToUDPAddrPort(b, l.host.peers.At(peer)) // lost, as on the way
}

// Close ends run.
func (l *outsideLine) Close() { _ = l.conn.Close() }

// run reads until the socket is closed.
func (l *outsideLine) run() {
	buf := make([]byte, maxMessage)
	for {
		n, from, err := l.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of one datagram: a peer that is not there (ICMP)
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if peer, ok := l.host.peers.Find(from); ok {
			l.receive(buf[:n], peer)
		}
	}
}
