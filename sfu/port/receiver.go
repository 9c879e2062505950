package port

import (
	"errors"
	"net"
	"net/netip"

	"github.com/pion/stun/v4"
)

// ErrTaken tells that there is an endpoint with that ufrag.
var ErrTaken = errors.New("port: the ufrag is in use")

// Receiver is whom the datagrams of an endpoint are for. Its methods are called on the port's reader,
// one at a time; what they are given is valid until they return, and theirs to change. What they write to
// the port goes out when the burst of datagrams that was read with this one has been worked off. They
// must not wait for anything: nobody else's media is read in the meantime.
type Receiver interface {
	// Check takes a connectivity check that has been authenticated with the endpoint's password.
	Check(m *stun.Message, from netip.AddrPort)
	// DTLS takes a datagram of records that RFC 6347 lets pass, from an address that a check came from.
	DTLS(b []byte, from netip.AddrPort)
	// Media takes SRTP or SRTCP, from an address that a check came from.
	Media(b []byte, from netip.AddrPort)
}

// Open makes an endpoint: connectivity checks for ufrag that carry the password bind their source
// address to it, and what comes from there is for r.
func (p *Port) Open(ufrag, password string, r Receiver) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	if p.endpoints[ufrag] != nil {
		return ErrTaken
	}
	p.endpoints[ufrag] = &endpoint{ufrag: ufrag, password: password, receiver: r}
	return nil
}

// Forget ends an endpoint. It does not wait: one call of its Receiver may be under way.
func (p *Port) Forget(ufrag string) { p.RemoveConnByUfrag(ufrag) }

// Write has b sent to an address. b is copied, or sent, when it returns; any goroutine may call it.
func (p *Port) Write(b []byte, to netip.AddrPort) error { return p.link.send(b, to) }
