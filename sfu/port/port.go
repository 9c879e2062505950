// Package port owns the server's UDP socket and is the only place that knows the kernel.
//
//	socket ─► runReader: classify (RFC 7983) ─► filter ─► endpoint of the 5-tuple ─► its Receiver, inline,
//	                                                                              or its Conn's queue ─► pion
//	Port.Write, Conn.WriteToAddrPort ─► outbox ─► at the end of the burst, or runSender: plan ─► socket
//
// Both ways go in batches where the kernel has system calls for that: see link.
//
// An address belongs to an endpoint from the moment a STUN check with the endpoint's ICE password
// came from it; nothing else, and no media, ever moves one.
package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// datagramBytes holds what an Ethernet carries; WebRTC sends at most 1,200 bytes of payload.
	// A longer datagram is cut by the kernel and then fails authentication.
	datagramBytes = 2048
	// queuePackets of one participant: at 3 Mbit/s 512 packets are 1.5 s. A full queue means that
	// the process is starved; the newest packet is dropped and counted, and NACK may recover it.
	queuePackets = 512
	// endpointAddresses bounds how many addresses one participant may be reached at: interfaces
	// and NAT rebindings of one call. Beyond it the address that was bound first is forgotten.
	endpointAddresses = 16
	// readRetry is the pause after a socket error that is not the socket's end. Errors such as
	// ENOBUFS or ECONNREFUSED concern one datagram; giving up would end every call on the port.
	readRetry = 5 * time.Millisecond
)

// SocketBuffer is asked for in either direction: some 80 ms of 200 Mbit/s, for when all cores are busy.
// The usual default of 208 kB is 8 ms. The kernel gives what net.core.rmem_max and wmem_max allow, unless
// the process may exceed them, and says nothing; bedside check does.
const SocketBuffer = 2 << 20

// Options of a Port. The zero value uses what the system has.
type Options struct {
	// NoGSO sends every datagram as one, though still many with one system call: for networks whose
	// drivers get segmentation wrong.
	NoGSO bool
	// NoGRO receives every datagram as one, and Portable uses one system call for each, as other
	// systems than Linux do: for comparison.
	NoGRO, Portable bool
	Metrics         prometheus.Registerer // nil: none
}

// Port shares one UDP socket among the participants' connections. It satisfies pion's ice.UDPMux.
type Port struct {
	local net.Addr
	link  link
	stats counters
	demux demux
	done  chan struct{}
	wg    sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	endpoints map[string]*endpoint // by local ufrag
	removed   []*endpoint          // since the reader has looked
}

// endpoint is one ICE agent of ours: a ufrag, its password, and where its peer has been heard from.
type endpoint struct {
	ufrag     string
	password  string   // "" until SetPassword: until then every check is refused; guarded by Port.mu
	receiver  Receiver // nil: the conns get everything
	conns     [2]*Conn
	removed   atomic.Bool
	addresses []netip.AddrPort // oldest first, <= endpointAddresses; the reader's
}

// New starts reading conn, which belongs to the Port from then on.
func New(conn net.PacketConn, o Options) (*Port, error) {
	return open(conn.LocalAddr(), o.Metrics, func(stats *counters) (link, error) { return newLink(conn, stats, o) })
}

func open(local net.Addr, metrics prometheus.Registerer, newLink func(*counters) (link, error)) (*Port, error) {
	p := &Port{local: local, stats: newCounters(), done: make(chan struct{}), endpoints: map[string]*endpoint{}}
	p.demux = demux{port: p, addresses: map[netip.AddrPort]*endpoint{}}
	l, err := newLink(&p.stats)
	if err != nil {
		return nil, fmt.Errorf("port: %w", err)
	}
	p.link = l
	if err := p.stats.register(metrics); err != nil {
		_ = l.close()
		return nil, fmt.Errorf("port: metrics: %w", err)
	}
	p.wg.Go(p.runReader)
	return p, nil
}

// newLink takes the best way that there is.
func newLink(conn net.PacketConn, stats *counters, o Options) (link, error) {
	if !o.Portable {
		if l, err := newBatch(conn, stats, o); l != nil || err != nil {
			return l, err
		}
	}
	return newPlain(conn, stats), nil
}

// Close sends what waits, closes the socket and every Conn, and waits for the goroutines.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	close(p.done)
	for _, e := range p.endpoints {
		e.close()
	}
	clear(p.endpoints)
	p.mu.Unlock()
	err := p.link.close()
	p.wg.Wait()
	return err
}

// LocalAddr is the socket's address.
func (p *Port) LocalAddr() net.Addr { return p.local }

// SetPassword makes the endpoint of ufrag accept checks that carry this password (RFC 8445
// section 7.3). Until then none are.
func (p *Port) SetPassword(ufrag, password string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.endpoints[ufrag]; e != nil {
		e.password = password
	}
}

// GetListenAddresses gives pion one host candidate of each family. The candidates that clients see
// are written into the answer by sfu/transport; these only name the queues behind them.
func (p *Port) GetListenAddresses() []net.Addr {
	at := p.local.(*net.UDPAddr)
	v4 := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.Port}
	if at.IP.To4() != nil && !at.IP.IsUnspecified() {
		return []net.Addr{&net.UDPAddr{IP: at.IP, Port: at.Port}}
	}
	return []net.Addr{v4, &net.UDPAddr{IP: net.IPv6loopback, Port: at.Port}}
}

// GetConn returns the Conn of the family of local for the agent with this ufrag, making the
// endpoint on first use.
func (p *Port) GetConn(ufrag string, local net.Addr) (net.PacketConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	e := p.endpoints[ufrag]
	if e == nil {
		e = &endpoint{ufrag: ufrag}
		p.endpoints[ufrag] = e
	}
	family := familyOf(local.(*net.UDPAddr).AddrPort().Addr())
	if e.conns[family] == nil {
		e.conns[family] = newConn(p, local)
	}
	return e.conns[family], nil
}

// RemoveConnByUfrag forgets an agent and its addresses.
func (p *Port) RemoveConnByUfrag(ufrag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.endpoints[ufrag]
	if e == nil {
		return
	}
	delete(p.endpoints, ufrag)
	e.close()
	p.removed = append(p.removed, e)
	p.demux.stale.Store(true)
}

// endpoint returns the one with this ufrag and its password, nil if there is none.
func (p *Port) endpoint(ufrag string) (*endpoint, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.endpoints[ufrag]
	if e == nil {
		return nil, ""
	}
	return e, e.password
}

// takeRemoved returns the endpoints that have been removed since the last call.
func (p *Port) takeRemoved() []*endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.removed
	p.removed = nil
	return list
}

// runReader is the one goroutine that reads the socket.
func (p *Port) runReader() {
	take := p.demux.route
	for {
		err := p.link.receive(take)
		if err == nil {
			p.demux.wake()
			p.demux.purge()
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		p.stats.readErrors.Add(1)
		select {
		case <-p.done:
			return
		case <-time.After(readRetry):
		}
	}
}

// conn returns the Conn of a family; nil if pion has not asked for it. conns is written before the
// endpoint can be authenticated, and never after.
func (e *endpoint) conn(family int) *Conn { return e.conns[family] }

// close is called with Port.mu held.
func (e *endpoint) close() {
	e.removed.Store(true)
	for _, c := range e.conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

func familyOf(a netip.Addr) int {
	if a.Unmap().Is4() {
		return 0
	}
	return 1
}
