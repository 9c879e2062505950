package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu/port"
)

// fakeAuthority is an ACME authority as far as one order by tls-alpn-01 needs it. It verifies no
// signatures of requests.
type fakeAuthority struct {
	t      *testing.T
	server *httptest.Server
	port   string // of whom it certifies
	key    *ecdsa.PrivateKey
	root   *x509.Certificate

	mu       sync.Mutex
	asked    []string // paths
	verified bool
	chain    []byte
}

func newFakeAuthority(t *testing.T) *fakeAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Fake"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeAuthority{t: t, key: key}
	if f.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	f.server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.server.Close)
	return f
}

// serve answers every request of one order.
func (f *fakeAuthority) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.URL.Path)
	w.Header().Set("Replay-Nonce", "nonce")
	w.Header().Set("Location", f.server.URL+r.URL.Path+"/1")
	var signed struct{ Payload string }
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &signed)
	payload, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	at := func(path string) string { return f.server.URL + path }
	status := func() string {
		if f.verified {
			return "valid"
		}
		return "pending"
	}
	order := map[string]any{"status": "pending", "identifiers": []any{}, "authorizations": []string{at("/authz")}, "finalize": at("/finalize")}
	answer := map[string]any{}
	code := http.StatusOK
	switch r.URL.Path {
	case "/directory":
		answer = map[string]any{"newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order"), "revokeCert": at("/revoke")}
	case "/nonce":
		return
	case "/account":
		answer, code = map[string]any{"status": "valid"}, http.StatusCreated
	case "/order":
		answer, code = order, http.StatusCreated
	case "/authz", "/challenge":
		challenge := map[string]any{"type": "tls-alpn-01", "url": at("/challenge"), "token": "token", "status": status()}
		answer = map[string]any{"status": status(), "identifier": map[string]string{"type": "dns", "value": acmeName}, "challenges": []any{challenge}}
		if r.URL.Path == "/challenge" {
			f.verified = f.verify()
			answer = challenge
		}
	case "/order/1":
		order["status"] = map[bool]string{true: "ready", false: "pending"}[f.verified]
		if f.chain != nil {
			order["status"], order["certificate"] = "valid", at("/certificate")
		}
		answer = order
	case "/finalize":
		var asked struct{ CSR string }
		_ = json.Unmarshal(payload, &asked)
		f.issue(asked.CSR)
		w.Header().Set("Location", at("/order/1"))
		order["status"], order["certificate"] = "valid", at("/certificate")
		answer = order
	case "/certificate":
		_, _ = w.Write(f.chain)
		return
	default:
		code = http.StatusNotFound
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}

const acmeName = "video.hospital.example"

// verify asks back, on the one port.
func (f *fakeAuthority) verify() bool {
	c, err := tls.Dial("tcp", "127.0.0.1:"+f.port, &tls.Config{ServerName: acmeName, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
	if err != nil {
		f.t.Errorf("the authority asks back: %v", err)
		return false
	}
	defer func() { _ = c.Close() }()
	leaf := c.ConnectionState().PeerCertificates[0]
	proof := slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "1.3.6.1.5.5.7.1.31" })
	return proof && c.ConnectionState().NegotiatedProtocol == acme.ALPNProto && leaf.DNSNames[0] == acmeName
}

func (f *fakeAuthority) issue(text string) {
	der, _ := base64.RawURLEncoding.DecodeString(text)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		f.t.Errorf("request for a certificate: %v", err)
		return
	}
	leaf, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: csr.DNSNames,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}, f.root, csr.PublicKey, f.key)
	if err != nil {
		f.t.Errorf("certificate: %v", err)
	}
	f.chain = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.root.Raw})...)
}

func (f *fakeAuthority) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// The whole of an order, with the authority asking back through the shared port; handshakes for names
// that are not the server's send nothing to anybody.
func TestACME(t *testing.T) {
	authority := newFakeAuthority(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, authority.port, _ = net.SplitHostPort(tcp.Addr().String())
	var log bytes.Buffer
	dir := t.TempDir()
	i := newIssuer(config.ACME{Domains: []string{acmeName}, Directory: authority.server.URL + "/directory"}, dir, slog.New(slog.NewTextHandler(&log, nil)))
	shared, err := port.ShareTCP(tcp, port.TCPOptions{TLS: i.config()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shared.Close() }()
	shared.HTTP()
	shared.Start()
	pool := x509.NewCertPool()
	pool.AddCert(authority.root)
	dial := func(name string) error {
		c, err := tls.Dial("tcp", tcp.Addr().String(), &tls.Config{ServerName: name, RootCAs: pool})
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	for _, name := range []string{"other.example", "127.0.0.1", "a." + acmeName} {
		if dial(name) == nil {
			t.Errorf("a certificate for %s", name)
		}
	}
	if n := authority.requests(); n != 0 {
		t.Errorf("strangers' names made %d requests", n)
	}
	i.start()
	late := time.AfterFunc(time.Minute, i.end) // after a failure it would try again in a quarter of an hour
	i.wg.Wait()
	late.Stop()
	if err := dial(acmeName); err != nil {
		t.Errorf("%v; the log says\n%s", err, log.String())
	}
	i.stop()
	asked := authority.requests()
	again := newIssuer(config.ACME{Domains: []string{acmeName}, Directory: authority.server.URL + "/directory"}, dir, slog.New(slog.DiscardHandler))
	again.start()
	again.wg.Wait()
	again.stop()
	if n := authority.requests() - asked; n != 0 {
		t.Errorf("a restart made %d requests, though the certificate is kept", n)
	}
	if !strings.Contains(log.String(), "sent the names") {
		t.Errorf("what leaves the network is not said:\n%s", log.String())
	}
	t.Logf("figure: a certificate by ACME took %d requests", asked)
}

func TestACMEFirewall(t *testing.T) {
	cfg := config.Default()
	cfg.TLS.ACME.Domains = []string{acmeName}
	var b strings.Builder
	printFirewall(&b, firewallRules(cfg), "443")
	for _, want := range []string{"https://acme-v02.api.letsencrypt.org/directory", "out: nothing else"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, fmt.Sprint(b.String()))
		}
	}
}
