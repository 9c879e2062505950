package linkem

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pion/transport/v4/deadline"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

const (
	inboxLimit = 1024 // datagrams; more are dropped, as a kernel does, and counted

	// leastWait lets the socket be read even when something is due all the time: a read whose
	// deadline has passed fails without looking.
	leastWait = 50 * time.Microsecond
)

// Conn puts a UDP socket behind two links: what is written goes through the one called up, what
// arrives through the one called down. It implements net.PacketConn. One goroutine, which Close waits for, reads the socket and
// delivers on time. Its time is that of package time, since that is what the socket's deadlines are in.
type Conn struct {
	socket   net.PacketConn
	deadline *deadline.Deadline // of ReadFrom
	inbox    chan link.Packet
	done     chan struct{} // closed when run has ended

	mu       sync.Mutex // also keeps what is written to the socket in order
	up, down *link.Link
	armed    time.Time // when run looks again at the latest; zero: when something arrives
	unread   uint64
	err      error // why run ended; set before done is closed
}

// Report is what happened on both directions of a link.
type Report struct {
	Up     link.Counters `json:"up"`
	Down   link.Counters `json:"down"`
	Unread uint64        `json:"unread,omitempty"` // came out of the link, but nobody took them in time
}

// NewConn puts a socket behind links; the Conn owns it unless there is an error. Only UDP addresses can be written
// to. The same seed draws the same fates, different ones for the two directions.
func NewConn(socket net.PacketConn, up, down link.Shape, seed uint64) (*Conn, error) {
	c := &Conn{
		socket: socket, deadline: deadline.New(), inbox: make(chan link.Packet, inboxLimit), done: make(chan struct{}),
	}
	now := time.Now()
	var err error
	if c.up, err = link.New(now, up, seed); err != nil {
		return nil, fmt.Errorf("up: %w", err)
	}
	if c.down, err = link.New(now, down, link.OtherSeed(seed)); err != nil {
		return nil, fmt.Errorf("down: %w", err)
	}
	go c.run()
	return c, nil
}

// Set changes both directions from now on, or neither.
func (c *Conn) Set(up, down link.Shape) error {
	if err := errors.Join(up.Validate(), down.Validate()); err != nil {
		return fmt.Errorf("linkem: conn: %w", err)
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	err := errors.Join(c.up.Set(now, up), c.down.Set(now, down))
	c.deliver(now)
	return errors.Join(err, c.wakeFor(c.up), c.wakeFor(c.down))
}

// Report returns what happened so far.
func (c *Conn) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Report{Up: c.up.Counters(), Down: c.down.Counters(), Unread: c.unread}
}

// run reads the socket and delivers what is due, until the socket is closed or fails.
func (c *Conn) run() {
	defer close(c.done)
	buf := make([]byte, link.MaxPacket)
	for {
		err := c.arm()
		if err == nil {
			err = c.receive(buf)
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			return
		}
	}
}

// receive takes one datagram from the socket, if one comes before something is due.
func (c *Conn) receive(buf []byte) error {
	n, from, err := c.socket.ReadFrom(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		return err
	}
	if at, ok := from.(*net.UDPAddr); ok {
		c.mu.Lock()
		c.down.Push(time.Now(), link.Packet{Data: append([]byte(nil), buf[:n]...), Peer: at.AddrPort()})
		c.mu.Unlock()
	}
	return nil
}

// arm delivers what is due and lets the socket wake run when the next is.
func (c *Conn) arm() error {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliver(now)
	c.armed = time.Time{}
	for _, l := range []*link.Link{c.up, c.down} {
		if next, ok := l.Next(); ok && (c.armed.IsZero() || next.Before(c.armed)) {
			c.armed = next
		}
	}
	if least := now.Add(leastWait); !c.armed.IsZero() && c.armed.Before(least) {
		c.armed = least
	}
	return c.socket.SetReadDeadline(c.armed)
}

// deliver hands over what has come out of the links. c.mu must be held.
func (c *Conn) deliver(now time.Time) {
	for p, ok := c.up.Pop(now); ok; p, ok = c.up.Pop(now) {
		// A datagram that the kernel does not take is lost, as in any network.
		_, _ = c.socket.WriteTo(p.Data, net.UDPAddrFromAddrPort(p.Peer))
	}
	for p, ok := c.down.Pop(now); ok; p, ok = c.down.Pop(now) {
		select {
		case c.inbox <- p:
		default:
			c.unread++
		}
	}
}

// wakeFor makes run look when a link has something earlier than it knows. c.mu must be held.
func (c *Conn) wakeFor(l *link.Link) error {
	next, ok := l.Next()
	if !ok || !c.armed.IsZero() && !next.Before(c.armed) {
		return nil
	}
	c.armed = next
	return c.socket.SetReadDeadline(next)
}

// WriteTo puts a datagram on the way; what becomes of it nobody is told.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	at, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("linkem: not a UDP address")
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	c.up.Push(now, link.Packet{Data: append([]byte(nil), b...), Peer: at.AddrPort()})
	c.deliver(now)
	if err := c.wakeFor(c.up); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ReadFrom waits for a datagram.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	if c.deadline.Err() != nil {
		return 0, nil, os.ErrDeadlineExceeded
	}
	select {
	case p := <-c.inbox:
		return copy(b, p.Data), net.UDPAddrFromAddrPort(p.Peer), nil
	case <-c.deadline.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return 0, nil, c.err
	}
}

// Close closes the socket and waits for the goroutine. What is on the way is lost.
func (c *Conn) Close() error {
	err := c.socket.Close()
	<-c.done
	return err
}

// LocalAddr implements net.PacketConn.
func (c *Conn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadline.Set(t)
	return nil
}

// SetWriteDeadline does nothing: writes do not wait.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
