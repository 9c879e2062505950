package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// selfSigned makes a certificate that nobody vouches for, for this machine and its addresses: a phone
// gives its camera to HTTPS pages only. It lives in memory, as long as the process and at most 30
// days.
func selfSigned(now time.Time, random io.Reader, addresses []netip.Addr) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("certificate key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.Unix()), // browsers refuse a second certificate of one issuer and number
		Subject:      pkix.Name{CommonName: "Bedside demo"},
		NotBefore:    now.Add(-time.Hour), // clocks differ
		NotAfter:     now.Add(30 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, a := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(a.AsSlice()))
	}
	der, err := x509.CreateCertificate(random, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	c := tlsConfig()
	c.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return c, nil
}

// tlsConfig serves HTTP/1.1 alone: a WebSocket takes over its connection, which HTTP/2 does not let
// it (RFC 8441 is not spoken here), and a page of four small files gains nothing from it. The other name
// is the relay's (RFC 7443). TLS 1.2 has forward secrecy and authenticated encryption only, as 1.3 has
// anyway: every browser that can join a call speaks one of these (RFC 9325 section 4.2).
func tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1", "stun.turn"},
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}
