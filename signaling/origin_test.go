package signaling_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
)

// TestOrigins is who may open a session and read the answer to a join: with TLS and without, the
// server being bedside.test and the portal configured.
func TestOrigins(t *testing.T) {
	for _, tt := range []struct {
		name          string
		origins       []string
		plain, secure bool // a session is opened over HTTP, over TLS
		portal        bool // the answer of POST /v1/join may be read
	}{
		{"none, as programs do", nil, true, true, false},
		{"own, without TLS", []string{"http://bedside.test"}, true, false, false},
		{"own, with TLS", []string{"https://bedside.test"}, true, true, false},
		{"own in capitals", []string{"HTTPS://BEDSIDE.TEST"}, true, true, false},
		{"the portal", []string{"https://portal.example"}, true, true, true},
		{"null", []string{"null"}, false, false, false},
		{"empty", []string{""}, false, false, false},
		{"a star", []string{"*"}, false, false, false},
		{"own twice", []string{"https://bedside.test", "https://bedside.test"}, false, false, false},
		{"the portal and another", []string{"https://portal.example", "https://evil.example"}, false, false, false},
		{"another and the portal", []string{"https://evil.example", "https://portal.example"}, false, false, false},
		{"two in one", []string{"https://portal.example, https://evil.example"}, false, false, false},
		{"two in one with a space", []string{"https://portal.example https://evil.example"}, false, false, false},
		{"the portal without TLS", []string{"http://portal.example"}, false, false, false},
		{"the portal at another port", []string{"https://portal.example:8443"}, false, false, false},
		{"the portal at its port", []string{"https://portal.example:443"}, false, false, false}, // browsers leave it out
		{"own at another port", []string{"https://bedside.test:81"}, false, false, false},
		{"own at its port", []string{"https://bedside.test:443"}, false, false, false},
		{"the portal with a dot", []string{"https://portal.example."}, false, false, false},
		{"own with a dot", []string{"https://bedside.test."}, false, false, false},
		{"a suffix of the portal", []string{"https://evil-portal.example"}, false, false, false},
		{"below the portal", []string{"https://x.portal.example"}, false, false, false},
		{"above the portal", []string{"https://example"}, false, false, false},
		{"a prefix of the portal", []string{"https://portal.example.evil.example"}, false, false, false},
		{"below us", []string{"https://x.bedside.test"}, false, false, false},
		{"a prefix of ours", []string{"https://bedside.test.evil.example"}, false, false, false},
		{"the portal as a user", []string{"https://portal.example@evil.example"}, false, false, false},
		{"a user of ours", []string{"https://x@bedside.test"}, false, false, false},
		{"the portal with a path", []string{"https://portal.example/"}, false, false, false},
		{"ours with a path", []string{"https://bedside.test/j/"}, false, false, false},
		{"ours with a fragment", []string{"https://evil.example#https://bedside.test"}, false, false, false},
		{"ours with a backslash", []string{`https://evil.example\@bedside.test`}, false, false, false},
		{"another scheme", []string{"file://bedside.test"}, false, false, false},
		{"an extension", []string{"chrome-extension://bedside.test"}, false, false, false},
		{"no scheme", []string{"bedside.test"}, false, false, false},
		{"only slashes", []string{"//bedside.test"}, false, false, false},
		{"letters that look alike", []string{"https://pоrtal.example"}, false, false, false}, // a Cyrillic о
		{"the same in punycode", []string{"https://xn--prtal-jye.example"}, false, false, false},
		{"a letter that folds to k", []string{"https://bedside.test\u212a"}, false, false, false},
		{"bytes that are no text", []string{"https://portal.example\xff"}, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			change := func(c *config.Signaling, _ *signaling.Deps) { c.Origins = []string{"https://portal.example"} }
			inWorld(t, change, func(w *world) {
				for _, secure := range []bool{false, true} {
					want, status := 403, w.upgrade(secure, tt.origins)
					if secure && tt.secure || !secure && tt.plain {
						want = 101
					}
					if status != want {
						t.Errorf("a session, TLS %v: %d, want %d", secure, status, want)
					}
				}
				for _, method := range []string{"OPTIONS", "POST"} {
					a := w.ask(method, "/v1/join", http.Header{"Origin": tt.origins}, `{"invitation":"x"}`)
					got := a.header.Values("Access-Control-Allow-Origin")
					if tt.portal && (len(got) != 1 || got[0] != tt.origins[0]) || !tt.portal && len(got) != 0 {
						t.Errorf("%s: allowed to %q", method, got)
					}
					if a.header.Get("Access-Control-Allow-Credentials") != "" || a.header.Get("Set-Cookie") != "" || a.header.Get("Vary") != "Origin" {
						t.Errorf("%s: %v", method, a.header)
					}
				}
			})
		})
	}
}

// upgrade asks for a WebSocket with these Origin headers, byte for byte, and returns the status.
func (w *world) upgrade(secure bool, origins []string) int {
	w.Helper()
	conn, err := w.listener.dial(context.Background(), "", "")
	if err != nil {
		w.Fatal(err)
	}
	if secure {
		near, far := net.Pipe()
		// The server's half: TLS ends here, and net/http is told of it by the type of the connection.
		w.listener.conns <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{w.certificate()}})
		_ = conn.Close()
		conn = tls.Client(near, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a pipe
	}
	defer func() { _ = conn.Close() }()
	var b strings.Builder
	b.WriteString("GET /v1/connect HTTP/1.1\r\nHost: bedside.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: bedside.v1\r\n")
	for _, origin := range origins {
		b.WriteString("Origin: " + origin + "\r\n")
	}
	if _, err := conn.Write([]byte(b.String() + "\r\n")); err != nil {
		w.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// certificate returns one that nobody vouches for.
func (w *world) certificate() tls.Certificate {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	if err != nil {
		w.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestNoSecretsInURLs shows a token, an invitation and an API key in the URL of every route.
func TestNoSecretsInURLs(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		token := v.token(1)
		var answers []string
		for _, r := range w.describe().routes() {
			path, err := r.fill(map[string]string{"id": v.ID, "pid": v.Participants[1].ID, "external_id": "x", "session": "x", "n": "0", "k": "1"})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"token", "access_token", "api_key", "key", "invitation", "authorization", "jwt"} {
				for _, secret := range []string{token, apiKey, v.invitations[1]} {
					w.advance(time.Second) // for the audit log to take the refusal
					joiner := "?"
					if strings.Contains(path, "?") {
						joiner = "&"
					}
					a := w.ask(r.method, path+joiner+name+"="+secret, nil, guards()[r.ID].body)
					if a.status < 400 || a.status >= 500 {
						t.Errorf("%s with %s in the URL: %d %s", r.ID, name, a.status, a.body)
					}
					if !r.keyed() && a.code() != "token_in_url" {
						t.Errorf("%s with %s in the URL: %s, want token_in_url", r.ID, name, a.code())
					}
					answers = append(answers, string(a.body))
				}
			}
		}
		for _, name := range []audit.Name{audit.AccessDenied, audit.InvitationRefused} {
			if !slices.Contains(w.reasons(name), "token_in_url") {
				t.Errorf("no %s with token_in_url is in the audit log", name)
			}
		}
		for _, secret := range []string{token, apiKey, v.invitations[1]} {
			if strings.Contains(w.log.String()+w.metricsText()+w.auditText(), secret) || strings.Contains(strings.Join(answers, ""), secret) {
				t.Errorf("%.10s… is in a log, a metric or an answer", secret)
			}
		}
	})
}
