package port

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// cappedListener closes connections of networks that have too many open.
type cappedListener struct {
	net.Listener
	most    int
	refused prometheus.Counter

	mu   sync.Mutex
	open map[netip.Prefix]int // bounded by the connections that are open
}

// CapTCP returns a listener that takes at most so many connections at once from one IPv4 address or
// IPv6 /64: one stranger must not use up the file descriptors of everybody. One more is closed
// unread. Loopback is exempt: behind a proxy on this machine everybody comes from there. The listener
// owns tcp.
func CapTCP(tcp net.Listener, most int, r prometheus.Registerer) (net.Listener, error) {
	l := &cappedListener{
		Listener: tcp, most: most, open: make(map[netip.Prefix]int),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bedside_tcp_refused_total", Help: "TCP connections closed at once because their address has too many."}),
	}
	if err := r.Register(l.refused); err != nil {
		return nil, fmt.Errorf("port: metrics: %w", err)
	}
	return l, nil
}

// Accept implements net.Listener.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		network, counts := networkOf(conn.RemoteAddr())
		if !counts {
			return conn, nil
		}
		if l.enter(network) {
			return &cappedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(network) })}, nil
		}
		l.refused.Inc()
		_ = conn.Close()
	}
}

func (l *cappedListener) enter(network netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[network] >= l.most {
		return false
	}
	l.open[network]++
	return true
}

func (l *cappedListener) leave(network netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[network]--; l.open[network] == 0 {
		delete(l.open, network)
	}
}

// networkOf returns what one customer of a provider has (RFC 6177 section 2), and whether it counts.
func networkOf(a net.Addr) (netip.Prefix, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	network, err := ip.Prefix(bits)
	return network, err == nil && !ip.IsLoopback()
}

// cappedConn is counted until it is closed.
type cappedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *cappedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// NetConn returns the connection underneath, as that of a *tls.Conn does.
func (c *cappedConn) NetConn() net.Conn { return c.Conn }
