package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/bedside-video/bedside/config"
)

// shown is what a demo prints of itself.
type shown struct{ host, metrics, key string }

// runDemo starts a demo, which ends with the test.
func runDemo(t *testing.T) shown {
	t.Helper()
	out := &written{want: "Ctrl+C", seen: make(chan struct{})}
	var errs written
	ctx, interrupt := context.WithCancel(context.Background())
	w := world{out: out, errs: &errs, clock: time.Now, rand: rand.Reader}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, w, []string{"demo", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"})
	}()
	t.Cleanup(func() { interrupt(); <-ended })
	select {
	case <-out.seen:
	case <-time.After(time.Minute):
		t.Fatalf("no links: %s", errs.String())
	}
	find := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(out.String())
		if found == nil {
			t.Fatalf("no %s in\n%s", pattern, out.String())
		}
		return found[1]
	}
	return shown{find(`http://(127\.0\.0\.1:\d+)/j/`), find(`http://(127\.0\.0\.1:\d+)/metrics`), find(`API key +(\S+)`)}
}

// TestNothingElseIsExposed: metrics are at their own address only, which is loopback unless somebody
// chooses another, and profiles, which a library of ours registers, are nowhere.
func TestNothingElseIsExposed(t *testing.T) {
	if a, err := netip.ParseAddrPort(config.Default().MetricsListen); err != nil || !a.Addr().IsLoopback() {
		t.Errorf("metrics are at %s by default", config.Default().MetricsListen)
	}
	demo := runDemo(t)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars", "/varz", "/connz", "/jsz", "/config", "/debug/requests"} {
		if status, body := plainGet(t, "http://"+demo.host+path, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d %.100s", path, status, body)
		}
		if status, body := plainGet(t, "http://"+demo.metrics+path, nil); status != http.StatusNotFound && !strings.Contains(body, "bedside_rooms 0") {
			t.Errorf("%s at the metrics' address: %d %.100s", path, status, body)
		}
	}
	for bytes, want := range map[int]int{8 << 10: http.StatusOK, 32 << 10: http.StatusRequestHeaderFieldsTooLarge, 1 << 20: http.StatusRequestHeaderFieldsTooLarge} {
		if status, _ := plainGet(t, "http://"+demo.host+"/healthz", http.Header{"X-Padding": {strings.Repeat("x", bytes)}}); status != want && (status != 0 || bytes < 1<<20) {
			t.Errorf("a header of %d bytes: %d, want %d", bytes, status, want)
		}
	}
}

// plainGet returns status 0 when the server hung up before it had read all.
func plainGet(t *testing.T, url string, header http.Header) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// slow are connections that take as long as they may, from an address of their own.
type slow struct {
	conns []net.Conn
	say   [][]byte // what each says, a byte a second; nothing when it is empty
	stop  chan struct{}
	wg    sync.WaitGroup
}

func openSlow(t *testing.T, host string, n int) *slow {
	t.Helper()
	s := &slow{stop: make(chan struct{})}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: time.Minute}
	const post = "POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
	kinds := []struct{ first, then string }{
		{"", ""}, // says nothing
		{"GET / HTTP/1.1\r\nHost: x\r\n", "X-A: " + strings.Repeat("b", 1000)},                         // slowhttptest -H
		{post, strings.Repeat("{", 1000)},                                                              // slowhttptest -B
		{"GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", ""},                                          // does not read the answer: -X
		{"GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-" + strings.Repeat(",5-", 500) + "\r\n\r\n", ""}, // -R
		{"\x16\x03\x01\x02\x00\x01", strings.Repeat("\x00", 1000)},                                     // TLS, never finished
		{"GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: bedside.v1\r\n\r\n", ""}, // never joins
	}
	for i := range n {
		c, err := dialer.DialContext(t.Context(), "tcp", host)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		k := kinds[i%len(kinds)]
		_, _ = c.Write([]byte(k.first))
		s.conns, s.say = append(s.conns, c), append(s.say, []byte(k.then))
	}
	s.wg.Go(s.runTrickle)
	t.Cleanup(func() {
		close(s.stop)
		s.wg.Wait()
		for _, c := range s.conns {
			_ = c.Close()
		}
	})
	return s
}

func (s *slow) runTrickle() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for at := 0; ; at++ {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		for i, c := range s.conns {
			if at < len(s.say[i]) {
				_, _ = c.Write(s.say[i][at : at+1])
			}
		}
	}
}

// left waits until the server has closed every connection, and returns how many it has not by then.
func (s *slow) left(by time.Time) int {
	var left atomic.Int64
	var waiting sync.WaitGroup
	for _, c := range s.conns {
		runWait := func() {
			_ = c.SetReadDeadline(by)
			_, err := io.Copy(io.Discard, c)
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				left.Add(1)
			}
		}
		waiting.Go(runWait)
	}
	waiting.Wait()
	return int(left.Load())
}

// TestSlowConnectionsOfEveryKind has 20 people join beside connections of every slow kind: 210 here, 2,100 with
// SOAK=1, where every one of them is gone within 75 s: those that got an answer are kept for 60 s.
func TestSlowConnectionsOfEveryKind(t *testing.T) {
	n := 210
	if os.Getenv("SOAK") != "" {
		n = 2100
	}
	demo := runDemo(t)
	invitations := demo.invite(t, 20)
	began := time.Now()
	attack := openSlow(t, demo.host, n)
	var took []time.Duration
	for _, invitation := range invitations {
		start := time.Now()
		demo.join(t, invitation)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("figure: 20 of 20 joined beside %d slow connections, half of them within %v, all within %v", n, took[10].Round(10*time.Microsecond), took[19].Round(10*time.Microsecond))
	if os.Getenv("SOAK") != "" {
		if left := attack.left(began.Add(75 * time.Second)); left != 0 {
			t.Errorf("%d of the slow connections are still open", left)
		}
	}
}

// invite opens a consultation of n people.
func (s shown) invite(t *testing.T, n int) (invitations []string) {
	t.Helper()
	var made struct {
		Participants []struct {
			JoinURL string `json:"join_url"`
		}
	}
	body := `{"max_participants":20,"participants":[{"role":"clinician"}` + strings.Repeat(`,{"role":"carer"}`, n-1) + `]}`
	s.post(t, "/v1/consultations", body, &made)
	for _, p := range made.Participants {
		_, invitation, _ := strings.Cut(p.JoinURL, "#")
		invitations = append(invitations, invitation)
	}
	return invitations
}

// join exchanges an invitation and opens a session with it, which stays open until the test ends.
func (s shown) join(t *testing.T, invitation string) {
	t.Helper()
	var joining struct{ Token string }
	s.post(t, "/v1/join", `{"invitation":"`+invitation+`"}`, &joining)
	dialer := websocket.Dialer{Subprotocols: []string{"bedside.v1"}, HandshakeTimeout: time.Minute}
	ws, _, err := dialer.DialContext(t.Context(), "ws://"+s.host+"/v1/connect", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(time.Minute))
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"join","token":"`+joining.Token+`"}`)); err != nil {
		t.Fatal(err)
	}
	if _, data, err := ws.ReadMessage(); err != nil || !bytes.HasPrefix(data, []byte(`{"type":"joined"`)) {
		t.Fatalf("%.100s %v", data, err)
	}
}

func (s shown) post(t *testing.T, path, body string, into any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", resp.Status, data)
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
