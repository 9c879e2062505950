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
	done  chan struct{}
	once  sync.Once

	queue
	touched bool // has got something in this burst; the port's reader's
}

func newConn(p *Port, local net.Addr) *Conn {
	return &Conn{port: p, local: local, done: make(chan struct{}), queue: queue{wake: make(chan struct{}, 1)}}
}

// ReadFromAddrPort waits for the next datagram; io.EOF after Close.
func (c *Conn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for {
		if d, from, ok := c.pop(); ok {
			if len(d) > len(b) {
				return 0, from, io.ErrShortBuffer
			}
			return copy(b, d), from, nil
		}
		select {
		case <-c.wake:
		case <-c.done:
			return 0, netip.AddrPort{}, io.EOF
		}
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

// WriteToAddrPort has b sent from the shared socket. Where the port sends in batches, nil means that b
// is on its way there: what the kernel says of it is counted.
func (c *Conn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	select {
	case <-c.done:
		return 0, io.ErrClosedPipe
	default:
	}
	if err := c.port.link.send(b, to); err != nil {
		return 0, err
	}
	return len(b), nil
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
