package sim

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// Socket is one UDP socket of a Host. It implements net.PacketConn and pion's transport.UDPConn. One
// goroutine may read it at a time.
type Socket struct {
	host *Host
	addr netip.AddrPort
	wake chan struct{} // capacity 1: queue or deadline has changed
	done chan struct{}

	mu       sync.Mutex
	closed   bool
	queue    []datagram // by due, then ordinal
	dropped  uint64     // for want of room
	deadline time.Time
}

type datagram struct {
	data    []byte
	from    netip.AddrPort
	due     time.Time
	ordinal uint64
}

// push queues a datagram.
func (s *Socket) push(d datagram) {
	s.mu.Lock()
	if s.closed || len(s.queue) == queueLimit {
		s.dropped++
		s.mu.Unlock()
		return
	}
	at := len(s.queue)
	for at > 0 && s.queue[at-1].due.After(d.due) {
		at--
	}
	s.queue = slices.Insert(s.queue, at, d)
	s.mu.Unlock()
	s.poke()
}

func (s *Socket) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // the reader will look anyway
	}
}

// next takes the datagram that is due, or tells how long to wait: forever if wait is negative.
func (s *Socket) next(now time.Time) (d datagram, wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return d, 0, net.ErrClosed
	}
	wait = -1
	if !s.deadline.IsZero() {
		if wait = s.deadline.Sub(now); wait <= 0 {
			return d, 0, os.ErrDeadlineExceeded
		}
	}
	if len(s.queue) == 0 {
		return d, wait, nil
	}
	if ahead := s.queue[0].due.Sub(now); ahead > 0 {
		if wait < 0 || ahead < wait {
			wait = ahead
		}
		return d, wait, nil
	}
	d = s.queue[0]
	s.queue = s.queue[1:]
	return d, 0, nil
}

// ReadFromUDPAddrPort waits for a datagram.
func (s *Socket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		d, wait, err := s.next(time.Now())
		if err != nil {
			return 0, netip.AddrPort{}, err
		}
		if d.data != nil {
			return copy(b, d.data), d.from, nil
		}
		var timer *time.Timer
		var due <-chan time.Time
		if wait >= 0 {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-s.wake:
		case <-due:
		case <-s.done:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// WriteToUDPAddrPort sends a datagram. It never blocks.
func (s *Socket) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	s.host.network.send(s.addr, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), b)
	return len(b), nil
}

// ReadFromUDP is ReadFromUDPAddrPort with another type of address.
func (s *Socket) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	n, from, err := s.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFrom implements net.PacketConn.
func (s *Socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteToUDP is WriteToUDPAddrPort with another type of address.
func (s *Socket) WriteToUDP(b []byte, to *net.UDPAddr) (int, error) {
	return s.WriteToUDPAddrPort(b, to.AddrPort())
}

// WriteTo implements net.PacketConn.
func (s *Socket) WriteTo(b []byte, to net.Addr) (int, error) {
	at, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("sim: not a UDP address")
	}
	return s.WriteToUDPAddrPort(b, at.AddrPort())
}

// Close makes the port free; a waiting read fails with net.ErrClosed.
func (s *Socket) Close() error {
	s.host.network.mu.Lock()
	delete(s.host.network.sockets, s.addr)
	s.host.network.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	s.queue = nil
	close(s.done)
	return nil
}

// LocalAddr implements net.PacketConn.
func (s *Socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.addr) }

// RemoteAddr implements net.Conn; a Socket is never connected.
func (s *Socket) RemoteAddr() net.Addr { return nil }

// SetDeadline implements net.PacketConn.
func (s *Socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (s *Socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	s.deadline = t
	s.mu.Unlock()
	s.poke()
	return nil
}

// SetWriteDeadline implements net.PacketConn; writes never block.
func (s *Socket) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer does nothing: the queue is bounded in datagrams.
func (s *Socket) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing.
func (s *Socket) SetWriteBuffer(int) error { return nil }

// Read fails: the socket is not connected.
func (s *Socket) Read([]byte) (int, error) { return 0, errNotConnected }

// Write fails: the socket is not connected.
func (s *Socket) Write([]byte) (int, error) { return 0, errNotConnected }

// ReadMsgUDP fails: there are no control messages here.
func (s *Socket) ReadMsgUDP(_, _ []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	return 0, 0, 0, nil, errNotConnected
}

// WriteMsgUDP fails: there are no control messages here.
func (s *Socket) WriteMsgUDP(_, _ []byte, _ *net.UDPAddr) (n, oobn int, err error) {
	return 0, 0, errNotConnected
}
