package result_test

import (
	"math"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

// visit is a small scenario with most objectives.
const visit = `
name: visit
purpose: a doctor and a patient, for tests
ramp: 2s
hold: 60s
people:
  - {ref: doctor, role: clinician, camera: simulcast, mic: speech}
  - ref: patient
    role: patient
    camera: simulcast
    mic: speech
    down: rate=330kbit,delay=40ms,loss=2%
    layout: [{of: doctor, size: 640x360, pinned: true}]
objectives:
  join_p95: 1s
  join_failures: 0
  p99_delay: 80ms
  loss: 0.5%
  fps: 20
  height: 180
  freezes_per_minute: 1
  audio_mos: 4.0
  audio_gap: 200ms
  cpu_per_packet: 40us
  violations: 0
`

func parse(t testing.TB, text string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("visit.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// delays is a distribution of n delays, evenly spread over a range.
func delays(n int, from, to time.Duration) *hist.Histogram {
	h := new(hist.Histogram)
	for i := range n {
		h.Add(from + (to-from)*time.Duration(i)/time.Duration(n-1))
	}
	return h
}

func join(at, took time.Duration) result.Join {
	return result.Join{At: result.Duration(at), Took: result.Duration(took), Phases: []result.Phase{
		{Name: "token", Took: result.Duration(took / 4)}, {Name: "session", Took: result.Duration(took / 4)},
		{Name: "connected", Took: result.Duration(took / 2)}, {Name: "first frame", Took: result.Duration(30 * time.Millisecond)},
	}}
}

// camera and mic are a minute of one, received well.
func camera(of string) result.Received {
	return result.Received{
		Of: of, Source: wire.SourceCamera, Packets: 2970, Bytes: 1_500_000, Lost: 0, Repaired: 60, Delay: delays(2970, 40*time.Millisecond, 60*time.Millisecond),
		Watched: time.Minute, LongestGap: 180 * time.Millisecond, Frames: 1440, Switches: 3, Layers: []uint64{240, 1200, 0},
	}
}

func mic(of string) result.Received {
	return result.Received{
		Of: of, Source: wire.SourceMic, Packets: 2940, Bytes: 240_000, Lost: 60, Delay: delays(2940, 40*time.Millisecond, 50*time.Millisecond),
		Watched: time.Minute, LongestGap: 60 * time.Millisecond,
	}
}

// good is a run of visit that meets everything but the loss.
func good(t testing.TB) result.Inputs {
	t.Helper()
	s := parse(t, visit)
	in := result.Inputs{
		Scenario: s, Plan: scenario.Expand(s),
		Run: result.Run{
			Started: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Version: "v0.4.0", Command: []string{"bedside-bench", "run", "visit.yaml"},
			Target:  result.Target{Kind: "bedside", URL: "https://127.0.0.1:8443", Version: "v0.4.0"},
			Machine: result.Machine{OS: "linux", Kernel: "6.8.0", CPU: "test", CPUs: 2, Go: "go1.26.6"},
		},
		People: []result.Person{
			{Joins: []result.Join{join(0, 40*time.Millisecond)}, Received: []result.Received{camera("patient"), mic("patient")}, Sent: 9_000_000, Got: 1_700_000},
			{Joins: []result.Join{join(time.Second, 160*time.Millisecond)}, Received: []result.Received{camera("doctor"), mic("doctor")}, Sent: 9_000_000, Got: 1_700_000},
		},
		Server:    result.Server{Source: "proc", CPU: result.Duration(300 * time.Millisecond), Forwarded: 12_000, RSSBefore: 30 << 20, RSSEnd: 32 << 20, RSSPeak: 33 << 20, Goroutines: 60, Connected: 2},
		Generator: result.Generator{CPUShare: 0.11, Cores: 1, LateP50: result.Duration(40 * time.Microsecond), LateP99: result.Duration(300 * time.Microsecond), LateMax: result.Duration(2 * time.Millisecond), Sent: 15_000, Got: 11_820},
	}
	for at := time.Second; at <= in.Plan.End; at += time.Second {
		n := float64(at / time.Second)
		in.Samples = append(in.Samples, result.Sample{
			At: at, People: min(2, n), SentBits: 3e6, GotBits: 450e3, SentPackets: 250, GotPackets: 197, DelayP99: 0.05 + n/10000,
			ServerCPU: 0.005 + n/100_000, ServerRSS: 31<<20 + n*16384, Goroutines: 60, OwnCPU: 0.1, LateP99: math.NaN(),
		})
		in.People[1].Samples = append(in.People[1].Samples, result.PersonPoint{Sent: 1.5e6, Got: 225e3 + 1000*n, Up: math.NaN(), Down: 330e3, WatchLayer: min(1, math.Floor(n/8))})
	}
	return in
}
