package port

import (
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// sniffTimeout is how long a connection may stay silent before it is closed: the time in which
	// net/http, too, wants to see a whole header.
	sniffTimeout = 5 * time.Second
	// maxSniffing bounds the connections that have not sent anything yet. When there are more, the
	// oldest is closed: whoever means to talk does so within a round trip, so the one that has been
	// silent for longest is the least likely to.
	maxSniffing = 512
	// recordHandshake is the first byte of a TLS ClientHello (RFC 8446 section 5.1). No HTTP method
	// starts with it.
	recordHandshake = 0x16
	// retryAccept is the wait after a failed Accept: running out of file descriptors passes.
	retryAccept = 50 * time.Millisecond
	// refusalDrain bounds what is read from a refused client after the refusal, in bytes and in
	// time: closing with unread data sends RST (RFC 2525 section 2.17), on which some kernels, though
	// not Linux, throw away what they have received.
	refusalDrain        = 16 << 10
	refusalDrainTimeout = time.Second
)

// refusal is what a plain HTTP client on another machine gets. It is fixed text, so nothing of the
// request is parsed or repeated.
const refusal = "HTTP/1.1 400 Bad Request\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Connection: close\r\n" +
	"\r\n" +
	"This server speaks HTTPS: put https:// in front of the address.\n"

// sniffer is the listener that SniffTCP returns.
type sniffer struct {
	tcp   net.Listener
	conf  *tls.Config
	ready chan *silent  // unbuffered: a connection waits in its own goroutine, which sniffing bounds
	done  chan struct{} // closed by Close
	once  sync.Once
	err   error // of closing tcp; written once, before done is closed
	wg    sync.WaitGroup

	mu       sync.Mutex
	sniffing *list.List // of *silent, oldest first
}

// silent is a connection that has not been accepted yet.
type silent struct {
	tcp    net.Conn
	speaks net.Conn      // what Accept returns, once the first byte is there
	place  *list.Element // in sniffing; nil once it has left
}

// SniffTCP returns a listener that takes TLS and plain HTTP on one port: a connection whose first
// byte starts a TLS record is returned as a *tls.Conn with conf; any other is returned as it is
// when it comes from a loopback address, and otherwise told to use HTTPS and closed.
//
// The returned listener owns tcp. Its Close closes tcp and the connections not yet accepted, and
// returns when no goroutine of it is left; accepted connections are their receiver's.
func SniffTCP(tcp net.Listener, conf *tls.Config) net.Listener {
	s := &sniffer{
		tcp:      tcp,
		conf:     conf,
		ready:    make(chan *silent),
		done:     make(chan struct{}),
		sniffing: list.New(),
	}
	s.wg.Go(s.runAccept)
	return s
}

// Accept returns the next connection that has said what it speaks. Its error is net.ErrClosed.
func (s *sniffer) Accept() (net.Conn, error) {
	for {
		select {
		case <-s.done:
			return nil, net.ErrClosed
		case c := <-s.ready:
			if s.forget(c) {
				return c.speaks, nil
			}
		}
	}
}

// Close stops accepting and waits; see SniffTCP.
func (s *sniffer) Close() error {
	s.once.Do(func() {
		s.err = s.tcp.Close()
		s.mu.Lock()
		close(s.done)
		for e := s.sniffing.Front(); e != nil; e = e.Next() {
			_ = e.Value.(*silent).tcp.Close()
		}
		s.mu.Unlock()
	})
	s.wg.Wait()
	return s.err
}

// Addr is the address of the TCP listener.
func (s *sniffer) Addr() net.Addr { return s.tcp.Addr() }

func (s *sniffer) runAccept() {
	for {
		tcp, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-s.done:
				return
			case <-time.After(retryAccept):
			}
			continue
		}
		if c := s.remember(tcp); c != nil {
			s.wg.Go(func() { s.runSniff(c) })
		}
	}
}

// remember puts a new connection among the silent ones, at the cost of the oldest when there are
// too many; it returns nil, and closes tcp, when the listener is closed.
func (s *sniffer) remember(tcp net.Conn) *silent {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		_ = tcp.Close()
		return nil
	default:
	}
	if s.sniffing.Len() >= maxSniffing {
		oldest := s.sniffing.Remove(s.sniffing.Front()).(*silent)
		oldest.place = nil
		_ = oldest.tcp.Close()
	}
	c := &silent{tcp: tcp}
	c.place = s.sniffing.PushBack(c)
	return c
}

// forget takes c from among the silent ones; it is false when c was closed for being the oldest.
func (s *sniffer) forget(c *silent) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.place == nil {
		return false
	}
	s.sniffing.Remove(c.place)
	c.place = nil
	return true
}

// runSniff reads the first byte of c and hands c on, or closes it.
func (s *sniffer) runSniff(c *silent) {
	first := make([]byte, 1)
	_ = c.tcp.SetReadDeadline(time.Now().Add(sniffTimeout))
	if _, err := io.ReadFull(c.tcp, first); err != nil {
		s.drop(c)
		return
	}
	_ = c.tcp.SetReadDeadline(time.Time{})
	c.speaks = &sniffed{Conn: c.tcp, first: first}
	if first[0] == recordHandshake {
		c.speaks = tls.Server(c.speaks, s.conf)
	} else if !isLoopback(c.tcp.RemoteAddr()) {
		refuse(c.tcp)
		s.drop(c)
		return
	}
	select {
	case s.ready <- c:
	case <-s.done:
		s.drop(c)
	}
}

// drop closes a connection that is not handed on.
func (s *sniffer) drop(c *silent) {
	s.forget(c)
	_ = c.tcp.Close()
}

// refuse tells c to use HTTPS; closing is the caller's.
func refuse(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(refusalDrainTimeout))
	if _, err := io.WriteString(c, refusal); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, c, refusalDrain)
}

// isLoopback is false for an address that it cannot read: then only TLS is spoken.
func isLoopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// sniffed is a connection whose first byte has been read already. Like every net.Conn it has one
// reader at a time.
type sniffed struct {
	net.Conn
	first []byte // what is still to be returned of it
}

func (c *sniffed) Read(b []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.first)
	c.first = c.first[n:]
	return n, nil
}
