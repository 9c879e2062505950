package deploy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// running is a `bedside serve` of the static binary.
type running struct {
	listen  string // host:port
	metrics string // host:port
	ends    time.Time
}

// logged keeps what a process writes and tells of the line that says it serves.
type logged struct {
	serving chan running

	mu   sync.Mutex
	text bytes.Buffer
	seen bool
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	for line := range strings.Lines(l.text.String()) {
		var entry struct{ Msg, Listen, Metrics string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" && !l.seen {
			l.seen = true
			l.serving <- running{listen: entry.Listen, metrics: entry.Metrics}
		}
	}
	return len(p), nil
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serve starts a server with a certificate, on ports of its own, and stops it when the test ends.
func serve(t *testing.T) running {
	t.Helper()
	dir := t.TempDir()
	ends := certify(t, dir)
	document := fmt.Sprintf(`listen: 127.0.0.1:0
public_url: https://localhost
metrics_listen: 127.0.0.1:0
data_dir: %[1]s/data
tls: {cert_file: %[1]s/cert.pem, key_file: %[1]s/key.pem}
log: {format: json}
audit: {min_free_percent: 0}
`, dir)
	file := filepath.Join(dir, "bedside.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(bedside(t), "serve", "--config", file)
	log := &logged{serving: make(chan running, 1)}
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- c.Wait() }()
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := <-exited; err != nil || t.Failed() {
			t.Logf("the server ended with %v and logged\n%s", err, log)
		}
	})
	select {
	case r := <-log.serving:
		r.ends = ends
		return r
	case err := <-exited:
		exited <- err
		t.Fatalf("the server ended: %v\n%s", err, log)
	case <-time.After(time.Minute):
		t.Fatalf("the server does not serve\n%s", log)
	}
	return running{}
}

// certify writes cert.pem and key.pem for localhost, and returns when they end.
func certify(t *testing.T, dir string) time.Time {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return template.NotAfter
}

func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, resp.Status, err)
	}
	return string(body)
}
