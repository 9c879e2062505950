package transport

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/fingerprint"
	"github.com/pion/transport/v4/packetio"
)

const (
	// dtlsDeadline ends a handshake that does not get anywhere.
	dtlsDeadline = 10 * time.Second
	// dtlsWaiting bounds the datagrams that wait for the handshake; a flight has some six. What comes
	// when it is full is dropped and sent again by the client.
	dtlsWaiting = 32
)

var (
	errFingerprint = errors.New("transport: the certificate is not the one that the offer names")
	errNoProfile   = errors.New("transport: no SRTP profile in common")
	errTooLarge    = errors.New("transport: packet too large")
	errNoPath      = errors.New("transport: no path yet")
)

// association is the network as DTLS sees it: what push takes is read, what is written goes to the
// path that ICE has selected.
type association struct {
	conn  *Conn
	in    *packetio.Buffer
	begun atomic.Bool
	begin chan struct{} // closed with the first datagram
}

func newAssociation(c *Conn) *association {
	a := &association{conn: c, in: packetio.NewBuffer(), begin: make(chan struct{})}
	a.in.SetLimitCount(dtlsWaiting)
	return a
}

func (a *association) push(b []byte) {
	_, _ = a.in.Write(b) // full or closed: dropped
	if !a.begun.Swap(true) {
		close(a.begin)
	}
}

// ReadFrom implements net.PacketConn.
func (a *association) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := a.in.Read(b)
	return n, anywhere(), err
}

// WriteTo implements net.PacketConn; the address is ICE's to know.
func (a *association) WriteTo(b []byte, _ net.Addr) (int, error) {
	if to := a.conn.path.Load(); to != nil {
		_ = a.conn.engine.o.Port.Write(b, *to) // lost, as on the way: DTLS repeats what matters
	}
	return len(b), nil
}

// Close implements net.PacketConn.
func (a *association) Close() error { return a.in.Close() }

// LocalAddr implements net.PacketConn.
func (a *association) LocalAddr() net.Addr { return anywhere() }

// SetDeadline implements net.PacketConn.
func (a *association) SetDeadline(t time.Time) error { return a.in.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (a *association) SetReadDeadline(t time.Time) error { return a.in.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn; writes never block.
func (a *association) SetWriteDeadline(time.Time) error { return nil }

func anywhere() net.Addr { return net.UDPAddrFromAddrPort(netip.AddrPort{}) }

// runDTLS carries out the handshake when the client begins it, hands the keys over, and reads on: the
// client says goodbye by close_notify.
func (c *Conn) runDTLS(fingerprints []string) {
	defer c.setBroken()
	select {
	case <-c.association.begin:
	case <-c.done:
		return
	}
	conn, err := c.handshake(fingerprints)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if !c.adopt(conn) || c.takeKeys(conn) != nil {
		return
	}
	c.setEstablished()
	// Application data is nobody's; the read fails when either side closes.
	for buf := make([]byte, 2048); err == nil; {
		_, err = conn.Read(buf)
	}
}

// adopt makes Close say goodbye; false when that has been called already.
func (c *Conn) adopt(conn *dtls.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dtls = conn
	return !c.closed
}

func (c *Conn) handshake(fingerprints []string) (*dtls.Conn, error) {
	conn, err := dtls.ServerWithOptions(c.association, anywhere(),
		dtls.WithCertificates(c.engine.certificate),
		// As DTLS client the server would leave the choice of the SRTP profile to Chromium, which prefers
		// HMAC-SHA1: three to six times the cost of GCM (measured 2026-11-22).
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), // no authority signs them: the fingerprint counts
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error { return checkFingerprint(raw, fingerprints) }),
		// HelloVerify proves that the client receives at its address; the authenticated ICE check has
		// proven that already. It costs a round trip and, with fragmented ClientHellos, two.
		dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithLoggerFactory(silence{}),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ending, dtlsDeadline)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// checkFingerprint compares a client's certificate with the fingerprints of its offer (RFC 8122).
func checkFingerprint(raw [][]byte, want []string) error {
	if len(raw) == 0 {
		return errFingerprint
	}
	certificate, err := x509.ParseCertificate(raw[0])
	if err != nil {
		return errFingerprint
	}
	for _, w := range want {
		algorithm, value, _ := strings.Cut(w, " ")
		hash, err := fingerprint.HashFromString(algorithm)
		if err != nil || hash == crypto.SHA1 || hash == crypto.MD5 { // RFC 8122 section 5: must not be used
			continue
		}
		if got, err := fingerprint.Fingerprint(certificate, hash); err == nil && strings.EqualFold(got, strings.TrimSpace(value)) {
			return nil
		}
	}
	return errFingerprint
}
