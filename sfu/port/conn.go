package port

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Conn is the port as one ICE agent sees it. It satisfies net.PacketConn and pion's
// ice.AddrPortReaderWriter, which spares an address allocation per packet.
type Conn struct {
	port  *Port
	local net.Addr
	queue chan datagram
	done  chan struct{}
	once  sync.Once
}

type datagram struct {
	buf  *[datagramBytes]byte // from datagramPool; the receiver gives it back
	n    int
	from netip.AddrPort
}

var datagramPool = sync.Pool{New: func() any { return new([datagramBytes]byte) }}

func newConn(p *Port, local net.Addr) *Conn {
	return &Conn{port: p, local: local, queue: make(chan datagram, queuePackets), done: make(chan struct{})}
}

// push queues a copy of b; it reports false when the queue is full.
func (c *Conn) push(b []byte, from netip.AddrPort) bool {
	d := datagram{buf: datagramPool.Get().(*[datagramBytes]byte), from: from}
	d.n = copy(d.buf[:], b)
	select {
	case c.queue <- d:
		return true
	default:
		datagramPool.Put(d.buf)
		return false
	}
}

// ReadFromAddrPort waits for the next datagram; io.EOF after Close.
func (c *Conn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-c.queue:
		defer datagramPool.Put(d.buf)
		if d.n > len(b) {
			return 0, d.from, io.ErrShortBuffer
		}
		return copy(b, d.buf[:d.n]), d.from, nil
	case <-c.done:
		return 0, netip.AddrPort{}, io.EOF
	}
}

// ReadFrom is ReadFromAddrPort for those who do not know it.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteToAddrPort sends b from the shared socket.
func (c *Conn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	select {
	case <-c.done:
		return 0, io.ErrClosedPipe
	default:
	}
	n, err := c.port.write(b, to)
	if err != nil {
		c.port.stats.writeErrors.Add(1)
		return n, err
	}
	c.port.stats.sent.Add(1)
	return n, nil
}

// WriteTo is WriteToAddrPort for those who do not know it.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	return c.WriteToAddrPort(b, to.(*net.UDPAddr).AddrPort())
}

// Close unblocks readers. The shared socket stays open.
func (c *Conn) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// LocalAddr is the address that pion asked the Conn for.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// SetDeadline does nothing: pion sets one only to unblock a reader it then closes.
func (c *Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing, as SetDeadline.
func (c *Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing, as SetDeadline.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
