package floor

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/packetio"
)

const (
	handshakeTime = 10 * time.Second
	pipeBytes     = 64 << 10 // of a handshake, waiting; more is dropped
)

var errFingerprint = errors.New("floor: the certificate is not that of the offer")

// link is one client's connection.
type link struct {
	server          *Server
	ufrag, password string
	fingerprint     string // the client's
	pipe            *pipe
	done            context.CancelFunc
	wg              sync.WaitGroup // the handshake

	// Guarded by Server.mu.
	addr     netip.AddrPort // where the last check came from
	in, out  *srtpKey       // nil before the handshake is done
	rtcpIn   *srtp.Context
	rtcpOut  *srtp.Context
	feeds    map[uint8]*feed // what is published, by payload type
	seats    []*seat         // what is watched
	outgoing outbox
	queued   bool // for the flush at the end of the burst
}

// feed is one published track.
type feed struct {
	owner         *link
	room          string
	kind          string
	stream, track string
	ssrc          uint32 // 0 before the first packet; no other one is forwarded
	rollover      rollover
	seats         []*seat
	asked         time.Time // for a key frame
}

// seat is one track on its way to one watcher. The sequence numbers stay, so that every packet of a
// seat's SSRC is sealed under a nonce of its own; the rollover counter begins at 0.
type seat struct {
	feed    *feed
	to      *link
	ssrc    uint32
	payload uint8
	started bool
	base    uint32 // rollover counter of the first packet
}

// pipe is the DTLS connection's view of the shared socket.
type pipe struct {
	*packetio.Buffer
	link *link
}

// ReadFrom implements net.PacketConn.
func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, p.RemoteAddr(), err
}

// WriteTo implements net.PacketConn.
func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	p.link.server.mu.Lock()
	to := p.link.addr
	p.link.server.mu.Unlock()
	return p.link.server.socket.WriteToUDPAddrPort(b, to)
}

// LocalAddr implements net.PacketConn.
func (p *pipe) LocalAddr() net.Addr { return p.link.server.socket.LocalAddr() }

// RemoteAddr is the same for all clients: nobody looks at it.
func (p *pipe) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4zero} }

// SetDeadline implements net.PacketConn.
func (p *pipe) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn: writing does not wait.
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

// runHandshake makes the keys of a link, and keeps the DTLS connection until ctx ends.
func (l *link) runHandshake(ctx context.Context) {
	conn, err := dtls.ServerWithOptions(l.pipe, l.pipe.RemoteAddr(),
		dtls.WithCertificates(l.server.certificate),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerifyHello(true), // the authenticated ICE check has proven the address
		dtls.WithVerifyPeerCertificate(l.verify),
	)
	if err != nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, handshakeTime)
	err = conn.HandshakeContext(limited)
	cancel()
	if err == nil {
		err = l.secure(conn)
	}
	if err == nil {
		<-ctx.Done()
	}
	_ = conn.Close()
}

// verify compares a client's certificate with its offer.
func (l *link) verify(raw [][]byte, _ [][]*x509.Certificate) error {
	if len(raw) == 0 || fingerprint(raw[0]) != l.fingerprint {
		return errFingerprint
	}
	return nil
}

// fingerprint writes a certificate's as SDP does (RFC 8122 section 5).
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// secure takes the keys of a finished handshake (RFC 5764 section 4.2).
func (l *link) secure(conn *dtls.Conn) error {
	if profile, ok := conn.SelectedSRTPProtectionProfile(); !ok || profile != dtls.SRTP_AEAD_AES_128_GCM {
		return fmt.Errorf("floor: SRTP profile %v", profile)
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return errors.New("floor: no connection state")
	}
	m, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*masterKeyBytes+2*masterSaltBytes)
	if err != nil {
		return fmt.Errorf("floor: keys: %w", err)
	}
	const profile = srtp.ProtectionProfileAeadAes128Gcm
	clientKey, serverKey, salts := m[:masterKeyBytes], m[masterKeyBytes:2*masterKeyBytes], m[2*masterKeyBytes:]
	clientSalt, serverSalt := salts[:masterSaltBytes], salts[masterSaltBytes:]
	in, err1 := newSRTPKey(clientKey, clientSalt)
	out, err2 := newSRTPKey(serverKey, serverSalt)
	rtcpIn, err3 := srtp.CreateContext(clientKey, clientSalt, profile)
	rtcpOut, err4 := srtp.CreateContext(serverKey, serverSalt, profile)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.in, l.out, l.rtcpIn, l.rtcpOut = in, out, rtcpIn, rtcpOut
	for _, s := range l.seats {
		l.server.askForKey(s.feed)
	}
	return nil
}

// Close implements io.Closer.
func (l *link) Close() error {
	l.server.remove(l)
	l.done()
	err := l.pipe.Buffer.Close()
	l.wg.Wait()
	return err
}
