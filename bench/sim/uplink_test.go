package sim_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// words is how long messages take over TCP where a tenth is lost and a round trip takes 300 ms: half of that, and a
// timeout where one is lost, and twice that where it is lost again.
func words(seed uint64) func(int) time.Duration {
	return func(n int) time.Duration {
		took := 200 * time.Millisecond
		timeout := 700 * time.Millisecond
		for draw := (uint64(n)+1)*0x9e3779b97f4a7c15 ^ seed*0xbf58476d1ce4e5b9; draw%10 == 0; draw /= 10 {
			took += timeout
			timeout *= 2
		}
		return took
	}
}

// Q4 the other way: a patient whose browser films and speaks as Chromium does over 60 kbit/s, and what the clinician
// hears of it, minute by minute.
func TestThinUplink(t *testing.T) {
	seeds, minutes := uint64(3), 5
	if raced {
		seeds, minutes = 1, 1
	}
	if os.Getenv("SOAK") == "1" {
		seeds, minutes = 10, 30
	}
	for seed := range seeds {
		mean := 0.0
		for i, h := range thinUplink(t, seed+1, minutes) {
			t.Logf("figure: Q4, up, seed %d, minute %d: %.2f %% missing, waits %v, MOS %.2f", seed+1, i+1, 100*h.missing, h.waited.Round(time.Millisecond), h.mos)
			if h.mos < 2.8 {
				t.Errorf("minute %d: MOS %.2f", i+1, h.mos)
			}
			mean += h.mos / float64(minutes)
		}
		if mean < 3.1 {
			t.Errorf("seed %d: MOS %.2f", seed+1, mean)
		}
	}
}

func thinUplink(t *testing.T, seed uint64, minutes int) (heard []hearsay) {
	t.Helper()
	thin := sim.Path{Delay: 150 * time.Millisecond, Loss: 0.1, Rate: link.Constant(60 * link.Kbit)}
	way := sim.Path{Delay: 150 * time.Millisecond}
	var mu sync.Mutex
	var ear buffer
	voice := &bench.Audio{Bitrate: 24_000, Level: 30, Redundancy: 1}
	camera := ladder()
	camera.Libvpx, camera.Key = true, 6
	people := []sim.Person{
		{Ref: "doctor", Role: wire.RoleClinician, Stack: bench.Lean, Verify: true, Media: bench.Media{Mic: bench.Microphone(), Repeat: true}, Packet: func(now time.Time, a bench.Arrival) {
			mu.Lock()
			defer mu.Unlock()
			ear.packet(now, a)
		}},
		{Ref: "patient", Role: wire.RolePatient, Stack: bench.Lean, Verify: true, Up: way, Down: way, Media: bench.Media{
			Mic: voice, Camera: camera, Repeat: true, Uplink: &bench.Uplink{Estimate: 147_000, Word: words(seed)},
		}},
	}
	steps := []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Do{Name: "narrow", Func: func(w *sim.World) error { w.Host("patient").Set(thin, way); return nil }},
		sim.Admit{By: "doctor", Who: "patient"}, sim.Pass{For: 2 * time.Second},
		sim.Do{Name: "mark", Func: func(*sim.World) error { mu.Lock(); defer mu.Unlock(); ear.take(); return nil }},
	}
	for range minutes {
		steps = append(steps, sim.Pass{For: time.Minute}, sim.Do{Name: "ask", Func: func(*sim.World) error {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, ear.minute(thin.Delay+5*time.Millisecond))
			return nil
		}})
	}
	r := sim.Run(t, sim.Plan{Seed: seed, MaxParticipants: 2, People: people, Steps: steps})
	for _, v := range r.Violations {
		t.Error(v)
	}
	return heard
}
