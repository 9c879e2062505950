package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	der  []byte
	key  *ecdsa.PrivateKey
}

// issue makes a certificate signed by a, or by itself when a is nil.
func (a *authority) issue(t *testing.T, name string, isCA bool, from, to time.Time, hosts ...string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, DNSNames: hosts,
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, der: der, key: key}
}

func TestJudgeCertificate(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	const host = "video.example"
	var nobody *authority
	root := nobody.issue(t, "root", true, now.Add(-day), now.Add(1000*day))
	middle := root.issue(t, "middle", true, now.Add(-day), now.Add(1000*day))
	stranger := nobody.issue(t, "stranger", true, now.Add(-day), now.Add(1000*day))
	leaf := middle.issue(t, "leaf", false, now.Add(-day), now.Add(90*day), host)
	own := nobody.issue(t, "own", false, now.Add(-day), now.Add(90*day), host)
	until := func(left time.Duration) *authority {
		return middle.issue(t, "leaf", false, now.Add(-90*day), now.Add(left), host)
	}
	const covers, chain = "ok certificate: covers video.example", "ok certificate: comes with a chain of 2, in order"
	const ends = "ok certificate: ends in 90 days, on 2027-02-20"
	tests := []struct {
		name  string
		chain []*authority
		want  []string
	}{
		{"fine", []*authority{leaf, middle}, []string{ends, covers, chain}},
		{"21 days left", []*authority{until(21 * day), middle}, []string{"ok certificate: ends in 21 days, on 2026-12-13", covers, chain}},
		{"less", []*authority{until(21*day - time.Second), middle}, []string{"warn certificate: ends in 20 days, on 2026-12-13", covers, chain}},
		{"an hour", []*authority{until(time.Hour), middle}, []string{"warn certificate: ends in 1h0m0s, on 2026-11-22", covers, chain}},
		{"over", []*authority{until(0), middle}, []string{"FAIL certificate: ended on 2026-11-22", covers, chain}},
		{"not yet", []*authority{middle.issue(t, "leaf", false, now.Add(time.Second), now.Add(day), host), middle},
			[]string{"FAIL certificate: is not valid before 2026-11-22T08:00:01Z", covers, chain}},
		{"another name", []*authority{middle.issue(t, "leaf", false, now, now.Add(90*day), "mail.example"), middle},
			[]string{ends, "FAIL certificate: is for mail.example, not for video.example of public_url", chain}},
		{"no chain", []*authority{leaf}, []string{ends, covers, "warn certificate: comes without a chain: right only if CN=middle"}},
		{"wrong chain", []*authority{leaf, stranger}, []string{ends, covers, "FAIL certificate: number 2 of the chain has not signed number 1"}},
		{"signed by itself", []*authority{own}, []string{ends, covers, "warn certificate: is signed by itself"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var pair tls.Certificate
			for _, a := range tt.chain {
				pair.Certificate = append(pair.Certificate, a.der)
			}
			wantFindings(t, judgeCertificate(pair, host, now), tt.want...)
		})
	}
}

func TestCheckCertificateReadsTheFiles(t *testing.T) {
	var nobody *authority
	now := time.Now()
	one := nobody.issue(t, "one", false, now.Add(-time.Hour), now.Add(1000*time.Hour), "localhost")
	two := nobody.issue(t, "two", false, now.Add(-time.Hour), now.Add(1000*time.Hour), "localhost")
	dir := t.TempDir()
	save := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	key := func(a *authority) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(a.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	cert, fits := save("cert.pem", "CERTIFICATE", one.der), save("key.pem", "PRIVATE KEY", key(one))
	foreign := save("foreign.pem", "PRIVATE KEY", key(two))
	h := checked(t)
	h.cfg.PublicURL = "https://localhost:8443"
	h.cfg.TLS = config.TLS{CertFile: cert, KeyFile: fits}
	wantFindings(t, h.checkCertificate(t.Context()), "ok certificate: ends in 41 days", "ok certificate: covers localhost", "warn certificate: is signed by itself")
	h.cfg.TLS.KeyFile = foreign
	wantFindings(t, h.checkCertificate(t.Context()), "FAIL certificate: tls: private key does not match public key")
	h.cfg.TLS.KeyFile = cert
	wantFindings(t, h.checkCertificate(t.Context()), "FAIL certificate: tls: found a certificate rather than a key")
	h.cfg.TLS = config.TLS{}
	wantFindings(t, h.checkCertificate(t.Context()))
}
