package load_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/load"
	"github.com/bedside-video/bedside/bench/scenario"
)

// churnScenario is the shipped churn, shorter: people come at a rate, one in ten dies without a word,
// two in ten lose both connections and return. %[1]s is how long, %[2]d the rate, %[3]d how many
// there are of them in each of two rooms.
const churnScenario = `name: churn
purpose: what does the server not give back?
hold: %[1]s
stop: 1s
rooms: {count: 2}
people:
  - {ref: doctor, role: clinician, camera: {fps: 5, layers: [{size: 320x180, rate: 60kbit}]}, mic: {talks: 20%%}}
  - {ref: visitor, role: carer, count: %[3]d, join: never, lobby: 300ms, camera: {fps: 5, layers: [{size: 320x180, rate: 60kbit}]}, mic: {talks: 20%%}}
churn:
  - {who: visitor, rate: %[2]d/s, stay: 1s, kill: 10%%, drop: 20%%}
`

// warmUp cycles come before those that are measured: buffers and caches find their size.
const warmUp = 1

// TestChurnLeaksNothing lets people come and go, cycle after cycle, on a server of its own process. When
// a cycle's rooms are gone, goroutines and descriptors are exactly what they were after those that warmed up, and
// the heap has not grown by more than 1 % a cycle.
func TestChurnLeaksNothing(t *testing.T) {
	hold, rate, cycles := 3*time.Second, 12, 3
	if os.Getenv("SOAK") != "" {
		hold, rate, cycles = 5*time.Minute, 50, 5
	}
	plan, err := scenario.Parse("churn.yaml", fmt.Appendf(nil, churnScenario, hold, rate, rate*2))
	if err != nil {
		t.Fatal(err)
	}
	s := startProfiled(t)
	var first residue
	for cycle := range warmUp + cycles {
		if cycle == warmUp {
			first.heap = s.lightest()
		}
		s.churn(plan, cycle)
		got := s.settle(first)
		t.Logf("figure: after cycle %d: %v", cycle, got)
		if cycle < warmUp {
			first = got
			continue
		}
		if got.goroutines != first.goroutines || got.descriptors != first.descriptors {
			t.Errorf("%v after the warm-up, %v after cycle %d\n%s", first, got, cycle, s.get("/debug/pprof/goroutine?debug=1"))
		}
	}
	last := s.lightest()
	grown := last/first.heap - 1
	t.Logf("figure: heap %.2f MB after the warm-up, %.2f MB after %d more (%+.2f %% a cycle)", first.heap/1e6, last/1e6, cycles, 100*grown/float64(cycles))
	if last > first.heap*(1+float64(cycles)*0.01)+storeBuffers {
		t.Errorf("the heap has grown by %.1f %% in %d cycles", 100*grown, cycles)
	}
}

// storeBuffers come and go: message blocks of the embedded store, a megabyte each. Over 22 cycles the
// heap was 8.7, 8.7, 10.0, 9.2, 10.2, 9.6, 10.7, 10.7, … 9.7 and 9.5 MB (2026-11-22). A leak in what a join
// takes shows all the same: in the long run it would have to be below 30 bytes a join.
const storeBuffers = 2e6

// profiled is a server whose heap can be collected from outside.
type profiled struct {
	*testing.T
	local *load.Local
	http  *http.Client
}

func startProfiled(t *testing.T) *profiled {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bedside")
	build := exec.Command("go", "build", "-tags", "profile", "-o", path, "../../cmd/bedside")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l, err := load.StartLocal(t.Context(), path, apiKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Stop() })
	return &profiled{T: t, local: l, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// churn plays one cycle.
func (s *profiled) churn(plan scenario.Scenario, cycle int) {
	s.Helper()
	shared := load.HTTPClient(nil)
	defer shared.CloseIdleConnections()
	target, err := load.Bedside(s.local.URL, apiKey, fmt.Sprint("churn-", cycle), shared)
	if err != nil {
		s.Fatal(err)
	}
	plan.Seed += uint64(cycle)
	got, err := load.Run(s.Context(), load.Config{
		Scenario: plan, Target: target, HTTP: shared, Stack: bench.Lean,
	})
	if err != nil {
		s.Fatal(err)
	}
	if got.Joins.Attempts-got.Joins.Failed < got.Joins.Attempts/2 {
		s.Fatalf("of %d joins %d failed: that is no churn", got.Joins.Attempts, got.Joins.Failed)
	}
	s.Logf("figure: cycle %d: %d joins, %d failed", cycle, got.Joins.Attempts, got.Joins.Failed)
}

// residue is what a server has when nobody is there.
type residue struct {
	goroutines, descriptors int
	heap                    float64 // bytes
}

func (r residue) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors", r.goroutines, r.descriptors)
}

// settle waits until everybody is gone and, with a residue to come back to, until it is reached or half
// a minute has shown that it is not.
func (s *profiled) settle(want residue) residue {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 30*time.Second)
	defer cancel()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	var before residue
	for same := 0; ; {
		m := s.metrics()
		now := residue{goroutines: int(m["go_goroutines"]), descriptors: int(m["process_open_fds"])}
		if now.goroutines == before.goroutines && now.descriptors == before.descriptors {
			same++
		} else {
			same = 0
		}
		before = now
		reached := want.goroutines == 0 || now.goroutines == want.goroutines && now.descriptors == want.descriptors
		if m["bedside_sessions"] == 0 && m["bedside_rooms"] == 0 && reached && same >= 5 {
			return now
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return now
		}
	}
}

// lightest is the least that the heap comes to within the 12 s that the embedded store takes to let go of
// the blocks it has written last.
func (s *profiled) lightest() float64 {
	s.Helper()
	least := s.heap()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for range 12 {
		select {
		case <-look.C:
		case <-s.Context().Done():
			s.Fatal(s.Context().Err())
		}
		least = min(least, s.heap())
	}
	return least
}

// heap is what is in use after two collections.
func (s *profiled) heap() float64 {
	s.Helper()
	s.get("/debug/pprof/heap?gc=1")
	s.get("/debug/pprof/heap?gc=1")
	return s.metrics()["go_memstats_heap_alloc_bytes"]
}

func (s *profiled) get(path string) string {
	s.Helper()
	resp, err := s.http.Get(strings.TrimSuffix(s.local.MetricsURL, "/metrics") + path)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}
	return string(body)
}

// metrics returns the values without labels.
func (s *profiled) metrics() map[string]float64 {
	s.Helper()
	out := map[string]float64{}
	for line := range strings.Lines(s.get("/metrics")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = v
		}
	}
	return out
}
