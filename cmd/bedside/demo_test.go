package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"flag"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/cmd/internal/command"
)

var update = flag.Bool("update", false, "write the golden files")

func TestWelcome(t *testing.T) {
	tests := []struct {
		name      string
		at        string
		addresses string
	}{
		{"network", "[::]:8443", "192.0.2.7 127.0.0.1"},
		{"no-network", "[::]:8443", "127.0.0.1"},
		{"loopback", "127.0.0.1:5000", "127.0.0.1"},
		{"one-address", "192.0.2.7:443", "192.0.2.7"},
		{"recording", "127.0.0.1:5000", "127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := demoServer{
				at: netip.MustParseAddrPort(tt.at), addresses: addresses(tt.addresses), key: "bedside_KEY",
				metrics: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:9443")),
			}
			if tt.name == "recording" {
				s.tapes.dir = "/tmp/bedside-demo-1"
			}
			var out bytes.Buffer
			here := publicURL(s.at)
			if err := s.print(&out, []link{{"clinician", here + "/j/#one"}, {"interpreter", here + "/j/#two"}}); err != nil {
				t.Fatal(err)
			}
			golden := "testdata/welcome-" + tt.name + ".txt"
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
}

// written is a buffer that tells when it holds a text.
type written struct {
	mu   sync.Mutex
	b    bytes.Buffer
	want string
	seen chan struct{}
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(p)
	if w.want != "" && strings.Contains(w.b.String(), w.want) {
		close(w.seen)
		w.want = ""
	}
	return len(p), nil
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// The demo as people meet it: it prints links that work, plainly on this machine and over TLS, and
// ends when it is told to.
func TestDemo(t *testing.T) {
	out := &written{want: "Ctrl+C", seen: make(chan struct{})}
	var errs written
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	w := world{out: out, errs: &errs, clock: time.Now, rand: rand.Reader}
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, w, []string{"demo", "--listen", "127.0.0.1:0", "--metrics-listen", "localhost:0"})
	}()
	select {
	case <-out.seen:
	case c := <-code:
		t.Fatalf("ended with %d: %s", c, errs.String())
	case <-time.After(time.Minute):
		t.Fatalf("no links: %s", errs.String())
	}
	links := regexp.MustCompile(`(?m)^  (\w+) +http://(127\.0\.0\.1:\d+)/j/#[\w-]{22}$`).FindAllStringSubmatch(out.String(), -1)
	if len(links) != 3 {
		t.Fatalf("printed\n%s\nwant three links", out.String())
	}
	host := links[0][2]
	metrics := regexp.MustCompile(`http://127\.0\.0\.1:\d+/metrics`).FindString(out.String())
	for url, want := range map[string]string{
		"http://" + host + "/j/":           "<!doctype html>",
		"https://" + host + "/j/":          "<!doctype html>",
		"https://" + host + "/healthz":     "",
		"http://" + host + "/readyz":       "",
		"http://" + host + "/openapi.yaml": "openapi: 3.1",
		metrics:                            "bedside_rooms 0",
	} {
		if body := fetch(t, url); !strings.Contains(strings.ToLower(body), want) {
			t.Errorf("%s has no %q in\n%s", url, want, body)
		}
	}
	interrupt()
	select {
	case c := <-code:
		if c != command.ExitFine {
			t.Errorf("ended with %d: %s", c, errs.String())
		}
	case <-time.After(closeTimeout + time.Minute):
		t.Fatal("still running")
	}
	if errs.String() != "" {
		t.Errorf("complained %q, want nothing", errs.String())
	}
	if c, err := net.DialTimeout("tcp", host, time.Second); err == nil {
		_ = c.Close()
		t.Error("the port is still open")
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	// What the certificate is worth was seen when the demo itself used it.
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", url, resp.Status, err)
	}
	return string(body)
}
