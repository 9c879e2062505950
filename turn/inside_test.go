package turn_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	pion "github.com/pion/turn/v5"

	"github.com/bedside-video/bedside/sfu/port"
	"github.com/bedside-video/bedside/turn"
	"github.com/bedside-video/bedside/turn/policy"
)

const deadline = time.Minute

// server is a relay with its sockets: UDP shared with media, TCP and TLS.
type server struct {
	port        *port.Port
	relay       *turn.Relay
	credentials *turn.Credentials
	udp         netip.AddrPort
	tcp, tls    net.Listener
	roots       *x509.CertPool
}

// serve starts one on loopback.
func serve(t testing.TB, l turn.Limits) *server {
	return serveHost(t, l, nil)
}

// serveHost starts one with another host than its own port.
func serveHost(t testing.TB, l turn.Limits, hostAt func(netip.AddrPort) turn.Host) *server {
	t.Helper()
	s := &server{}
	conns, err := port.Listen(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if s.port, err = port.New(conns[0], port.Options{More: conns[1:]}); err != nil {
		t.Fatal(err)
	}
	s.udp = netip.MustParseAddrPort(s.port.LocalAddr().String())
	// Coturn's client wants a channel to the port after its peer's, too, as RTCP once had.
	peers, err := policy.NewPeers([]netip.AddrPort{s.udp, netip.AddrPortFrom(s.udp.Addr(), s.udp.Port()+1)})
	if err != nil {
		t.Fatal(err)
	}
	s.credentials = turn.NewCredentials(secrets(t, "one", ""), time.Now, rand.Reader)
	host := turn.Host(turn.NewInside(s.port, peers, rand.Reader))
	if hostAt != nil {
		host = hostAt(s.udp)
	}
	s.relay, err = turn.New(turn.Options{
		Realm: realm, Peers: peers, Host: host, Authority: s.credentials,
		Limits: l, Clock: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.relay.ServePort(s.port)
	conf, _, _ := s.certificate(t)
	var serving sync.WaitGroup
	for _, l := range []struct {
		at   *net.Listener
		zone string
		conf *tls.Config
	}{{&s.tcp, turn.ZoneTCP, nil}, {&s.tls, turn.ZoneTLS, conf}} {
		if *l.at, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		listener := *l.at
		if l.conf != nil {
			listener = tls.NewListener(listener, l.conf)
		}
		serving.Go(func() {
			if err := s.relay.Serve(listener, l.zone); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		_ = s.relay.Close()
		serving.Wait()
		_ = s.port.Close()
	})
	return s
}

func (s *server) certificate(t testing.TB) (conf *tls.Config, cert, private []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{realm}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(leaf)
	if private, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, der, private
}

// certificateFiles writes a certificate and its key for others to read.
func certificateFiles(t testing.TB) [2]string {
	t.Helper()
	_, cert, private := new(server).certificate(t)
	dir := t.TempDir()
	names := [2]string{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	for i, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: cert}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(names[i], pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// ways are the transports to the relay.
func (s *server) ways() map[string]func(testing.TB) net.PacketConn {
	return map[string]func(testing.TB) net.PacketConn{
		"UDP": func(t testing.TB) net.PacketConn {
			c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		"TCP": func(t testing.TB) net.PacketConn {
			c, err := net.Dial("tcp", s.tcp.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			return pion.NewSTUNConn(c)
		},
		"TLS": func(t testing.TB) net.PacketConn {
			c, err := tls.Dial("tcp", s.tls.Addr().String(), &tls.Config{RootCAs: s.roots, ServerName: realm})
			if err != nil {
				t.Fatal(err)
			}
			return pion.NewSTUNConn(c)
		},
	}
}

// client allocates by pion's client, which knows nothing of ours.
func (s *server) client(t testing.TB, conn net.PacketConn, session string) net.PacketConn {
	t.Helper()
	credential, err := s.credentials.Issue(session)
	if err != nil {
		t.Fatal(err)
	}
	return allocateAt(t, conn, s.udp, credential)
}

// allocateAt asks a relay for an address.
func allocateAt(t testing.TB, conn net.PacketConn, at netip.AddrPort, credential policy.Credential) net.PacketConn {
	t.Helper()
	c, err := pion.NewClient(&pion.ClientConfig{
		STUNServerAddr: at.String(), TURNServerAddr: at.String(), Conn: conn, Realm: realm,
		Username: credential.Username, Password: credential.Password, LoggerFactory: logging.NewDefaultLoggerFactory(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = relayed.Close()
		c.Close()
		_ = conn.Close()
	})
	return relayed
}

// echo is a participant's connection that sends everything back.
type echo struct {
	port *port.Port
	mu   sync.Mutex
	from map[netip.AddrPort]int // of checks
}

func (e *echo) Check(m *stun.Message, from netip.AddrPort) {
	e.mu.Lock()
	e.from[from]++
	e.mu.Unlock()
	out, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}, stun.Fingerprint)
	if err == nil {
		_ = e.port.Write(out.Raw, from)
	}
}
func (e *echo) DTLS(b []byte, from netip.AddrPort)  { _ = e.port.Write(b, from) }
func (e *echo) Flush()                              {}
func (e *echo) Media(b []byte, from netip.AddrPort) { _ = e.port.Write(b, from) }

func rtp(n, size int) []byte {
	b := make([]byte, size)
	copy(b, fmt.Sprintf("\x80\x60%010d", n))
	return b
}

// A client reaches the media server by each transport, through pion's client; the server sees the
// relayed address, and nothing is lost.
func TestInsideByEveryWay(t *testing.T) {
	s := serve(t, limits())
	for name, dial := range s.ways() {
		t.Run(name, func(t *testing.T) {
			e := &echo{port: s.port, from: map[netip.AddrPort]int{}}
			if err := s.port.Open("server"+name, "the password of the server", e); err != nil {
				t.Fatal(err)
			}
			relayed := s.client(t, dial(t), name)
			_ = relayed.SetDeadline(time.Now().Add(deadline))
			peer := net.UDPAddrFromAddrPort(s.udp)
			check := stun.MustBuild(stun.BindingRequest, stun.TransactionID, stun.NewUsername("server"+name+":client"),
				stun.NewShortTermIntegrity("the password of the server"), stun.Fingerprint)
			buf := make([]byte, 2048)
			write(t, relayed, check.Raw, peer)
			m := &stun.Message{Raw: read(t, relayed, buf)}
			var mapped stun.XORMappedAddress
			if err := m.Decode(); err != nil || mapped.GetFrom(m) != nil {
				t.Fatalf("the check is answered by %x", m.Raw)
			}
			if got := mapped.String(); got != relayed.LocalAddr().String() {
				t.Errorf("the server sees %s, the relayed address is %v", got, relayed.LocalAddr())
			}
			for n := range 500 {
				sent := rtp(n, 100+n)
				write(t, relayed, sent, peer)
				if got := read(t, relayed, buf); !bytes.Equal(got, sent) {
					t.Fatalf("packet %d came back as %q", n, got[:12])
				}
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			for at := range e.from {
				if at.Addr().Zone() == "" {
					t.Errorf("a check came from %v, which the socket could reach", at)
				}
			}
		})
	}
}

func write(t testing.TB, c net.PacketConn, b []byte, to net.Addr) {
	t.Helper()
	if _, err := c.WriteTo(b, to); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, c net.PacketConn, buf []byte) []byte {
	t.Helper()
	n, _, err := c.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// The session ends while somebody talks by a connection: it is closed.
func TestStreamEndsWithItsSession(t *testing.T) {
	s := serve(t, limits())
	c, err := net.Dial("tcp", s.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	watched := &closing{Conn: c, closed: make(chan struct{})}
	s.client(t, pion.NewSTUNConn(watched), "session")
	s.credentials.End("session")
	s.relay.Forget("session")
	select {
	case <-watched.closed:
	case <-time.After(deadline):
		t.Error("the connection is still open")
	}
}

// stuck is a listener whose connections take their time to close, as those of TLS do.
type stuck struct {
	net.Listener
	until chan struct{}
}

func (l stuck) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return stuckConn{c, l.until}, err
}

type stuckConn struct {
	net.Conn
	until chan struct{}
}

func (c stuckConn) Close() error {
	<-c.until
	return c.Conn.Close()
}

// Whoever ends a session does not wait for its connection.
func TestForgetWaitsForNobody(t *testing.T) {
	s := serve(t, limits())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	until, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- s.relay.Serve(stuck{l, until}, "/stuck") }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.client(t, pion.NewSTUNConn(c), "session")
	forgotten := make(chan struct{})
	go func() { s.relay.Forget("session"); close(forgotten) }()
	select {
	case <-forgotten:
	case <-time.After(deadline):
		t.Error("it waits for the connection to close")
	}
	close(until)
	_ = l.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// closing tells when the other end has closed it.
type closing struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.once.Do(func() { close(c.closed) })
	}
	return n, err
}

// What is no message, or too long, ends the connection; so does a listener that is closed.
func TestStreamFraming(t *testing.T) {
	s := serve(t, limits())
	for name, b := range map[string][]byte{
		"HTTP":               []byte("\xc7ET / HTTP/1.1\r\n\r\n"),
		"a STUN message":     {0, 3, 0xff, 0xfc, 0x21, 0x12, 0xa4, 0x42},
		"ChannelData":        {0x40, 0, 0xff, 0xff, 1, 2, 3},
		"not a multiple":     {0, 3, 0, 3, 0x21, 0x12, 0xa4, 0x42},
		"end of the message": {0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", s.tcp.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
			if name == "end of the message" {
				_ = c.(*net.TCPConn).CloseWrite()
			}
			_ = c.SetReadDeadline(time.Now().Add(deadline))
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || !ended(err) {
				t.Errorf("read %d, %v; want the end", n, err)
			}
		})
	}
}

func ended(err error) bool {
	var timeout net.Error
	return err == io.EOF || !(errors.As(err, &timeout) && timeout.Timeout())
}
