package port

import (
	"errors"
	"net"
	"net/netip"

	"github.com/pion/stun/v4"

	"github.com/bedside-video/bedside/sfu/port/plan"
)

// ErrTaken tells that there is an endpoint with that ufrag, or a path at that address.
var ErrTaken = errors.New("port: in use")

// Receiver is whom the datagrams of an endpoint are for. Its methods are called on the port's readers
// and by whoever delivers to a Path: one at a time for what comes from one address, at the same time for
// others. What they are given is valid until they return, and theirs to change. What they write to the
// port goes out when the burst of datagrams that was read with this one has been worked off. They must
// not wait for anything: nobody else's media is read in the meantime.
type Receiver interface {
	// Check takes a connectivity check that has been authenticated with the endpoint's password.
	Check(m *stun.Message, from netip.AddrPort)
	// DTLS takes a datagram of records that RFC 6347 lets pass, from an address that a check came from.
	DTLS(b []byte, from netip.AddrPort)
	// Media takes SRTP or SRTCP, from an address that a check came from.
	// b stays valid until Flush.
	Media(b []byte, from netip.AddrPort)
	// Flush tells that the burst in which Media was called has been handed over. What was written to the
	// port goes out right after.
	Flush()
}

// Open makes an endpoint: connectivity checks for ufrag that carry the password bind their source
// address to it, and what comes from there is for r.
func (p *Port) Open(ufrag, password string, r Receiver) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	if ufrag == "" || password == "" {
		return errors.New("port: an endpoint needs a ufrag and a password")
	}
	if p.endpoints[ufrag] != nil {
		return ErrTaken
	}
	p.endpoints[ufrag] = &endpoint{
		ufrag: ufrag, password: password, receiver: r, touched: make([]bool, len(p.readers)),
		addresses: make([][]netip.AddrPort, len(p.readers)),
	}
	return nil
}

// Forget ends an endpoint. It does not wait: calls of its Receiver may be under way.
func (p *Port) Forget(ufrag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.endpoints[ufrag]
	if e == nil {
		return
	}
	delete(p.endpoints, ufrag)
	e.forgotten.Store(true)
	for _, path := range e.paths {
		path.endpoint.CompareAndSwap(e, nil)
	}
	e.paths = nil
	for i := range p.readers {
		if r := &p.readers[i]; len(e.addresses[i]) > 0 {
			r.gone = append(r.gone, e)
			r.stale.Store(true)
		}
	}
}

// Write has b sent to an address. b is copied, or sent, when it returns; any goroutine may call it.
// What is sent to one address keeps its order. Where the port sends in batches, nil means that b is on
// its way there: what the kernel says of it is counted. What
// is for a path that has no room, or is no more, is dropped and counted.
func (p *Port) Write(b []byte, to netip.AddrPort) error {
	if isVirtual(to.Addr()) {
		p.paths.write(&p.stats, b, to)
		return nil
	}
	return p.linkTo(to).send(0, b, to)
}

// WriteChannel is Write of a ChannelData message (RFC 8656 section 12.4): b behind the header that says
// so. A datagram needs no padding.
func (p *Port) WriteChannel(channel uint16, b []byte, to netip.AddrPort) error {
	return p.linkTo(to).send(uint32(channel)<<16|uint32(uint16(len(b))), b, to)
}

// linkTo returns the socket that an address is sent to from.
func (p *Port) linkTo(to netip.AddrPort) link {
	r := &p.readers[0]
	if n := uint64(len(p.readers)); n > 1 {
		r = &p.readers[plan.Hash(to)%n]
	}
	return r.link
}

// ServeTURN gives everything that is TURN, requests and ChannelData, to relay. It is called on the
// port's readers, like a Receiver, and under the same conditions. nil has it dropped, as it is until
// somebody serves it.
func (p *Port) ServeTURN(relay func(b []byte, from netip.AddrPort)) { p.relay.Store(&relay) }

// toRelay is false if there is no relay.
func (p *Port) toRelay(b []byte, from netip.AddrPort) bool {
	relay := p.relay.Load()
	if relay == nil || *relay == nil {
		return false
	}
	(*relay)(b, from)
	return true
}
