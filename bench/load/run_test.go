package load_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/load"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/client"
)

const apiKey = "bedside_load_test"

// binary is the server, built once.
var binary string

func TestMain(m *testing.M) {
	path, remove, err := load.FindBinary(context.Background(), "")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = path
	code := m.Run()
	_ = remove()
	os.Exit(code)
}

// startLocal starts a server for one test and sees to it that nothing is left of it.
func startLocal(t *testing.T) *load.Local {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	l, err := load.StartLocal(t.Context(), binary, apiKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(l.PID, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("the server is still there: %v", err)
		}
		if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return l
}

// configure returns what a run of a scenario against a server takes.
func configure(t *testing.T, l *load.Local, text string) load.Config {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	h := load.HTTPClient(nil)
	target, err := load.Bedside(l.URL, apiKey, "bench-test", h)
	if err != nil {
		t.Fatal(err)
	}
	return load.Config{Scenario: s, Target: target, HTTP: h, MetricsURL: l.MetricsURL, Stack: bench.Lean, Verify: 0.5}
}

// cancelled fails unless the consultations of a run were cancelled.
func cancelled(t *testing.T, l *load.Local, rooms int) {
	t.Helper()
	api, err := client.New(l.URL, apiKey, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range rooms {
		c, err := api.Find(t.Context(), fmt.Sprintf("bench-test-%d", i))
		if err != nil || c.State != "cancelled" && c.State != "ended" {
			t.Errorf("room %d: state %q, %v", i, c.State, err)
		}
	}
}

// Every verb of a scenario works against a real server: nothing is refused, nobody stays out, everybody
// receives what the others send, and the figures are there.
func TestRun(t *testing.T) {
	l := startLocal(t)
	cfg := configure(t, l, `
name: ward
purpose: every verb
ramp: 500ms
hold: 6s
rooms: {count: 2, arrival: every 200ms}
people:
  - {ref: doctor, role: clinician, camera: single, mic: continuous, screen: single, layout: [{of: patient, size: 640x360, pinned: true}]}
  - {ref: nurse, role: clinician, mic: continuous}
  - {ref: patient, role: patient, lobby: 500ms, camera: single, mic: continuous, down: "delay=20ms", layout: [{of: doctor, size: 640x360, pinned: true}]}
  - {ref: carer, role: carer, join: 300ms, lobby: forever, mic: continuous}
  - {ref: student, role: observer, count: 2, join: never, lobby: 200ms}
timeline:
  - {at: 1s, who: doctor, do: share}
  - {at: 1s, who: nurse, do: admit, whom: carer}
  - {at: 1500ms, who: doctor, do: unshare}
  - {at: 1500ms, who: patient, do: mute, track: camera}
  - {at: 2s, who: patient, do: unmute, track: camera}
  - {at: 2s, who: doctor, do: hold, whom: carer}
  - {at: 2s, who: patient, do: layout, layout: [{of: doctor, size: 320x180}]}
  - {at: 2500ms, who: doctor, do: unhold, whom: carer}
  - {at: 2500ms, who: patient, do: link, down: "delay=10ms"}
  - {at: 3s, who: doctor, do: remove, whom: carer}
  - {at: 3s, who: patient, do: drop, back: 500ms}
  - {at: 4s, who: doctor, do: hand-over, whom: nurse}
churn:
  - {who: student, rate: 1/s, stay: 1s, kill: 100%}
objectives:
  join_failures: 0
  action_failures: 0
  violations: 0
  p50_delay: 1s
  loss: 50%
  cpu_per_packet: 1s
`)
	var phases []load.Phase
	most := 0
	cfg.Progress = func(p load.Progress) {
		if !slices.Contains(phases, p.Phase) {
			phases = append(phases, p.Phase)
		}
		most = max(most, p.People)
	}
	r, err := load.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range r.Objectives {
		if o.Outcome != string(scenario.Met) {
			t.Errorf("%s: %s", o.Outcome, o.Text)
		}
	}
	if want := []load.Phase{load.Opening, load.Ramping, load.Holding, load.Stopping, load.Closing}; !slices.Equal(phases, want) {
		t.Errorf("phases %v, want %v", phases, want)
	}
	if most < 6 {
		t.Errorf("never more than %d people at once", most)
	}
	// 4 people and a reconnect in each room, and 5 visits of students.
	if want := 2*5 + 5; r.Joins.Attempts != want || r.Joins.Failed != 0 || len(r.Joins.Refused) != 0 {
		t.Errorf("joins %+v, want %d", r.Joins, want)
	}
	var names []string
	for _, p := range r.Joins.Phases {
		names = append(names, p.Name)
	}
	if want := []string{"http", "websocket", "joined", "answer", "connected", "first packet", "first frame"}; !slices.Equal(names, want) {
		t.Errorf("phases of joins %v, want %v", names, want)
	}
	if r.Interrupted || r.Server.Source != "metrics" || r.Server.Forwarded == 0 || r.Server.Goroutines == 0 || r.Generator.Sent == 0 || len(r.Series.At) < 7 {
		t.Errorf("server %+v, generator %+v, %d samples", r.Server, r.Generator, len(r.Series.At))
	}
	heard := func(by, of string) bool {
		return slices.ContainsFunc(r.Subscriptions, func(s result.Subscription) bool { return s.By == by && s.Of == of && s.Packets > 0 })
	}
	for _, pair := range [][2]string{{"patient", "doctor"}, {"doctor", "patient"}, {"nurse", "patient"}, {"carer", "nurse"}} {
		if !heard(pair[0], pair[1]) {
			t.Errorf("%s received nothing of %s", pair[0], pair[1])
		}
	}
	cancelled(t, l, 2)
}

const pair = `
name: pair
purpose: two people
hold: %s
people:
  - {ref: doctor, role: clinician, mic: continuous}
  - {ref: patient, role: patient, lobby: 200ms, mic: continuous}
objectives: {join_failures: 0}
`

// An interrupted run reports what it has, says that it proves nothing, and leaves no consultation open.
func TestInterrupted(t *testing.T) {
	l := startLocal(t)
	cfg := configure(t, l, fmt.Sprintf(pair, "1h"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Progress = func(p load.Progress) {
		if p.Phase == load.Holding && p.Packets > 0 {
			cancel()
		}
	}
	r, err := load.Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Verdict != result.Invalid || r.Traffic.Packets == 0 || r.Joins.Attempts != 2 || r.Joins.Failed != 0 {
		t.Errorf("interrupted %v, verdict %s, joins %+v, traffic %+v", r.Interrupted, r.Verdict, r.Joins, r.Traffic)
	}
	if rate := float64(r.Traffic.Packets) / 3600; r.Traffic.Rate < 10*rate {
		t.Errorf("%v packets/s: counted over a hold that was cut off", r.Traffic.Rate)
	}
	cancelled(t, l, 1)
}

// A server behind TLS is reached if its certificate is trusted, and else the certificate is named.
func TestTLS(t *testing.T) {
	l := startLocal(t)
	to, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(to))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // of the client that hangs up
	proxy.StartTLS()
	defer proxy.Close()
	for _, trust := range []bool{true, false} {
		cfg := configure(t, l, fmt.Sprintf(pair, "1s"))
		if trust {
			cfg.TLS = proxy.Client().Transport.(*http.Transport).TLSClientConfig
		}
		cfg.HTTP = load.HTTPClient(cfg.TLS)
		if cfg.Target, err = load.Bedside(proxy.URL, apiKey, "bench-test", cfg.HTTP); err != nil {
			t.Fatal(err)
		}
		r, err := load.Run(t.Context(), cfg)
		switch {
		case trust && (err != nil || r.Joins.Attempts != 2 || r.Joins.Failed != 0 || r.Traffic.Packets == 0):
			t.Errorf("trusted: %v, %+v, %+v", err, r.Joins, r.Traffic)
		case !trust && (err == nil || !strings.Contains(err.Error(), "certificate")):
			t.Errorf("not trusted: %v", err)
		}
	}
	cancelled(t, l, 1)
}

// A generator that is too late for its own plan says that the run proves nothing.
func TestStarvedGenerator(t *testing.T) {
	l := startLocal(t)
	cfg := configure(t, l, fmt.Sprintf(pair, "2s"))
	cfg.Clock = bench.SystemClock()
	cfg.Clock.After = func(d time.Duration) <-chan time.Time { return time.After(d + 5*time.Millisecond) }
	r, err := load.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != result.Invalid || len(r.Reasons) == 0 || !strings.Contains(r.Reasons[0], "late (p99), at most 2ms is sound") {
		t.Errorf("verdict %s: %v", r.Verdict, r.Reasons)
	}
	if p99 := time.Duration(r.Generator.LateP99); p99 < 5*time.Millisecond {
		t.Errorf("p99 %v of at least 5ms", p99)
	}
}

// What cannot start says why, leaves nothing behind, and does not show the key.
func TestCannotStart(t *testing.T) {
	l := startLocal(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for _, tt := range []struct {
		name, url, key, metrics, want string
	}{
		{"wrong key", l.URL, "bedside_wrong", l.MetricsURL, "unauthorized"},
		{"no server", "http://" + closed.Addr().String(), apiKey, l.MetricsURL, "connection refused"},
		{"no metrics there", l.URL, apiKey, l.URL + "/healthz", "metrics"},
	} {
		cfg := configure(t, l, fmt.Sprintf(pair, "1s"))
		cfg.MetricsURL = tt.metrics
		if cfg.Target, err = load.Bedside(tt.url, tt.key, "bench-test", cfg.HTTP); err != nil {
			t.Fatal(err)
		}
		r, err := load.Run(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), tt.key) || r.Schema != "" {
			t.Errorf("%s: %q, %v", tt.name, r.Schema, err)
		}
	}
	cancelled(t, l, 1) // of the one without metrics
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := load.Run(gone, configure(t, l, fmt.Sprintf(pair, "1s"))); !errors.Is(err, load.ErrNothingMeasured) || r.Schema != "" {
		t.Errorf("interrupted at once: %q, %v", r.Schema, err)
	}
	if _, err := load.Bedside("http://video.hospital.example", apiKey, "x", load.HTTPClient(nil)); !errors.Is(err, client.ErrBaseURL) {
		t.Errorf("an API key without TLS: %v", err)
	}
}

// A server that does not start is an error with its last words.
func TestLocalThatFails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	script := filepath.Join(t.TempDir(), "bedside")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no licence to serve >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath(script); err != nil {
		t.Skip("no shell scripts here")
	}
	_, err := load.StartLocal(t.Context(), script, apiKey, nil)
	if err == nil || !strings.Contains(err.Error(), "no licence to serve") {
		t.Errorf("got %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
