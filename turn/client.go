package turn

import "net/netip"

// client is who speaks to the relay, by one transport and from one address. Calls must not wait; false
// tells that there was no room.
type client interface {
	// address is like no other client's: a connection's has a zone.
	address() netip.AddrPort
	// proven tells that the address is the client's own: it has answered us there.
	proven() bool
	message(b []byte) bool
	channel(number uint16, b []byte) bool
	// ended tells that the client's allocation is no more.
	ended()
}

// mapped is the address that a client is told to have.
func mapped(c client) netip.AddrPort {
	at := c.address()
	return netip.AddrPortFrom(at.Addr().WithZone("").Unmap(), at.Port())
}

// say sends a message, unless it could not be built.
func say(c client, b []byte) {
	if len(b) > 0 {
		c.message(b) // lost, as on the way: the client asks again
	}
}

// Datagrams is the port (sfu/port.Port) that the relay shares with media, as far as it needs it.
type Datagrams interface {
	Write(b []byte, to netip.AddrPort) error
	WriteChannel(number uint16, b []byte, to netip.AddrPort) error
	ServeTURN(relay func(b []byte, from netip.AddrPort))
}

// ServePort makes the relay serve what comes to a port by UDP.
func (r *Relay) ServePort(p Datagrams) {
	p.ServeTURN(func(b []byte, from netip.AddrPort) { r.datagram(p, b, from) })
}

// datagram takes one on the port's reader. What relays media comes first and makes nothing.
func (r *Relay) datagram(p Datagrams, b []byte, from netip.AddrPort) {
	if isChannelData(b) {
		r.channelData(r.find(from), b)
		return
	}
	r.request(&sender{port: p, at: from}, b)
}

// sender is a client that sends datagrams.
type sender struct {
	port Datagrams
	at   netip.AddrPort
}

func (s *sender) address() netip.AddrPort { return s.at }
func (s *sender) proven() bool            { return false }
func (s *sender) message(b []byte) bool   { return s.port.Write(b, s.at) == nil }
func (s *sender) ended()                  {}

func (s *sender) channel(number uint16, b []byte) bool {
	return s.port.WriteChannel(number, b, s.at) == nil
}
