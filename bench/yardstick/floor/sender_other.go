//go:build !linux

package floor

import (
	"net"
	"net/netip"
)

// sender sends outboxes packet by packet: elsewhere this is no floor, but it works.
type sender struct{ socket *net.UDPConn }

func newSender(socket *net.UDPConn) sender { return sender{socket: socket} }

// send sends an outbox. What the socket refuses is lost, as on any network.
func (s *sender) send(o *outbox, to netip.AddrPort) {
	for b := o.buf; len(b) > 0; {
		n := min(o.segment, len(b))
		_, _ = s.socket.WriteToUDPAddrPort(b[:n], to)
		b = b[n:]
	}
}
