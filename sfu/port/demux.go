package port

import "net/netip"

// demux hands each datagram to the endpoint that it is for. It is one reader's: nothing in it is touched
// by another goroutine, so that a packet costs no lock.
type demux struct {
	port      *Port
	reader    int                          // which one
	addresses map[netip.AddrPort]*endpoint // bounded by endpointAddresses of each endpoint
	touched   []*endpoint                  // to be flushed; bounded by the datagrams of a burst
	checks    checks
}

func newDemux(p *Port, reader int) demux {
	return demux{port: p, reader: reader, addresses: map[netip.AddrPort]*endpoint{}, checks: checks{port: p}}
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
		if e := d.deliver(b, from, Receiver.Media); e != nil && !e.touched[d.reader] {
			e.touched[d.reader] = true
			d.touched = append(d.touched, e)
		}
	case classTURNChannel:
		d.relay(b, from)
	default:
		stats.drop(dropUnknown)
	}
}

// routeSTUN authenticates a connectivity check and binds its source address to the endpoint.
func (d *demux) routeSTUN(b []byte, from netip.AddrPort) {
	if isTURN(b) {
		d.relay(b, from)
		return
	}
	e := d.checks.authenticate(b)
	if e == nil {
		return
	}
	stats := &d.port.stats
	if d.addresses[from] != e && !d.bind(e, from) {
		stats.drop(dropUnknownUfrag)
		return
	}
	stats.received.Add(1)
	e.receiver.Check(&d.checks.message, from)
}

// relay hands b to the relay, if there is one.
func (d *demux) relay(b []byte, from netip.AddrPort) {
	if !d.port.toRelay(b, from) {
		d.port.stats.drop(dropTURN)
	}
}

// bind makes from an address of e. It may have been another endpoint's: a NAT that re-uses a port
// hands a new participant the address of one who has gone. It is false when e has been forgotten in the
// meantime.
func (d *demux) bind(e *endpoint, from netip.AddrPort) bool {
	p := d.port
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endpoints[e.ufrag] != e {
		return false
	}
	mine := &e.addresses[d.reader]
	if len(*mine) == endpointAddresses {
		d.unbind(e, (*mine)[0])
		*mine = (*mine)[1:]
	}
	*mine = append(*mine, from)
	d.addresses[from] = e
	return true
}

func (d *demux) unbind(e *endpoint, a netip.AddrPort) {
	if d.addresses[a] == e {
		delete(d.addresses, a)
	}
}

// purge unbinds the addresses of endpoints that have been forgotten. Nothing has been delivered to them
// in the meantime.
func (d *demux) purge(gone []*endpoint) {
	for _, e := range gone {
		for _, a := range e.addresses[d.reader] {
			d.unbind(e, a)
		}
	}
}

// deliver hands b to the endpoint whose address it came from, as what it is, and returns it.
func (d *demux) deliver(b []byte, from netip.AddrPort, as func(Receiver, []byte, netip.AddrPort)) *endpoint {
	e := d.addresses[from]
	if e == nil || e.forgotten.Load() {
		d.port.stats.drop(dropUnknownAddress)
		return nil
	}
	d.port.stats.received.Add(1)
	as(e.receiver, b, from)
	return e
}

// flush ends a burst.
func (d *demux) flush() {
	for _, e := range d.touched {
		e.touched[d.reader] = false
		e.receiver.Flush()
	}
	clear(d.touched)
	d.touched = d.touched[:0]
}
