package floor

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
)

// sender sends outboxes, one system call each.
type sender struct {
	socket  *net.UDPConn
	control []byte // the message of UDP_SEGMENT, its size still to be filled in
}

func newSender(socket *net.UDPConn) sender {
	const solUDP, udpSegment = 17, 103 // linux/udp.h
	b := make([]byte, syscall.CmsgSpace(2))
	binary.NativeEndian.PutUint64(b, uint64(syscall.CmsgLen(2)))
	binary.NativeEndian.PutUint32(b[8:], solUDP)
	binary.NativeEndian.PutUint32(b[12:], udpSegment)
	return sender{socket: socket, control: b}
}

// send sends an outbox. What the socket refuses is lost, as on any network.
func (s *sender) send(o *outbox, to netip.AddrPort) {
	var control []byte
	if o.count > 1 {
		control = s.control
		binary.NativeEndian.PutUint16(control[16:], uint16(o.segment))
	}
	_, _, _ = s.socket.WriteMsgUDPAddrPort(o.buf, control, to)
}
