package servetest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certify writes a certificate with a serial number that ends at a time, and its key.
func (h home) certify(t *testing.T, serial int64, end time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: end.Add(-48 * time.Hour), NotAfter: end, DNSNames: []string{"localhost"},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	h.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func (h home) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serial is that of the certificate a browser would get.
func (p *process) serial(t *testing.T) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{InsecureSkipVerify: true}) // looked at below
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestCertificateIsReadAgain(t *testing.T) {
	h := newHome(t)
	h.configure(t, fmt.Sprintf("tls: {cert_file: %s/cert.pem, key_file: %s/key.pem}\n", h.dir, h.dir))
	tomorrow := time.Now().Add(24 * time.Hour)
	h.certify(t, 1, tomorrow)
	p := h.start(t)
	steps := []struct {
		name   string
		change func()
		says   string
		serial int64
	}{
		{"renewed", func() { h.certify(t, 2, tomorrow) }, "certificate read again", 2},
		{"broken", func() { h.write(t, "cert.pem", []byte("none")) }, "the certificate in use stays", 2},
		{"expired", func() { h.certify(t, 3, time.Now().Add(-time.Hour)) }, "tls.cert_file: expired", 2},
		{"of another key", func() {
			h.certify(t, 4, tomorrow)
			other := newHome(t)
			other.certify(t, 5, tomorrow)
			key, err := os.ReadFile(filepath.Join(other.dir, "key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			h.write(t, "key.pem", key)
		}, "private key does not match public key", 2},
	}
	if got := p.serial(t); got != 1 {
		t.Fatalf("certificate %d", got)
	}
	for _, s := range steps {
		s.change()
		p.signal(t, syscall.SIGHUP)
		p.says(t, s.says)
		if got := p.serial(t); got != s.serial {
			t.Errorf("%s: certificate %d, want %d", s.name, got, s.serial)
		}
	}
	p.stop(t)
}

// says waits until the process has logged a text.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	end := time.After(startTimeout)
	for !strings.Contains(p.log.String(), text) {
		select {
		case <-p.log.more:
		case <-end:
			t.Fatalf("does not say %q:\n%s", text, p.log.tail())
		}
	}
}
