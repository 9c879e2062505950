package lean

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

// Certificate is a DTLS identity. Many connections may share one.
type Certificate struct {
	tls         tls.Certificate
	fingerprint string
}

// NewCertificate makes one with a new ECDSA key.
func NewCertificate() (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("lean: certificate key: %w", err)
	}
	c, err := selfsign.SelfSign(key)
	if err != nil {
		return nil, fmt.Errorf("lean: certificate: %w", err)
	}
	return &Certificate{tls: c, fingerprint: fingerprint(c.Certificate[0])}, nil
}

// fingerprint is that of a certificate in DER, as in SDP (RFC 8122 section 5).
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	text := strings.Builder{}
	text.WriteString("sha-256 ")
	for i, b := range sum {
		if i > 0 {
			text.WriteByte(':')
		}
		fmt.Fprintf(&text, "%02X", b)
	}
	return text.String()
}
