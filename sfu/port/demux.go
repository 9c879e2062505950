package port

import (
	"net/netip"
	"sync/atomic"

	"github.com/pion/stun/v4"
)

// demux hands each datagram to the endpoint that it is for. It is the reader's: nothing in it is
// touched by another goroutine, so that a packet costs no lock.
type demux struct {
	port      *Port
	addresses map[netip.AddrPort]*endpoint // bounded by endpointAddresses of each endpoint
	check     stun.Message
	touched   []*Conn     // have got something since wake
	stale     atomic.Bool // endpoints have been removed; the one field that others write
}

// route hands one datagram to its endpoint or counts why not. b is the reader's.
func (d *demux) route(b []byte, from netip.AddrPort) {
	stats := &d.port.stats
	if len(b) == 0 {
		stats.drop(dropUnknown)
		return
	}
	switch classify(b[0]) {
	case classSTUN:
		d.routeSTUN(b, from)
	case classDTLS:
		if !acceptDTLS(b) {
			stats.drop(dropDTLS)
			return
		}
		d.deliver(b, from, Receiver.DTLS)
	case classMedia:
		d.deliver(b, from, Receiver.Media)
	case classTURNChannel:
		stats.drop(dropTURN)
	default:
		stats.drop(dropUnknown)
	}
}

// routeSTUN authenticates a connectivity check and binds its source address to the endpoint. As an
// ICE-lite agent we send no requests (RFC 8445 section 2.4), so no response is ever for us.
func (d *demux) routeSTUN(b []byte, from netip.AddrPort) {
	stats := &d.port.stats
	messageType, ok := stunType(b)
	if !ok {
		stats.drop(dropSTUNMalformed)
		return
	}
	if stunMethod(messageType) != stunMethodBinding {
		stats.drop(dropTURN)
		return
	}
	if messageType != stunBindingRequest {
		stats.drop(dropSTUNOther)
		return
	}
	d.check.Raw = append(d.check.Raw[:0], b...)
	if d.check.Decode() != nil {
		stats.drop(dropSTUNMalformed)
		return
	}
	ufrag, ok := localUfrag(&d.check)
	if !ok {
		stats.drop(dropSTUNMalformed)
		return
	}
	e, password := d.port.endpoint(ufrag)
	switch {
	case e == nil:
		stats.drop(dropUnknownUfrag)
		return
	case password == "" || stun.MessageIntegrity(password).Check(&d.check) != nil:
		stats.drop(dropUnauthenticated)
		return
	}
	if d.addresses[from] != e {
		d.bind(e, from)
	}
	if e.receiver != nil {
		stats.received.Add(1)
		e.receiver.Check(&d.check, from)
		return
	}
	d.push(e, b, from)
}

// bind makes from an address of e. It may have been another endpoint's: a NAT that re-uses a port
// hands a new participant the address of one who has gone.
func (d *demux) bind(e *endpoint, from netip.AddrPort) {
	if len(e.addresses) == endpointAddresses {
		d.forget(e, e.addresses[0])
		e.addresses = e.addresses[1:]
	}
	e.addresses = append(e.addresses, from)
	d.addresses[from] = e
}

func (d *demux) forget(e *endpoint, a netip.AddrPort) {
	if d.addresses[a] == e {
		delete(d.addresses, a)
	}
}

// purge forgets the addresses of endpoints that have been removed. Their conns are closed already, so
// nothing was delivered in the meantime.
func (d *demux) purge() {
	if !d.stale.Load() || !d.stale.Swap(false) {
		return
	}
	for _, e := range d.port.takeRemoved() {
		for _, a := range e.addresses {
			d.forget(e, a)
		}
	}
}

// deliver hands b to the endpoint whose address it came from, as what it is.
func (d *demux) deliver(b []byte, from netip.AddrPort, as func(Receiver, []byte, netip.AddrPort)) {
	e := d.addresses[from]
	switch {
	case e == nil || e.removed.Load():
		d.port.stats.drop(dropUnknownAddress)
	case e.receiver != nil:
		d.port.stats.received.Add(1)
		as(e.receiver, b, from)
	default:
		d.push(e, b, from)
	}
}

func (d *demux) push(e *endpoint, b []byte, from netip.AddrPort) {
	c := e.conn(familyOf(from.Addr()))
	if c == nil {
		d.port.stats.drop(dropUnknownAddress)
		return
	}
	d.port.stats.received.Add(1)
	if !c.push(b, from) {
		d.port.stats.drop(dropQueueFull)
	}
	if !c.touched {
		c.touched = true
		d.touched = append(d.touched, c)
	}
}

// wake lets those who have got something go on. Once a burst, not once a datagram: a goroutine that
// is woken by the first would find the others' wake-ups in its way.
func (d *demux) wake() {
	for i, c := range d.touched {
		c.touched = false
		c.signal()
		d.touched[i] = nil
	}
	d.touched = d.touched[:0]
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
