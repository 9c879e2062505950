package port

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// iceTCPFirst is how long a connection may take to prove whose it is, from when it is accepted.
	iceTCPFirst = 5 * time.Second
	// iceTCPIdle is how long it may then be silent, or need for one frame: a client repeats its checks
	// every few seconds (RFC 7675 section 5.1), and 30 s without any end a connection there.
	iceTCPIdle = 30 * time.Second
	// iceTCPQueue is what may wait to be written to a client that takes less than it is sent: half a
	// second at 2 Mbit/s. What comes then is dropped whole, as a full router would; the estimate of the
	// client's bandwidth sees both, the wait and the loss.
	iceTCPQueue = 128 << 10
	// iceTCPReserve of it is for small packets alone: sound, reports and checks go on while pictures
	// wait.
	iceTCPReserve = 16 << 10
	iceTCPSmall   = 400
)

// ICETCP serves clients whose media comes over TCP (RFC 6544): the passive side, to which they connect.
// Each connection is a Path from its first good check on.
type ICETCP struct {
	port     *Port
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{} // bounded by maxPaths, and by iceTCPFirst for what is not a path yet
}

// ServeICE starts serving the connections of a listener, which belongs to the ICETCP from then on.
func (p *Port) ServeICE(l net.Listener) *ICETCP {
	s := &ICETCP{port: p, listener: l, open: map[net.Conn]struct{}{}}
	s.wg.Go(s.runAccept)
	return s
}

// Close ends all connections and waits for their goroutines.
func (s *ICETCP) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

// runAccept ends with the listener, whose own errors are those of its closing.
func (s *ICETCP) runAccept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		if s.enter(c) {
			s.wg.Go(func() { s.runConn(c) })
		}
	}
}

func (s *ICETCP) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return false
	}
	s.open[c] = struct{}{}
	return true
}

func (s *ICETCP) leave(c net.Conn) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	_ = c.Close()
}

// runConn reads one connection until it ends, is silent, or sends what is no frame of a datagram.
func (s *ICETCP) runConn(c net.Conn) {
	defer s.leave(c)
	boundUnsent(c)
	in := newFrames(c)
	first, err := in.next(iceTCPFirst)
	if err != nil {
		return
	}
	proof := checks{port: s.port}
	if proof.authenticate(first) == nil {
		return // counted; who cannot prove anything gets no answer
	}
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return
	}
	out := NewQueue(c, iceTCPQueue)
	path, err := s.port.Attach(Virtual(at, ZoneTCP), func(b []byte) bool { return putFrame(out, b) })
	if err != nil {
		return // as many as may be, or closed
	}
	s.wg.Go(func() { s.runWrite(out, c) })
	defer out.Close()
	defer path.Close()
	for b := first; err == nil; b, err = in.next(iceTCPIdle) {
		if path.Deliver(b); path.endpoint.Load() == nil {
			in.expire() // a call that is over; an ICE restart proves itself in the time that is left
		}
	}
}

// runWrite writes what waits, and ends a connection that takes nothing.
func (s *ICETCP) runWrite(q *Queue, c net.Conn) {
	if q.Run() != nil {
		_ = c.Close()
	}
}

// putFrame puts b in line; false tells that there is no room for it.
func putFrame(q *Queue, b []byte) bool {
	if len(b) > iceTCPSmall && q.Waiting() > iceTCPQueue-iceTCPReserve-len(b) {
		return false
	}
	var n [frameHeaderLen]byte
	binary.BigEndian.PutUint16(n[:], uint16(len(b)))
	return q.Put(n[:], b)
}

// errFrame tells of a frame longer than any datagram of ours.
var errFrame = errors.New("port: a frame longer than a datagram")

// frames reads datagrams from a stream (RFC 4571).
type frames struct {
	conn    net.Conn
	in      *bufio.Reader
	buf     [datagramBytes]byte
	set     time.Time     // when the deadline was last moved
	within  time.Duration // by how much
	expired bool          // it is not to be moved any more
}

func newFrames(c net.Conn) *frames {
	return &frames{conn: c, in: bufio.NewReaderSize(c, 2*datagramBytes)}
}

// expire leaves the connection the time that it has; the next next may change that back.
func (f *frames) expire() { f.expired = true }

// next returns the next datagram, which is valid until the one after. Empty frames, which RFC 4571
// section 2 allows, are passed over. Whoever takes longer than within for one is silent.
func (f *frames) next(within time.Duration) ([]byte, error) {
	const fine = time.Second // moving a deadline costs more than a packet
	now := time.Now()
	if f.within != within || !f.expired && now.Sub(f.set) >= fine {
		f.set, f.within = now, within
		if err := f.conn.SetReadDeadline(now.Add(within)); err != nil {
			return nil, err
		}
	}
	f.expired = false
	for {
		if _, err := io.ReadFull(f.in, f.buf[:frameHeaderLen]); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint16(f.buf[:]))
		if n > len(f.buf) {
			return nil, errFrame
		}
		if n == 0 {
			continue
		}
		_, err := io.ReadFull(f.in, f.buf[:n])
		return f.buf[:n], err
	}
}
