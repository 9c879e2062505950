package port

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Zones of virtual addresses. No interface is called like that: names of interfaces have no slash.
const (
	ZoneTCP   = "/tcp"   // ICE-TCP: the client's end of a connection
	ZoneRelay = "/relay" // an allocation of the relay in this process: its relayed address
)

// maxPaths bounds how many paths are open at once: what a node can serve, several times over.
const maxPaths = 16384

// ErrTooMany tells that there are as many paths as may be.
var ErrTooMany = errors.New("port: too many paths")

// errNotVirtual tells that an address could be one of the socket's clients.
var errNotVirtual = errors.New("port: the address of a path needs a zone of virtual addresses")

// Virtual returns the address of a path: at in a zone that none of the socket's clients can be in.
func Virtual(at netip.AddrPort, zone string) netip.AddrPort {
	a := netip.AddrFrom16(at.Addr().As16()) // an address of 4 bytes has no zone
	return netip.AddrPortFrom(a.WithZone(zone), at.Port())
}

// isVirtual tells the addresses of paths from those that the socket reaches.
func isVirtual(a netip.Addr) bool { return !a.Is4() && strings.HasPrefix(a.Zone(), "/") }

// Path is a way to one client that is no datagram of the Port's socket: a framed TCP connection, an
// allocation of the relay. It has an address, and is to everybody above like a client at that address.
type Path struct {
	port     *Port
	at       netip.AddrPort
	send     func(b []byte) bool
	closed   atomic.Bool
	endpoint atomic.Pointer[endpoint] // set with Port.mu held

	mu     sync.Mutex // held by Deliver, and while it calls the Receiver
	checks checks
}

// paths finds a path by its address.
type paths struct {
	mu sync.RWMutex
	at map[netip.AddrPort]*Path // <= maxPaths
}

// pathCounters are of all paths.
type pathCounters struct {
	open          gauge
	sent, dropped atomic.Uint64
}

type gauge struct{ n atomic.Int64 }

func (g *gauge) load() float64 { return float64(g.n.Load()) }

// Attach opens a path at a virtual address. What is written to that address is given to send: any
// goroutine may call it, at the same time as others, and once more while Close runs. It must not wait,
// nor Deliver to any path; b is valid until it returns; false tells that there was no room.
func (p *Port) Attach(at netip.AddrPort, send func(b []byte) bool) (*Path, error) {
	if !isVirtual(at.Addr()) {
		return nil, errNotVirtual
	}
	path := &Path{port: p, at: at, send: send, checks: checks{port: p}}
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	if err := p.paths.add(path); err != nil {
		return nil, err
	}
	p.stats.paths.open.n.Add(1)
	return path, nil
}

// Deliver hands over one datagram that came by the path: STUN, DTLS or SRTP, whole and without framing.
// Any goroutine may call it; calls come one after another. b is the Receiver's to change until Deliver
// returns.
func (p *Path) Deliver(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := &p.port.stats
	if p.closed.Load() {
		stats.drop(dropUnknownAddress)
		return
	}
	if len(b) == 0 {
		stats.drop(dropUnknown)
		return
	}
	switch classify(b[0]) {
	case classSTUN:
		p.deliverSTUN(b)
	case classDTLS:
		if !acceptDTLS(b) {
			stats.drop(dropDTLS)
			return
		}
		p.deliver(b, Receiver.DTLS)
	case classMedia:
		if e := p.deliver(b, Receiver.Media); e != nil {
			e.receiver.Flush()
		}
	case classTURNChannel:
		stats.drop(dropTURN)
	default:
		stats.drop(dropUnknown)
	}
}

// deliverSTUN authenticates a connectivity check and makes the path the endpoint's.
func (p *Path) deliverSTUN(b []byte) {
	e := p.checks.authenticate(b)
	if e == nil {
		return
	}
	stats := &p.port.stats
	if p.endpoint.Load() != e && !p.bind(e) {
		stats.drop(dropUnknownUfrag)
		return
	}
	stats.received.Add(1)
	e.receiver.Check(&p.checks.message, p.at)
}

// deliver hands b to the endpoint that the path belongs to, as what it is, and returns it.
func (p *Path) deliver(b []byte, as func(Receiver, []byte, netip.AddrPort)) *endpoint {
	e := p.endpoint.Load()
	if e == nil || e.forgotten.Load() {
		p.port.stats.drop(dropUnknownAddress)
		return nil
	}
	p.port.stats.received.Add(1)
	as(e.receiver, b, p.at)
	return e
}

// bind makes the path e's, whose else it may have been. It is false when e has been forgotten in the
// meantime, or the path closed.
func (p *Path) bind(e *endpoint) bool {
	p.port.mu.Lock()
	defer p.port.mu.Unlock()
	if p.port.endpoints[e.ufrag] != e || p.closed.Load() {
		return false
	}
	p.release()
	if len(e.paths) == endpointAddresses {
		e.paths[0].release()
	}
	e.paths = append(e.paths, p)
	p.endpoint.Store(e)
	return true
}

// release makes the path nobody's; Port.mu is held.
func (p *Path) release() {
	e := p.endpoint.Swap(nil)
	if e == nil {
		return
	}
	if i := slices.Index(e.paths, p); i >= 0 {
		e.paths = slices.Delete(e.paths, i, i+1)
	}
}

// Close ends the path: what is written to its address from now on is dropped. It waits for nothing, and
// may be called twice.
func (p *Path) Close() {
	p.port.mu.Lock()
	again := p.closed.Swap(true)
	p.release()
	p.port.mu.Unlock()
	if again {
		return
	}
	p.port.paths.remove(p)
	p.port.stats.paths.open.n.Add(-1)
}

func (t *paths) add(p *Path) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.at[p.at] != nil:
		return ErrTaken
	case len(t.at) == maxPaths:
		return ErrTooMany
	}
	t.at[p.at] = p
	return nil
}

func (t *paths) remove(p *Path) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.at, p.at)
}

// write gives b to the path at an address.
func (t *paths) write(stats *counters, b []byte, to netip.AddrPort) {
	t.mu.RLock()
	p := t.at[to]
	t.mu.RUnlock()
	if p == nil || !p.send(b) {
		stats.paths.dropped.Add(1)
		return
	}
	stats.paths.sent.Add(1)
}
