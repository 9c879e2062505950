// Package batch moves many datagrams over a UDP socket with few system calls: recvmmsg and GRO on the
// way in, GSO on the way out, where Linux has them; one call a datagram elsewhere. It is what makes a
// load generator cheap enough to share a machine with what it measures.
package batch

import (
	"net"
	"net/netip"
)

// maxDatagram is the most that one UDP datagram, or a run of them in one call, can hold.
const maxDatagram = 65535

// Conn is a socket. One goroutine may read it; writes are safe for concurrent use.
type Conn struct {
	inner net.PacketConn
	fast  *fast  // nil: one call a datagram
	buf   []byte // for reading without fast
}

// New takes over c, of any kind. Only a *net.UDPConn is read and written in batches.
func New(c net.PacketConn) *Conn {
	out := &Conn{inner: c}
	if udp, ok := c.(*net.UDPConn); ok {
		out.fast = newFast(udp)
	}
	if out.fast == nil {
		out.buf = make([]byte, maxDatagram)
	}
	return out
}

// Read waits for datagrams and passes them to each, in their order. The bytes are valid until each
// returns.
func (c *Conn) Read(each func(b []byte, from netip.AddrPort)) error {
	if c.fast != nil {
		return c.fast.read(each)
	}
	n, from, err := c.inner.ReadFrom(c.buf)
	if err != nil {
		return err
	}
	each(c.buf[:n], addrPort(from))
	return nil
}

// Write sends one datagram.
func (c *Conn) Write(b []byte, to netip.AddrPort) error {
	if c.fast != nil {
		return c.fast.write(b, to)
	}
	_, err := c.inner.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

// WriteRun sends b as datagrams of size bytes each; the last one may be shorter.
func (c *Conn) WriteRun(b []byte, size int, to netip.AddrPort) error {
	if c.fast != nil && len(b) > size {
		if done, err := c.fast.writeRun(b, size, to); done {
			return err
		}
	}
	for len(b) > 0 {
		n := min(size, len(b))
		if err := c.Write(b[:n], to); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Close closes the socket; a Read that waits fails.
func (c *Conn) Close() error { return c.inner.Close() }

func addrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := udp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
