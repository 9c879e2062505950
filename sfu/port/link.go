package port

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// headBytes is the length of what is put in front of a datagram: a ChannelData header (RFC 8656
// section 12.4), which is never 0.
const headBytes = 4

// link is how datagrams come from the socket and get to it. One goroutine receives; any may send.
type link interface {
	// receive waits until there are datagrams and hands each to take, in the order in which they
	// came, and calls end after the last; b is valid until end returns. After close it fails with net.ErrClosed; other errors are
	// of one datagram, and receive may be called again.
	receive(take func(b []byte, from netip.AddrPort), end func()) error
	// send has b sent, with the four bytes of head in front unless that is 0, after all that was given to send before for the same destination. b is copied
	// or sent when it returns. What becomes of it is in the counters: an error says no more.
	send(head uint32, b []byte, to netip.AddrPort) error
	// close sends what waits, closes the socket and ends receive.
	close() error
}

// plain is one system call a datagram: what every net.PacketConn can do, be it of a simulation or of
// another system than Linux.
type plain struct {
	conn  net.PacketConn
	fast  addrPortConn // conn, where it can do without allocating addresses
	stats *counters
	buf   [datagramBytes]byte // the receiver's
}

// addrPortConn is what *net.UDPConn offers beyond net.PacketConn.
type addrPortConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
}

func newPlain(conn net.PacketConn, stats *counters) *plain {
	l := &plain{conn: conn, stats: stats}
	l.fast, _ = conn.(addrPortConn)
	if b, ok := conn.(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	}); ok {
		_, _ = b.SetReadBuffer(SocketBuffer), b.SetWriteBuffer(SocketBuffer)
	}
	return l
}

func (l *plain) receive(take func([]byte, netip.AddrPort), end func()) error {
	n, from, err := l.read()
	if err != nil {
		return err
	}
	take(l.buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	end()
	return nil
}

func (l *plain) read() (int, netip.AddrPort, error) {
	if l.fast != nil {
		return l.fast.ReadFromUDPAddrPort(l.buf[:])
	}
	n, addr, err := l.conn.ReadFrom(l.buf[:])
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	return n, addr.(*net.UDPAddr).AddrPort(), nil
}

func (l *plain) send(head uint32, b []byte, to netip.AddrPort) error {
	if head != 0 {
		b = append(binary.BigEndian.AppendUint32(make([]byte, 0, headBytes+len(b)), head), b...)
	}
	var err error
	if l.fast != nil {
		_, err = l.fast.WriteToUDPAddrPort(b, to)
	} else {
		_, err = l.conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	}
	if err != nil {
		l.stats.writeErrors.Add(1)
		return err
	}
	l.stats.sent.Add(1)
	return nil
}

func (l *plain) close() error { return l.conn.Close() }
