package sim_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// backWithin is bar F: media in both directions after a network that was gone for 5 s.
const (
	holeLength = 5 * time.Second
	backWithin = 2 * time.Second
)

// A network that is gone for 5 s, and comes back: so does media by itself, with the same participant
// and past no lobby, whatever the client did meanwhile.
func TestBlackhole(t *testing.T) {
	inHole := func(steps ...sim.Step) []sim.Step {
		// What is asked for in the hole is answered after it.
		hole := sim.Blackhole{Ref: "patient", For: holeLength}
		return []sim.Step{sim.Together{Steps: append([]sim.Step{hole}, steps...)}}
	}
	ways := []struct {
		name  string
		steps []sim.Step
	}{
		{"the path comes back", inHole()},
		{"ICE restarted in the hole", inHole(sim.Do{Name: "restart", Func: func(w *sim.World) error {
			sim.Advance(3 * time.Second)
			return w.Client("patient").Restart(w.Context())
		}})},
		{"resumed", append(inHole(), sim.Do{Name: "resume", Func: func(w *sim.World) error {
			w.Client("patient").Drop() // its WebSocket did not outlive the hole
			sim.Advance(200 * time.Millisecond)
			return w.Client("patient").Reconnect(w.Context())
		}})},
	}
	for _, stack := range []struct {
		name string
		is   bench.Stack
	}{{"pion", bench.Pion}, {"lean", bench.Lean}} {
		for _, way := range ways {
			t.Run(stack.name+", "+way.name, func(t *testing.T) {
				people := three()[:2]
				for i := range people {
					people[i].Stack, people[i].Verify = stack.is, true
				}
				p := sim.Plan{Seed: 8, MaxParticipants: 3, People: people, Steps: append([]sim.Step{
					sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
					sim.Admit{By: "doctor", Who: "patient"}, sim.Pass{For: 5 * time.Second},
				}, way.steps...)}
				p.Steps = append(p.Steps, sim.Do{Name: "back", Func: func(w *sim.World) error { return awaitMedia(t, w) }})
				id := ""
				check(t, p, func(w *sim.World) {
					id = w.ID("patient")
					if v := w.Client("patient").View(); v.Self != id || v.State != wire.StateAdmitted {
						t.Errorf("the patient is %s, %s", v.Self, v.State)
					}
					if n := len(w.Client("doctor").View().Roster); n != 2 {
						t.Errorf("the roster has %d lines", n)
					}
					if at := w.LastEventAt("patient", "state waiting"); at > w.LastEventAt("patient", "network: false") {
						t.Error("the patient was in the lobby again")
					}
				})
			})
		}
	}
}

// heard counts what a person has decoded of video and received of audio.
func heard(w *sim.World, ref string) (frames, voices uint64) {
	for _, s := range w.Client(ref).Report().Slots {
		if s.Video {
			frames += s.Decodable
		} else {
			voices += s.Packets
		}
	}
	return frames, voices
}

// awaitMedia waits until everybody sees and hears again, and says how long after the network came back
// that was.
func awaitMedia(t *testing.T, w *sim.World) error {
	const step = 20 * time.Millisecond
	end := w.LastEventAt("patient", "network: true")
	type count struct{ frames, voices uint64 }
	before := map[string]count{}
	for _, ref := range []string{"doctor", "patient"} {
		frames, voices := heard(w, ref)
		before[ref] = count{frames, voices}
	}
	back := map[string]time.Duration{}
	for w.Elapsed()-end < 2*backWithin && len(back) < len(before) {
		sim.Advance(step)
		for ref, b := range before {
			frames, voices := heard(w, ref)
			// Five frames are no straggler: they are a picture that moves.
			if _, done := back[ref]; !done && frames >= b.frames+5 && voices >= b.voices+5 {
				back[ref] = w.Elapsed() - end
			}
		}
	}
	ctx, cancel := context.WithTimeout(w.Context(), time.Second)
	defer cancel()
	for ref := range before {
		if back[ref] == 0 || back[ref] > backWithin {
			t.Errorf("%s sees and hears again after %v", ref, back[ref])
		}
		if err := w.Client(ref).Connected(ctx); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
	}
	t.Logf("figure: after a hole of %v the doctor sees and hears again in %v, the patient in %v", holeLength, back["doctor"], back["patient"])
	return nil
}
