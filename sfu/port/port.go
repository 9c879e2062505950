// Package port owns the server's UDP socket and is the only place that knows the kernel.
//
//	socket ─► runReader: classify (RFC 7983) ─► filter ─► endpoint of the 5-tuple ─► its Conn's queue ─► pion
//	pion ─► Conn.WriteToAddrPort ─► socket
//
// An address belongs to an endpoint from the moment a STUN check with the endpoint's ICE password
// came from it; nothing else, and no media, ever moves one.
package port

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v4"
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

// Port shares one UDP socket among the participants' connections. It satisfies pion's ice.UDPMux.
type Port struct {
	conn  net.PacketConn
	fast  addrPortConn // conn, where it can do without allocating addresses
	stats counters
	done  chan struct{}
	wg    sync.WaitGroup

	mu        sync.RWMutex
	closed    bool
	endpoints map[string]*endpoint // by local ufrag
	addresses map[netip.AddrPort]*endpoint
}

// endpoint is one ICE agent of ours: a ufrag, its password, and where its peer has been heard from.
type endpoint struct {
	ufrag     string
	password  string // "" until SetPassword: until then every check is refused
	conns     [2]*Conn
	addresses []netip.AddrPort // oldest first, <= endpointAddresses
}

// addrPortConn is what *net.UDPConn offers beyond net.PacketConn.
type addrPortConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
}

// New starts reading conn, which belongs to the Port from then on. metrics may be nil.
func New(conn net.PacketConn, metrics prometheus.Registerer) (*Port, error) {
	p := &Port{
		conn:      conn,
		done:      make(chan struct{}),
		endpoints: map[string]*endpoint{},
		addresses: map[netip.AddrPort]*endpoint{},
	}
	p.fast, _ = conn.(addrPortConn)
	if err := p.stats.register(metrics); err != nil {
		return nil, err
	}
	p.wg.Go(p.runReader)
	return p, nil
}

// Close closes the socket and every Conn, and waits for the reader.
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
	clear(p.addresses)
	p.mu.Unlock()
	err := p.conn.Close()
	p.wg.Wait()
	return err
}

// LocalAddr is the socket's address.
func (p *Port) LocalAddr() net.Addr { return p.conn.LocalAddr() }

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
	at := p.conn.LocalAddr().(*net.UDPAddr)
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
	for _, a := range e.addresses {
		if p.addresses[a] == e {
			delete(p.addresses, a)
		}
	}
	e.close()
}

// runReader is the one goroutine that reads the socket.
func (p *Port) runReader() {
	buf := make([]byte, datagramBytes)
	check := new(stun.Message)
	for {
		n, from, err := p.read(buf)
		if err == nil {
			p.route(buf[:n], from, check)
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

func (p *Port) read(buf []byte) (int, netip.AddrPort, error) {
	if p.fast != nil {
		n, from, err := p.fast.ReadFromUDPAddrPort(buf)
		return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
	}
	n, addr, err := p.conn.ReadFrom(buf)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	from := addr.(*net.UDPAddr).AddrPort()
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), nil
}

func (p *Port) write(b []byte, to netip.AddrPort) (int, error) {
	if p.fast != nil {
		return p.fast.WriteToUDPAddrPort(b, to)
	}
	return p.conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
}

// route hands one datagram to its endpoint or counts why not. b is the reader's.
func (p *Port) route(b []byte, from netip.AddrPort, check *stun.Message) {
	if len(b) == 0 {
		p.stats.drop(dropUnknown)
		return
	}
	switch classify(b[0]) {
	case classSTUN:
		p.routeSTUN(b, from, check)
	case classDTLS:
		if !acceptDTLS(b) {
			p.stats.drop(dropDTLS)
			return
		}
		p.deliver(b, from)
	case classMedia:
		p.deliver(b, from)
	case classTURNChannel:
		p.stats.drop(dropTURN)
	default:
		p.stats.drop(dropUnknown)
	}
}

// routeSTUN authenticates a connectivity check and binds its source address to the endpoint. As an
// ICE-lite agent we send no requests (RFC 8445 section 2.4), so no response is ever for us.
func (p *Port) routeSTUN(b []byte, from netip.AddrPort, check *stun.Message) {
	messageType, ok := stunType(b)
	if !ok {
		p.stats.drop(dropSTUNMalformed)
		return
	}
	if stunMethod(messageType) != stunMethodBinding {
		p.stats.drop(dropTURN)
		return
	}
	if messageType != stunBindingRequest {
		p.stats.drop(dropSTUNOther)
		return
	}
	check.Raw = append(check.Raw[:0], b...)
	if check.Decode() != nil {
		p.stats.drop(dropSTUNMalformed)
		return
	}
	ufrag, ok := localUfrag(check)
	if !ok {
		p.stats.drop(dropSTUNMalformed)
		return
	}
	p.mu.RLock()
	e := p.endpoints[ufrag]
	var password string
	bound := false
	if e != nil {
		password, bound = e.password, p.addresses[from] == e
	}
	p.mu.RUnlock()
	switch {
	case e == nil:
		p.stats.drop(dropUnknownUfrag)
		return
	case password == "" || stun.MessageIntegrity(password).Check(check) != nil:
		p.stats.drop(dropUnauthenticated)
		return
	}
	if !bound {
		p.bind(e, from)
	}
	p.push(e, b, from)
}

// bind makes from an address of e. It may have been another endpoint's: a NAT that re-uses a port
// hands a new participant the address of one who has gone.
func (p *Port) bind(e *endpoint, from netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endpoints[e.ufrag] != e {
		return
	}
	if len(e.addresses) == endpointAddresses {
		if p.addresses[e.addresses[0]] == e {
			delete(p.addresses, e.addresses[0])
		}
		e.addresses = e.addresses[1:]
	}
	e.addresses = append(e.addresses, from)
	p.addresses[from] = e
}

func (p *Port) deliver(b []byte, from netip.AddrPort) {
	p.mu.RLock()
	e := p.addresses[from]
	p.mu.RUnlock()
	if e == nil {
		p.stats.drop(dropUnknownAddress)
		return
	}
	p.push(e, b, from)
}

func (p *Port) push(e *endpoint, b []byte, from netip.AddrPort) {
	c := e.conn(familyOf(from.Addr()))
	if c == nil {
		p.stats.drop(dropUnknownAddress)
		return
	}
	p.stats.received.Add(1)
	if !c.push(b, from) {
		p.stats.drop(dropQueueFull)
	}
}

// conn returns the Conn of a family, or that of the only family there is. conns is written before
// the endpoint can be authenticated, and never after.
func (e *endpoint) conn(family int) *Conn {
	if c := e.conns[family]; c != nil {
		return c
	}
	return nil
}

func (e *endpoint) close() {
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

// localUfrag is the part of USERNAME before the colon: the ufrag of the agent that is checked
// (RFC 8445 section 7.2.2).
func localUfrag(m *stun.Message) (string, bool) {
	username, err := m.Get(stun.AttrUsername)
	if err != nil {
		return "", false
	}
	for i, c := range username {
		if c == ':' {
			return string(username[:i]), i > 0
		}
	}
	return "", false
}
