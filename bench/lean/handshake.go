package lean

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
)

const (
	handshakeDeadline = 15 * time.Second
	// As the server's: the RTX of a second of video is no replay.
	replayWindow = 1024
)

// runHandshake makes the keys, and then waits for the other side's goodbye.
func (c *Conn) runHandshake(a *Answer) {
	tls, k, err := c.handshake(a)
	if err != nil {
		select {
		case <-c.done: // closed in the middle
		default:
			c.o.Handler.Up(false)
		}
		return
	}
	c.keys.Store(k)
	c.o.Handler.Up(true)
	poke(c.wake)
	var b [2048]byte
	for {
		if _, err := tls.Read(b[:]); err != nil {
			return
		}
	}
}

// handshake is DTLS in the role that the answer leaves to us.
func (c *Conn) handshake(a *Answer) (*dtls.Conn, *keys, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeDeadline)
	defer cancel()
	conn, err := c.newDTLS(a)
	if err != nil {
		return nil, nil, fmt.Errorf("lean: DTLS: %w", err)
	}
	c.mu.Lock()
	closed := c.closed
	c.tls = conn
	c.mu.Unlock()
	if closed {
		_ = conn.Close()
		return nil, nil, errClosed
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("lean: DTLS handshake: %w", err)
	}
	k, err := exportKeys(conn, !a.active)
	return conn, k, err
}

func (c *Conn) newDTLS(a *Answer) (*dtls.Conn, error) {
	own := dtls.WithCertificates(c.o.Certificate.tls)
	// The fingerprint is what binds the certificate to the answer (RFC 8122).
	verify := dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 || !bytes.Equal([]byte(fingerprint(raw[0])), []byte(a.fingerprint)) {
			return fmt.Errorf("%w: another certificate than its fingerprint says", ErrAnswer)
		}
		return nil
	})
	trust := dtls.WithInsecureSkipVerify(true) // of a chain: there is none
	offered := []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80}
	if c.o.GCM {
		offered = offered[:1]
	}
	profiles := dtls.WithSRTPProtectionProfiles(offered...)
	if a.active {
		return dtls.ServerWithOptions(c.hello, peer{}, own, verify, trust, profiles,
			dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerifyHello(true))
	}
	return dtls.ClientWithOptions(c.hello, peer{}, own, verify, trust, profiles)
}

func exportKeys(conn *dtls.Conn, client bool) (*keys, error) {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	state, ready := conn.ConnectionState()
	if !ok || !ready {
		return nil, fmt.Errorf("lean: %w: no SRTP profile in common", ErrAnswer)
	}
	config := srtp.Config{Profile: srtp.ProtectionProfile(profile)} // both are RFC 5764's numbers
	if err := config.ExtractSessionKeysFromDTLS(&state, client); err != nil {
		return nil, fmt.Errorf("lean: SRTP keys: %w", err)
	}
	in, err := srtp.CreateContext(config.Keys.RemoteMasterKey, config.Keys.RemoteMasterSalt, config.Profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
	if err != nil {
		return nil, fmt.Errorf("lean: SRTP: %w", err)
	}
	out, err := srtp.CreateContext(config.Keys.LocalMasterKey, config.Keys.LocalMasterSalt, config.Profile)
	if err != nil {
		return nil, fmt.Errorf("lean: SRTP: %w", err)
	}
	aead, err := config.Profile.AEADAuthTagLen()
	if err != nil {
		return nil, fmt.Errorf("lean: SRTP: %w", err)
	}
	hmac, err := config.Profile.AuthTagRTPLen()
	if err != nil {
		return nil, fmt.Errorf("lean: SRTP: %w", err)
	}
	return &keys{in: in, out: out, tag: aead + hmac}, nil
}
