package sim_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// recordedVisit draws what four people do in some ten seconds of a consultation that is recorded when all
// agree: they come late, agree, say no, take it back, leave, lose their connection and come back, are put
// on hold, often at one instant; a clinician asks, stops and asks again.
func recordedVisit(seed uint64) sim.Plan {
	rng := rand.New(rand.NewPCG(seed, 8))
	policy := wire.PolicyAsk
	if rng.IntN(4) == 0 {
		policy = wire.PolicyRequired
	}
	p := sim.Plan{Seed: seed, MaxParticipants: 5, Recording: policy, People: []sim.Person{
		{Ref: "doctor", Role: wire.RoleClinician, Media: sparse()},
		{Ref: "patient", Role: wire.RolePatient, Media: sparse()},
		{Ref: "voice", Role: wire.RoleInterpreter, Media: sparse()},
		{Ref: "second", Role: wire.RoleClinician, Media: sparse()},
	}}
	try := func(steps ...sim.Step) {
		for _, s := range steps {
			p.Steps = append(p.Steps, sim.Try{Step: s})
		}
	}
	pass := func() { p.Steps = append(p.Steps, sim.Pass{For: time.Duration(20+rng.IntN(600)) * time.Millisecond}) }
	agree := func(ref string) sim.Step { return sim.Consent{Ref: ref, Decision: wire.ConsentGranted} }
	try(sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"})
	try(agree("patient"), sim.Admit{By: "doctor", Who: "patient"}, sim.Record{By: "doctor", Action: wire.RecordRequest}, agree("doctor"))
	pass()
	in := map[string]bool{"doctor": true, "patient": true}
	for range 12 {
		var steps []sim.Step
		if in["doctor"] && rng.IntN(8) == 0 {
			steps = commandAndWithdraw(rng)
		} else {
			for _, i := range rng.Perm(len(p.People))[:1+rng.IntN(2)] {
				steps = append(steps, sim.Try{Step: recordedStep(rng, p.People[i].Ref, in)})
			}
		}
		p.Steps = append(p.Steps, sim.Together{Steps: steps})
		pass()
	}
	return p
}

// commandAndWithdraw is the doctor doing something that the audit log has 40 ms later, and taking their consent
// back with it, which waits for nothing.
func commandAndWithdraw(rng *rand.Rand) []sim.Step {
	commands := []sim.Step{sim.Hold{By: "doctor", Who: "patient"}, sim.Unhold{By: "doctor", Who: "patient"}, sim.Admit{By: "doctor", Who: "voice"}}
	return []sim.Step{
		sim.Try{Step: commands[rng.IntN(len(commands))]},
		sim.Try{Step: sim.Consent{Ref: "doctor", Decision: wire.ConsentWithdrawn}},
	}
}

func recordedStep(rng *rand.Rand, ref string, in map[string]bool) sim.Step {
	if !in[ref] {
		in[ref] = true
		return sim.Join{Ref: ref}
	}
	decide := func(d wire.Decision) sim.Step { return sim.Consent{Ref: ref, Decision: d} }
	switch n := rng.IntN(16); {
	case n < 8:
		return decide(wire.ConsentGranted)
	case n < 9:
		return decide(wire.ConsentWithdrawn)
	case n < 10 && rng.IntN(3) == 0:
		return decide(wire.ConsentDenied)
	case n < 10 && ref == "doctor" && rng.IntN(3) == 0:
		return sim.Record{By: ref, Action: wire.RecordStop}
	case n < 12 && ref == "doctor":
		return sim.Record{By: ref, Action: wire.RecordRequest}
	case n < 11 && ref != "second":
		return sim.Admit{By: "doctor", Who: ref}
	case n < 12 && ref != "second":
		return sim.Hold{By: "doctor", Who: ref}
	case n < 13 && ref != "doctor" && ref != "second":
		return sim.Unhold{By: "doctor", Who: ref}
	case n < 14:
		return sim.Reconnect{Ref: ref}
	case n < 15:
		in[ref] = false
		return sim.Leave{Ref: ref}
	}
	in[ref] = false
	return sim.Drop{Ref: ref}
}

// recordedSeeds are those from first until before last: 200, in soak 10,000, which take 10 to 15 minutes, and
// can be run in pieces with SEEDS=2000-4000.
func recordedSeeds(t *testing.T) (first, last uint64) {
	if piece := os.Getenv("SEEDS"); piece != "" {
		if _, err := fmt.Sscanf(piece, "%d-%d", &first, &last); err != nil || last <= first {
			t.Fatalf("SEEDS=%s: must look like 2000-4000", piece)
		}
		return first, last
	}
	switch {
	case os.Getenv("SOAK") == "1":
		return 0, 10_000
	case raced:
		return 0, 8
	}
	return 0, 200
}

// Nothing is written of anybody who has not agreed, whatever people do, in whatever order, with an audit
// log that takes 40 ms.
func TestRecordingSchedules(t *testing.T) {
	first, last := recordedSeeds(t)
	begun := time.Now()
	written, recordings := 0, 0
	for seed := first; seed < last; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			plan := recordedVisit(seed)
			plan.Steps = append(plan.Steps, sim.Do{Name: "count", Func: func(w *sim.World) error {
				packets, begun := w.Recorded()
				written, recordings = written+packets, recordings+begun
				return nil
			}})
			r := sim.Run(t, plan)
			for _, v := range r.Violations {
				t.Error(v)
			}
			if t.Failed() {
				for _, e := range r.Events {
					t.Logf("%12v %-8s %s", e.At, e.Ref, e.What)
				}
			}
		})
		if t.Failed() {
			break
		}
	}
	t.Logf("figure: %d schedules of consent, %d recordings, %d packets written and judged, %v", last-first, recordings, written, time.Since(begun))
	if uint64(written) < 20*(last-first) {
		t.Errorf("only %d packets were written: the schedules test nothing", written)
	}
}
