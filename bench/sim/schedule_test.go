package sim_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// sparse is media cheap enough for thousands of schedules, and frequent enough to catch a packet that
// slips out within 100 ms.
func sparse() bench.Media {
	camera := bench.Camera()
	camera.FPS, camera.Layers[0].Bitrate = 20, 30_000
	return bench.Media{Camera: camera}
}

// schedule draws what five people do in ten or twenty seconds: they come, go, are admitted, refused,
// put on hold, thrown out, lose their connection and come back, hand over, often at one instant; one
// of them sends media while waiting and on hold, and in one schedule of three the server is replaced.
func schedule(seed uint64) sim.Plan {
	rng := rand.New(rand.NewPCG(seed, 3))
	p := sim.Plan{Seed: seed, MaxParticipants: 5, People: []sim.Person{
		{Ref: "doctor", Role: wire.RoleClinician, Media: sparse()},
		{Ref: "patient", Role: wire.RolePatient, Media: sparse()},
		{Ref: "voice", Role: wire.RoleInterpreter, Media: sparse()},
		{Ref: "carer", Role: wire.RoleCarer, Media: sparse()},
		{Ref: "second", Role: wire.RoleClinician, Media: sparse()},
	}}
	pushy := 1 + rng.IntN(3)
	p.People[pushy].Defects.MediaInLobby = true
	p.Steps = append(p.Steps, sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"})
	in := map[string]bool{"doctor": true}
	upgrade := rng.IntN(3 * 14)
	for i := range 14 {
		if i == upgrade {
			p.Steps = append(p.Steps, sim.Restart{}, sim.Try{Step: sim.Reconnect{Ref: "doctor"}})
			for _, one := range p.People[1:] {
				if in[one.Ref] {
					p.Steps = append(p.Steps, sim.Try{Step: sim.Reconnect{Ref: one.Ref}})
				}
			}
		}
		p.Steps = append(p.Steps, sim.Together{Steps: draw(rng, p.People, in)}, sim.Pass{For: time.Duration(rng.IntN(900)) * time.Millisecond})
	}
	return p
}

// draw chooses one to three steps of different people.
func draw(rng *rand.Rand, people []sim.Person, in map[string]bool) []sim.Step {
	var out []sim.Step
	order := rng.Perm(len(people))
	for _, i := range order[:1+rng.IntN(3)] {
		ref := people[i].Ref
		if !in[ref] {
			in[ref] = true
			out = append(out, sim.Try{Step: sim.Join{Ref: ref}})
			continue
		}
		var s sim.Step
		switch n := rng.IntN(14) - 4; {
		case n < -2 && ref != "doctor":
			s = sim.Hold{By: "doctor", Who: ref}
		case n < 0 && ref != "doctor":
			s = sim.Unhold{By: "doctor", Who: ref}
		case n < 0:
			s = sim.HandOver{By: "doctor", To: "second"}
		case n < 4 && ref != "doctor":
			s = sim.Admit{By: "doctor", Who: ref}
		case n < 5 && ref != "doctor":
			s = sim.Leave{Ref: ref}
			in[ref] = false
		case n < 6 && ref != "doctor":
			s = sim.Refuse{By: "doctor", Who: ref}
		case n < 7 && ref != "doctor":
			s = sim.Remove{By: "doctor", Who: ref}
		case n < 8:
			s = sim.Mute{Ref: ref, Source: wire.SourceCamera, Muted: rng.IntN(2) == 0}
		case n < 9:
			s = sim.Reconnect{Ref: ref}
		default:
			s = sim.Drop{Ref: ref}
			in[ref] = false
		}
		out = append(out, sim.Try{Step: s})
	}
	return out
}

// The three invariants of the witness hold whatever people do, in whatever order.
func TestSchedules(t *testing.T) {
	seeds := uint64(50)
	if os.Getenv("SOAK") == "1" {
		seeds = 1000
	}
	begun := time.Now()
	var received uint64
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := sim.Run(t, schedule(seed))
			for _, s := range r.Subscriptions {
				received += s.Packets
			}
			for _, v := range r.Violations {
				t.Error(v)
			}
			if t.Failed() {
				for _, e := range r.Events {
					t.Logf("%12v %-8s %s", e.At, e.Ref, e.What)
				}
			}
		})
	}
	t.Logf("figure: %d schedules, %d packets forwarded and judged, %v", seeds, received, time.Since(begun))
	if received < 100*seeds {
		t.Errorf("only %d packets were forwarded: the schedules test nothing", received)
	}
}
