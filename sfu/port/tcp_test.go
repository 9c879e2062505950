package port_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/sfu/port"
)

// pipeListener is a net.Listener whose connections are dialled in memory.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	case c := <-l.conns:
		if c == nil {
			return nil, errors.New("accept: too many open files")
		}
		return c, nil
	}
}

func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(netip.AddrPort{}) }

// dial returns the client's end of a connection from the given address.
func (l *pipeListener) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.conns <- &fromConn{Conn: server, from: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	return client
}

// fromConn is a connection with a remote address of its own.
type fromConn struct {
	net.Conn
	from net.Addr
}

func (c *fromConn) RemoteAddr() net.Addr { return c.from }

const (
	here      = "127.0.0.1:40000"
	here6     = "[::1]:40000"
	mapped    = "[::ffff:127.0.0.1]:40000"
	elsewhere = "192.0.2.7:40000"
)

func share(t *testing.T, l net.Listener, conf *tls.Config) *port.TCP {
	t.Helper()
	s, err := port.ShareTCP(l, port.TCPOptions{TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serveHello serves a page that tells how it was reached, until the test ends.
func serveHello(t *testing.T, conf *tls.Config) *pipeListener {
	t.Helper()
	pipe := newPipeListener()
	l := share(t, pipe, conf)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil {
			_, _ = io.WriteString(w, "over TLS")
			return
		}
		_, _ = io.WriteString(w, "plain")
	})}
	served, pages := make(chan error, 1), l.HTTP()
	l.Start()
	go func() { served <- server.Serve(pages) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return pipe
}

func TestShareTCP(t *testing.T) {
	conf, roots := selfSigned(t)
	tests := []struct {
		name   string
		from   string
		tls    bool
		status int
		body   string
	}{
		{"TLS from this machine", here, true, 200, "over TLS"},
		{"TLS from elsewhere", elsewhere, true, 200, "over TLS"},
		{"plain from this machine", here, false, 200, "plain"},
		{"plain from this machine by IPv6", here6, false, 200, "plain"},
		{"plain from this machine, IPv4 in IPv6", mapped, false, 200, "plain"},
		{"plain from elsewhere", elsewhere, false, 400, "This server speaks HTTPS: put https:// in front of the address.\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pipe := serveHello(t, conf)
				c := pipe.dial(tt.from)
				if tt.tls {
					c = tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "localhost"})
				}
				status, body := get(t, c)
				if status != tt.status || body != tt.body {
					t.Errorf("got %d %q, want %d %q", status, body, tt.status, tt.body)
				}
			})
		})
	}
}

func TestShareTCPClosesTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := serveHello(t, nil)
		start := time.Now()
		if _, err := pipe.dial(elsewhere).Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want EOF", err)
		}
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("closed after %v, want 5s", got)
		}
	})
}

// A client that has not spoken must keep nobody waiting, however many of them there are.
func TestShareTCPManySilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := serveHello(t, nil)
		start := time.Now()
		silent := make([]net.Conn, 513)
		for i := range silent {
			silent[i] = pipe.dial(elsewhere)
		}
		synctest.Wait()
		if status, body := get(t, pipe.dial(here)); status != 200 || body != "plain" {
			t.Errorf("got %d %q beside the silent ones", status, body)
		}
		// The oldest two were closed at once: for number 513, and for the one that spoke.
		for i, want := range []time.Duration{0, 0, 5 * time.Second} {
			_, err := silent[i].Read(make([]byte, 1))
			if got := time.Since(start); !errors.Is(err, io.EOF) || got != want {
				t.Errorf("silent connection %d: %v after %v, want EOF after %v", i, err, got, want)
			}
		}
	})
}

// A request that comes late on a sniffed connection must not meet the deadline of the sniffing.
func TestShareTCPLeavesNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := serveHello(t, nil)
		c := pipe.dial(here)
		if _, err := io.WriteString(c, "G"); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want a minute of silence", err)
		}
		_ = c.SetReadDeadline(time.Time{})
		if _, err := io.WriteString(c, "ET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if status, body := readResponse(t, c); status != 200 || body != "plain" {
			t.Errorf("got %d %q", status, body)
		}
	})
}

func TestShareTCPSurvivesAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := serveHello(t, nil)
		start := time.Now()
		pipe.conns <- nil
		pipe.conns <- nil
		if status, _ := get(t, pipe.dial(here)); status != 200 {
			t.Errorf("got %d after two failed accepts", status)
		}
		if got := time.Since(start); got != 100*time.Millisecond {
			t.Errorf("served after %v, want 100ms", got)
		}
	})
}

// Close must end every goroutine, whatever its connection is doing: a bubble ends only then.
func TestShareTCPClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := newPipeListener()
		l := share(t, pipe, nil)
		door := l.HTTP()
		l.Start()
		silent, speaking, refused := pipe.dial(here), pipe.dial(here), pipe.dial(elsewhere)
		for _, c := range []net.Conn{speaking, refused} { // nobody accepts the one, or reads the other's refusal
			if _, err := io.WriteString(c, "G"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		start := time.Now()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got != 0 {
			t.Errorf("Close took %v, want 0s", got)
		}
		if _, err := door.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		for i, c := range []net.Conn{silent, speaking, refused} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("connection %d: %v, want EOF", i, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// The refusal must arrive over a real socket, too, whatever of the request is unread by then.
func TestShareTCPRefusalArrives(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := share(t, &elsewhereListener{tcp}, nil)
	l.Start()
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+tcp.Addr().String()+"/j/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Padding", strings.Repeat("x", 8<<10)) // unread when the refusal is sent
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "https://") {
		t.Errorf("got %d %q, %v", resp.StatusCode, body, err)
	}
}

// elsewhereListener makes every connection look like one from another machine.
type elsewhereListener struct{ net.Listener }

func (l *elsewhereListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &elsewhereConn{c.(*net.TCPConn)}, nil
}

type elsewhereConn struct{ *net.TCPConn }

func (c *elsewhereConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(elsewhere))
}

// get sends a request while it reads the response: a pipe has no buffer, so whoever is refused after
// one byte could otherwise never read the refusal.
func get(t *testing.T, c net.Conn) (int, string) {
	t.Helper()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}()
	status, body := readResponse(t, c)
	<-wrote
	return status, body
}

func readResponse(t *testing.T, c net.Conn) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := resp.Body
	if resp.ContentLength >= 0 {
		body = io.NopCloser(io.LimitReader(body, resp.ContentLength))
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	return resp.StatusCode, string(b)
}

// selfSigned returns a server's certificate for localhost and a pool that trusts it.
func selfSigned(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		// A bubble's clock starts on 2000-01-01.
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}
