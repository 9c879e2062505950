package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/port"
)

// certificateLife is that of a process's certificate. Clients know it by its fingerprint alone.
const certificateLife = 10 * 365 * 24 * time.Hour

// Port is where packets come from and go to; *port.Port is one.
type Port interface {
	// Open hands to r what arrives for an ICE user fragment of ours: checks that carry the password,
	// and whatever else comes from addresses that have sent one. It fails when the port is closed.
	Open(ufrag, password string, r port.Receiver) error
	// Forget ends that. A datagram that is being handed over still is.
	Forget(ufrag string)
	// Write sends a datagram; b is copied before it returns.
	Write(b []byte, to netip.AddrPort) error
}

// Options of an Engine.
type Options struct {
	Port      Port
	Advertise []netip.AddrPort // where clients reach the port, best first
	// AdvertiseTCP is where they reach it by TCP (RFC 6544), best first; none: they cannot.
	AdvertiseTCP []netip.AddrPort
	H264         bool // H.264 before VP8
	SSRCLimit    int  // streams that one participant may send; 16 if 0
	Clock        func() time.Time
	Rand         io.Reader // for keys, SSRCs and ICE credentials
}

// Engine makes connections that share a port and a certificate.
type Engine struct {
	o           Options
	certificate tls.Certificate
	fingerprint string // of certificate, as SDP has it
}

// NewEngine makes the one certificate of the process: DTLS identities are bound to a call by the
// fingerprint in its SDP, so one key for all calls reveals nothing and saves a key per join.
func NewEngine(o Options) (*Engine, error) {
	if o.SSRCLimit == 0 {
		o.SSRCLimit = 16
	}
	e := &Engine{o: o}
	key, err := ecdsa.GenerateKey(elliptic.P256(), o.Rand)
	if err != nil {
		return nil, fmt.Errorf("transport: certificate key: %w", err)
	}
	serial, err := e.random(16)
	if err != nil {
		return nil, err
	}
	now := o.Clock()
	der, err := x509.CreateCertificate(o.Rand, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: "bedside"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(certificateLife),
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "bedside"}}, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("transport: certificate: %w", err)
	}
	e.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	e.fingerprint = fingerprintOf(der)
	return e, nil
}

// fingerprintOf is a certificate's SHA-256 fingerprint (RFC 8122 section 5).
func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	text := strings.ToUpper(hex.EncodeToString(sum[:]))
	var b strings.Builder
	for i := 0; i < len(text); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(text[i : i+2])
	}
	return b.String()
}

func (e *Engine) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(e.o.Rand, b); err != nil {
		return nil, fmt.Errorf("transport: random numbers: %w", err)
	}
	return b, nil
}

// token returns n characters of RFC 8839's ice-char, six bits of randomness each.
func (e *Engine) token(n int) (string, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b, err := e.random(n)
	if err != nil {
		return "", err
	}
	for i := range b {
		b[i] = alphabet[b[i]&63]
	}
	return string(b), nil
}

// number returns a random number above 0, for SSRCs and the like.
func (e *Engine) number() (uint32, error) {
	for {
		b, err := e.random(4)
		if err != nil {
			return 0, err
		}
		if n := binary.BigEndian.Uint32(b); n != 0 {
			return n, nil
		}
	}
}

// preferred are the codecs of a kind that the server forwards, the room's first.
func (e *Engine) preferred(k codec.Kind) []codec.Name {
	switch {
	case k == codec.Audio:
		return []codec.Name{codec.Opus}
	case e.o.H264:
		return []codec.Name{codec.H264, codec.VP8}
	}
	return []codec.Name{codec.VP8, codec.H264}
}
