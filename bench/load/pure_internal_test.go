package load

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

// plan parses and expands a scenario.
func plan(t *testing.T, text string) (scenario.Scenario, scenario.Plan) {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s, scenario.Expand(s)
}

const ward = `
name: ward
purpose: test
ramp: 1s
hold: 10s
rooms: {count: 2, arrival: every 500ms}
people:
  - {ref: doctor, role: clinician, mic: speech}
  - {ref: nurse, role: clinician, join: 1s}
  - {ref: patient, role: patient, join: 1s, lobby: 2s}
timeline:
  - {at: 5s, who: doctor, do: hold, whom: patient}
  - {at: 6s, who: doctor, do: mute, track: mic}
  - {at: 7s, who: doctor, do: hand-over, whom: nurse}
`

// An admission is the affair of who is let in, everything else of who does it; whom is a person of the
// same room.
func TestTracks(t *testing.T) {
	_, p := plan(t, ward)
	var got []string
	for i, one := range tracks(p) {
		for _, s := range one {
			got = append(got, fmt.Sprintf("%d %v %s %d", i, s.At, s.Do, s.other))
		}
	}
	want := []string{
		"0 0s join -1", "0 5s hold 2", "0 6s mute -1", "0 7s hand-over 1",
		"1 1s join -1", "1 11s end -1",
		"2 1s join -1", "2 3s admit 0",
		"3 500ms join -1", "3 5.5s hold 5", "3 6.5s mute -1", "3 7.5s hand-over 4",
		"4 1.5s join -1", "4 11s end -1",
		"5 1.5s join -1", "5 3.5s admit 3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestInstants(t *testing.T) {
	ms := time.Millisecond
	got := instants(scenario.Plan{From: 1500 * ms, To: 3000 * ms, End: 3200 * ms})
	if want := []time.Duration{0, 1000 * ms, 1500 * ms, 2000 * ms, 2990 * ms, 3200 * ms}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Every room asks for as many seats as it has people, and a group consultation where it has two patients.
func TestConsultation(t *testing.T) {
	s, p := plan(t, "name: x\npurpose: x\nhold: 1s\nrooms: {count: 2}\npeople:\n  - {ref: doctor, role: clinician}\n  - {ref: patient, role: patient, count: 2, lobby: forever}\n")
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	o := &office{name: "bench-1", now: func() time.Time { return now }}
	got := o.consultation(s, p, 1, []int{3, 4, 5})
	if got.ExternalID != "bench-1-1" || got.MaxParticipants != 3 || !got.Group || got.Start != now || got.End != now.Add(p.End+spareTime) {
		t.Errorf("got %+v", got)
	}
	var people []string
	for _, one := range got.Participants {
		people = append(people, one.Ref+" "+string(one.Role))
	}
	if want := []string{"doctor clinician", "patient-1 patient", "patient-2 patient"}; !slices.Equal(people, want) {
		t.Errorf("people %v, want %v", people, want)
	}
}

func TestAttempt(t *testing.T) {
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	whole := attempt{begun: at(1000), over: true, admitted: at(1500)}
	for s, ms := range map[bench.Step]int{
		bench.StepToken: 1010, bench.StepSession: 1030, bench.StepJoined: 1035, bench.StepAnswered: 1075,
		bench.StepConnected: 1100, bench.StepPacket: 1520, bench.StepFrame: 1560,
	} {
		whole.steps[s] = at(ms)
	}
	never := attempt{begun: at(0), reconnect: true, err: fmt.Errorf("x: %w", context.DeadlineExceeded)}
	never.steps[bench.StepSession] = at(20)
	for _, tt := range []struct {
		name string
		a    attempt
		want string
	}{
		{"from the lobby", whole, "1s false took 100ms \"\": http 10ms, websocket 20ms, joined 5ms, answer 40ms, connected 25ms, first packet 20ms, first frame 40ms"},
		{"given up", never, "0s true took 0s \"timeout\": websocket 20ms"},
	} {
		j := tt.a.result(start)
		var phases []string
		for _, p := range j.Phases {
			phases = append(phases, p.Name+" "+p.Took.String())
		}
		if got := fmt.Sprintf("%v %v took %v %q: %s", j.At, j.Reconnect, j.Took, j.Error, strings.Join(phases, ", ")); got != tt.want {
			t.Errorf("%s: got\n%s, want\n%s", tt.name, got, tt.want)
		}
	}
}

func TestCode(t *testing.T) {
	for want, err := range map[string]error{
		"rate_limited":  fmt.Errorf("join: %w", &bench.RemoteError{Code: "rate_limited"}),
		"refused":       &bench.RemoteError{Status: 502},
		"timeout":       fmt.Errorf("join: %w", context.DeadlineExceeded),
		"session_ended": bench.ErrEnded,
		"nobody_there":  errNobodyThere,
		"network":       errors.New("connection refused"),
	} {
		if got := code(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// A run is invalid above 80 % of the cores that the generator has, or when sending is more than 2 ms late
// at the 99th percentile; not at these.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name      string
		cpu, wall time.Duration
		cores     float64
		late      time.Duration // of 2 in 100
		invalid   []string
	}{
		{"idle", 0, 10 * time.Second, 1, 0, nil},
		{"at the limit", 8 * time.Second, 10 * time.Second, 1, 1900 * time.Microsecond, nil},
		{"one core of two", 8 * time.Second, 10 * time.Second, 2, 0, nil},
		{"busy", 17 * time.Second, 10 * time.Second, 2, 0, []string{"the generator used 85 % of its 2 cores, at most 80 % is sound"}},
		{"late", 0, 10 * time.Second, 1, 3 * time.Millisecond, []string{"the generator's sending was 3ms late (p99), at most 2ms is sound"}},
		{"nothing known", time.Second, 0, 1, 0, nil},
	} {
		var late hist.Histogram
		late.AddN(10*time.Microsecond, 98)
		late.AddN(tt.late, 2)
		g := result.Generator{Cores: tt.cores, CPUShare: share(tt.cpu, tt.wall, tt.cores)}
		judge(&g, &late)
		if !slices.Equal(g.Invalid, tt.invalid) {
			t.Errorf("%s: %v, want %v", tt.name, g.Invalid, tt.invalid)
		}
	}
}

// Media before anybody has asked for somebody who waits is a broken promise; afterwards it is not, however
// late they read that they are in.
func TestLobby(t *testing.T) {
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name          string
		before, after int // packets before and after the clinician has asked
		broken        []string
	}{
		{"quiet", 0, 3, nil},
		{"a leak", 2, 3, []string{"room 1: patient got 2 packets of media before anybody let them in"}},
	} {
		p := &person{room: 1, ref: "patient", ledger: ledger{attempts: []attempt{{begun: start}}}}
		packets := func(n int) {
			for range n {
				p.onPacket(start, bench.Arrival{})
			}
		}
		packets(1) // of a session before
		p.onMessage(start, &wire.Joined{State: wire.StateWaiting})
		packets(tt.before)
		p.call(true)
		packets(tt.after)
		p.onMessage(start.Add(5*time.Second), &wire.StateChanged{State: wire.StateAdmitted})
		packets(3)
		p.leaveLobby()
		if !slices.Equal(p.ledger.broken, tt.broken) || p.ledger.attempts[0].admitted != start.Add(5*time.Second) {
			t.Errorf("%s: %v, admitted at %v", tt.name, p.ledger.broken, p.ledger.attempts[0].admitted)
		}
	}
}

// Of a simulcast camera goes out what the uplink carries beside the microphone, and always one layer.
func TestFit(t *testing.T) {
	s, _ := plan(t, "name: x\npurpose: x\nhold: 1s\npeople:\n  - {ref: doctor, role: clinician, camera: simulcast, mic: speech}\n")
	var rates []int
	for _, l := range s.People[0].Camera.Layers {
		rates = append(rates, l.Bitrate)
	}
	if want := []int{100_000, 260_000, 1_500_000}; !slices.Equal(rates, want) {
		t.Fatalf("layers of %v, want %v", rates, want)
	}
	for text, want := range map[string]int{
		"": 3, "rate=100kbit": 1, "rate=330kbit": 1, "rate=500kbit": 1, "rate=520kbit": 2, "rate=2mbit": 2, "rate=2.5mbit": 3,
		"rate=10mbit:1s/330kbit:1s/0bit:1s": 1, "delay=40ms": 3,
	} {
		up, err := link.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.People[0].LayersThrough(up); got != want {
			t.Errorf("%q: %d layers, want %d", text, got, want)
		}
	}
}

const page = `# HELP go_goroutines Number of goroutines.
# TYPE go_goroutines gauge
go_goroutines 123
process_cpu_seconds_total 1.25
process_resident_memory_bytes 4.5056e+07 1732270000000
bedside_rtp_decisions_total{verdict="forwarded"} 1000
bedside_rtp_decisions_total{verdict="not_current"} 17
bedside_invariant_violations_total{invariant="lobby"} 2
bedside_invariant_violations_total{invariant="hidden_subscriber"} 0
bedside_build_info{go="go1.26",version="v0.4.0"} 1
nonsense{
nonsense
process_open_fds NaN
`

func TestParseMetrics(t *testing.T) {
	got, err := parseMetrics(strings.NewReader(page))
	want := serverState{
		cpu: 1250 * time.Millisecond, rss: 45056000, goroutines: 123, forwarded: 1000, version: "v0.4.0",
		violations: map[string]uint64{"lobby": 2, "hidden_subscriber": 0},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := parseMetrics(strings.NewReader("<html>")); err == nil {
		t.Error("another page was taken for metrics")
	}
	if got := serverViolations(map[string]uint64{"lobby": 1}, want.violations); !slices.Equal(got, []string{"the server counted a violation of lobby"}) {
		t.Errorf("violations %v", got)
	}
}

func FuzzParseMetrics(f *testing.F) {
	f.Add(page)
	f.Add("process_cpu_seconds_total 1e300\n")
	f.Add("bedside_build_info{version=\"}\" 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseMetrics(strings.NewReader(text))
		if err == nil && s.cpu < 0 {
			t.Errorf("negative: %+v", s)
		}
	})
}

func TestParseStat(t *testing.T) {
	const stat = "4711 (a ) b) S 1 4711 4711 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 12 0 999 1000000 2500 18446744073709551615 1 1 0"
	got, err := parseStat(stat, 4096)
	if err != nil || got.cpu != 2*time.Second || got.rss != 2500*4096 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "1 (x) S 1", strings.Replace(stat, "150", "x", 1)} {
		if _, err := parseStat(bad, 4096); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
