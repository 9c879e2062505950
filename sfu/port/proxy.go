package port

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxProxied bounds the connections of proxies whose header has not come: it comes with the first packet.
// One more is closed.
const maxProxied = 1024

// proxyListener takes connections from proxies that say whom they come from.
type proxyListener struct {
	net.Listener
	networks []netip.Prefix
	refused  atomic.Uint64
	pending  chan struct{} // a place for each header that is awaited
	ready    chan accepted // unbuffered
	done     chan struct{}
	once     sync.Once
	err      error
	wg       sync.WaitGroup

	mu      sync.Mutex
	waiting map[net.Conn]struct{} // <= maxProxied
}

type accepted struct {
	conn net.Conn
	err  error
}

// ProxyTCP returns a listener whose connections from some networks must begin with a header of the PROXY
// protocol, version 1 or 2; they have the address that it names from then on. From anywhere else the
// protocol is not spoken: whoever could forge addresses could pass limits. The listener owns tcp.
func ProxyTCP(tcp net.Listener, networks []netip.Prefix, r prometheus.Registerer) (net.Listener, error) {
	l := &proxyListener{
		Listener: tcp, networks: networks, pending: make(chan struct{}, maxProxied), ready: make(chan accepted),
		done: make(chan struct{}), waiting: map[net.Conn]struct{}{},
	}
	if err := r.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "bedside_proxy_refused_total", Help: "Connections of proxies closed for want of a good PROXY protocol header.",
	}, load(&l.refused))); err != nil {
		return nil, fmt.Errorf("port: metrics: %w", err)
	}
	l.wg.Go(l.runAccept)
	return l, nil
}

// Accept implements net.Listener.
func (l *proxyListener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	case a := <-l.ready:
		return a.conn, a.err
	}
}

// Close implements net.Listener.
func (l *proxyListener) Close() error {
	l.once.Do(func() {
		l.err = l.Listener.Close()
		l.mu.Lock()
		close(l.done)
		for c := range l.waiting {
			_ = c.Close()
		}
		l.mu.Unlock()
	})
	l.wg.Wait()
	return l.err
}

func (l *proxyListener) runAccept() {
	for {
		conn, err := l.Listener.Accept()
		if err == nil && l.trusts(conn.RemoteAddr()) {
			l.await(conn)
			continue
		}
		if !l.hand(accepted{conn, err}) {
			return
		}
	}
}

// hand is false when the listener is closed.
func (l *proxyListener) hand(a accepted) bool {
	select {
	case l.ready <- a:
		return true
	case <-l.done:
		if a.conn != nil {
			_ = a.conn.Close()
		}
		return false
	}
}

func (l *proxyListener) trusts(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	ip := at.Addr().Unmap().WithZone("")
	return err == nil && slices.ContainsFunc(l.networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// await reads the header of a connection on a goroutine of its own.
func (l *proxyListener) await(c net.Conn) {
	select {
	case l.pending <- struct{}{}:
		l.mu.Lock()
		l.waiting[c] = struct{}{}
		l.mu.Unlock()
		l.wg.Go(func() { l.runHeader(c) })
	default:
		l.refused.Add(1)
		_ = c.Close()
	}
}

func (l *proxyListener) runHeader(c net.Conn) {
	spoken, err := readProxyHeader(c)
	l.mu.Lock()
	delete(l.waiting, c)
	l.mu.Unlock()
	<-l.pending
	if err != nil {
		l.refused.Add(1)
		_ = c.Close()
		return
	}
	l.hand(accepted{conn: spoken})
}

// readProxyHeader returns the connection behind its header.
func readProxyHeader(c net.Conn) (net.Conn, error) {
	if err := c.SetReadDeadline(time.Now().Add(sniffTimeout)); err != nil {
		return nil, err
	}
	b := make([]byte, proxyV2Head+proxyV2Max)
	for n := 0; ; {
		m, err := c.Read(b[n:])
		n += m
		from, size, bad := proxyHeader(b[:n])
		switch {
		case bad != nil:
			return nil, bad
		case size > 0:
			rest := &sniffed{Conn: c, first: b[size:n:n]}
			if from.IsValid() {
				rest.Conn = &forwarded{c, net.TCPAddrFromAddrPort(from)}
			}
			return rest, c.SetReadDeadline(time.Time{})
		case err != nil:
			return nil, err
		}
	}
}

// forwarded is a connection that comes from somebody else than its other end.
type forwarded struct {
	net.Conn
	from net.Addr
}

// RemoteAddr is whom the proxy has named.
func (f *forwarded) RemoteAddr() net.Addr { return f.from }

// NetConn returns the connection underneath, as that of a *tls.Conn does.
func (f *forwarded) NetConn() net.Conn { return f.Conn }
