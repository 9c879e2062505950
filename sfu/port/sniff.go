package port

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// refusalDrain bounds what is read from a refused client after the refusal, in bytes and in time:
// closing with unread data sends RST (RFC 2525 section 2.17), on which some kernels, though not Linux,
// throw away what they have received.
const (
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

// runSniff finds out what a connection speaks and hands it on, or closes it.
func (t *TCP) runSniff(a *arrival) {
	to, why := t.identify(a)
	if why != tcpServed {
		t.drop(a, why)
		return
	}
	_ = a.tcp.SetDeadline(time.Time{})
	t.doors[to].hand(a)
}

// identify leaves in a.speaks what the consumer is to read.
func (t *TCP) identify(a *arrival) (to int, why tcpDrop) {
	_ = a.tcp.SetDeadline(time.Now().Add(sniffTimeout))
	first, what, err := sniff(a.tcp, func() bool { return t.advance(a) })
	if err != nil {
		return 0, tcpSilent
	}
	a.speaks = &sniffed{Conn: a.tcp, first: first}
	switch what {
	case spokenTLS:
		return t.identifyInside(a)
	case spokenHTTP:
		if isLoopback(a.tcp.RemoteAddr()) {
			return doorHTTP, tcpServed
		}
		refuse(a.tcp)
		return 0, tcpPlainHTTP
	case spokenTURN:
		return doorTURN, tcpServed
	case spokenICE:
		return doorICE, tcpServed
	}
	return 0, tcpUnknown
}

// identifyInside does the TLS handshake and looks at what comes first inside. Both have a time of their
// own.
func (t *TCP) identifyInside(a *arrival) (to int, why tcpDrop) {
	conn := tls.Server(a.speaks, t.tls)
	_ = conn.SetDeadline(time.Now().Add(sniffTimeout))
	if conn.Handshake() != nil {
		t.stats.handshakeFailures.Inc()
		return 0, tcpHandshake
	}
	_ = conn.SetDeadline(time.Now().Add(sniffTimeout))
	first, what, err := sniff(conn, func() bool { return true })
	if err != nil {
		return 0, tcpSilent
	}
	a.speaks = &secured{Conn: conn, first: first}
	switch what {
	case spokenHTTP:
		return doorHTTP, tcpServed
	case spokenTURN:
		return doorTURNS, tcpServed
	}
	return 0, tcpUnknown
}

// sniff reads until it is clear what is spoken. begun is called when there is a first byte; it says
// whether to go on.
func sniff(from io.Reader, begun func() bool) (first []byte, what spoken, err error) {
	buf := make([]byte, sniffBytes)
	for n := 0; ; {
		m, err := from.Read(buf[n:])
		if n == 0 && m > 0 && !begun() {
			return nil, spokenUnknown, net.ErrClosed
		}
		n += m
		if what := tellSpoken(buf[:n]); what != spokenMore {
			return buf[:n], what, nil
		}
		if err != nil {
			return nil, spokenUnknown, err
		}
	}
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

// sniffed is a connection of which something has been read already. Like every net.Conn it has one
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

// NetConn returns the connection underneath, as that of a *tls.Conn does.
func (c *sniffed) NetConn() net.Conn { return c.Conn }

// secured is the same over TLS, with everything else that a *tls.Conn can do: net/http asks for its
// ConnectionState and CloseWrite.
type secured struct {
	*tls.Conn
	first []byte
}

func (c *secured) Read(b []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.first)
	c.first = c.first[n:]
	return n, nil
}
