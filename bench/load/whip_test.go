package load_test

import (
	"crypto/rand"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/load"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/bench/yardstick"
	"github.com/bedside-video/bedside/bench/yardstick/floor"
)

// startFloor runs the floor of bench/yardstick and returns its URL.
func startFloor(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := floor.New(floor.Config{Socket: socket, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	h := yardstick.NewHandler(s)
	web := httptest.NewServer(h)
	t.Cleanup(func() {
		web.Close()
		_ = h.Close()
		_ = s.Close()
	})
	return web.URL
}

// People of two rooms meet on a server that knows WHIP and WHEP alone, one of them only to listen. They
// receive each other, by name, and nobody else; the server's process is watched.
func TestWHIP(t *testing.T) {
	s, err := scenario.Parse("whip.yaml", []byte(`
name: whip
purpose: two rooms
ramp: 500ms
hold: 2s
rooms: {count: 2, arrival: spread}
people:
  - {ref: guest, role: clinician, count: 2, camera: single, mic: continuous}
  - {ref: student, role: observer}
objectives: {join_failures: 0, action_failures: 0, violations: 0}
`))
	if err != nil {
		t.Fatal(err)
	}
	base := startFloor(t)
	for _, name := range []string{"first", "second"} { // people of the first run are still in their rooms
		playWHIP(t, s, base, name)
	}
}

func playWHIP(t *testing.T, s scenario.Scenario, base, name string) {
	t.Helper()
	target, err := load.WHIP(base, name)
	if err != nil {
		t.Fatal(err)
	}
	h := load.HTTPClient(nil)
	r, err := load.Run(t.Context(), load.Config{Scenario: s, Target: target, HTTP: h, PID: os.Getpid(), Stack: bench.Lean, GCM: true, Verify: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range r.Objectives {
		if o.Outcome != string(scenario.Met) {
			t.Error(o.Text)
		}
	}
	// In each room two guests receive two tracks of one another, the student four.
	if len(r.Subscriptions) != 2*(2*2+4) || r.Joins.Attempts != 6 {
		t.Errorf("%d subscriptions, %d joins", len(r.Subscriptions), r.Joins.Attempts)
	}
	for _, sub := range r.Subscriptions {
		if sub.Packets < 20 || sub.Of == sub.By || sub.Lost != 0 {
			t.Errorf("%+v", sub)
		}
	}
	if r.Server.Source != "proc" || r.Server.CPU == 0 || r.Server.RSSEnd == 0 {
		t.Errorf("server: %+v", r.Server)
	}
}

func TestWHIPRefuses(t *testing.T) {
	for _, text := range []string{"", "x.example", "ftp://x.example"} {
		if _, err := load.WHIP(text, "x"); err == nil {
			t.Errorf("%q was taken as a URL", text)
		}
	}
	for name, people := range map[string]string{
		"a has a screen or a link": "people:\n  - {ref: a, role: clinician, screen: single}\n",
		"b has a screen or a link": "people:\n  - {ref: b, role: clinician, up: \"loss=1%\"}\n",
		"c shall mute":             "people:\n  - {ref: c, role: clinician, mic: speech}\ntimeline:\n  - {at: 1s, who: c, do: mute, track: mic}\n",
	} {
		s, err := scenario.Parse("x.yaml", []byte("name: x\npurpose: x\nhold: 5s\n"+people))
		if err != nil {
			t.Fatal(err)
		}
		target, err := load.WHIP("http://x.example/", "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := target.Open(t.Context(), s, scenario.Expand(s)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}
