package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Each test of this file is a stall that was met with browsers (Chromium 156, Firefox 153, measured
// 2026-11-22): the picture froze, and nothing said so.

// simulcast is a call of a doctor who publishes three encodings and a patient.
func simulcast(steps ...sim.Step) sim.Plan {
	people := three()
	people[0].Media.Camera = bench.SimulcastCamera()
	return sim.Plan{Seed: 11, MaxParticipants: 3, People: people, Steps: append([]sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Pass{For: time.Second}, // the path is known then
		sim.Admit{By: "doctor", Who: "patient"}, sim.Pass{For: 5 * time.Second},
	}, steps...)}
}

// camera returns what the subscriber received in the slot that the publisher's camera was in.
func camera(t *testing.T, w *sim.World, subscriber, publisher string) (bench.SlotReport, bench.Flow) {
	t.Helper()
	for _, s := range w.Client(subscriber).Report().Slots {
		for _, f := range s.Flows {
			if f.Sender == bench.SenderHash(w.ID(publisher)) && f.Source == wire.SourceCamera {
				return s, f
			}
		}
	}
	t.Fatalf("%s received nothing of the camera of %s", subscriber, publisher)
	return bench.SlotReport{}, bench.Flow{}
}

// smooth fails when a decoder would have shown less than everything.
func smooth(t *testing.T, s bench.SlotReport, longest time.Duration) {
	t.Helper()
	if s.Lost+s.Broken+s.Duplicates+s.Wrong+s.Untagged != 0 || s.Continuity != (bench.Continuity{}) {
		t.Errorf("faults: %+v", s)
	}
	if s.Decodable != s.Frames {
		t.Errorf("%d of %d frames could be decoded", s.Decodable, s.Frames)
	}
	if s.LongestGap > longest {
		t.Errorf("no frame for %v", s.LongestGap)
	}
	t.Logf("figure: %d frames, longest gap %v", s.Decodable, s.LongestGap)
}

func check(t *testing.T, p sim.Plan, look func(w *sim.World)) {
	t.Helper()
	p.Steps = append(p.Steps, sim.Do{Name: "look", Func: func(w *sim.World) error { look(w); return nil }})
	for _, v := range sim.Run(t, p).Violations {
		t.Error(v)
	}
}

// Chromium probes for bandwidth with RTX of old packets, old key frames among them. A switch to one
// of those froze the picture for 2.5 s.
func TestProbesWithOldKeyFrames(t *testing.T) {
	probe := func(rid string) sim.Step {
		// The first key frame and what followed, but not what came last: a decoder that was handed
		// this would wait for the rest.
		return sim.Do{Name: "probe", Func: func(w *sim.World) error {
			return w.Client("doctor").Probe(wire.SourceCamera, rid, 500, 470)
		}}
	}
	stop := func(rid string, stopped bool) sim.Step {
		return sim.Do{Name: "stop", Func: func(w *sim.World) error {
			return w.Client("doctor").StopLayer(wire.SourceCamera, rid, stopped)
		}}
	}
	steps := []sim.Step{probe("f"), sim.Pass{For: 200 * time.Millisecond}, stop("f", true)}
	for range 70 { // while the switch is under way
		steps = append(steps, probe("h"), probe("q"), sim.Pass{For: 13 * time.Millisecond})
	}
	steps = append(steps, stop("f", false))
	for range 70 {
		steps = append(steps, probe("f"), probe("q"), sim.Pass{For: 13 * time.Millisecond})
	}
	check(t, simulcast(append(steps, sim.Pass{For: 5 * time.Second})...), func(w *sim.World) {
		s, f := camera(t, w, "patient", "doctor")
		smooth(t, s, time.Second)
		if f.Layers[1] == 0 || f.Layers[2] == 0 {
			t.Errorf("packets by layer %v: no switch took place", f.Layers)
		}
		var probes uint64
		for _, sent := range w.Client("doctor").Report().Sent {
			probes += sent.Probes
		}
		if probes < 5000 {
			t.Errorf("only %d probes", probes)
		}
	})
}

// Padding that is not forwarded must not leave holes: Firefox asks for them for ever.
func TestPaddingLeavesNoHoles(t *testing.T) {
	pad := sim.Do{Name: "pad", Func: func(w *sim.World) error { return w.Client("doctor").Pad(wire.SourceCamera, "f", 7) }}
	var steps []sim.Step
	for range 50 {
		steps = append(steps, pad, sim.Pass{For: 37 * time.Millisecond})
	}
	check(t, simulcast(append(steps, sim.Pass{For: time.Second})...), func(w *sim.World) {
		s, _ := camera(t, w, "patient", "doctor")
		smooth(t, s, 100*time.Millisecond)
		if s.RTX != 0 || s.Repaired != 0 {
			t.Errorf("%d packets sent again, %d holes", s.RTX, s.Repaired)
		}
	})
}

// A browser that runs short stops its highest encoding; the next lower one takes over, and back.
func TestLayerSwitch(t *testing.T) {
	stop := func(stopped bool) sim.Step {
		return sim.Do{Name: "stop", Func: func(w *sim.World) error {
			return w.Client("doctor").StopLayer(wire.SourceCamera, "f", stopped)
		}}
	}
	var steps []sim.Step
	for i := range 10 {
		steps = append(steps, stop(i%2 == 0), sim.Pass{For: 3 * time.Second})
	}
	check(t, simulcast(steps...), func(w *sim.World) {
		s, f := camera(t, w, "patient", "doctor")
		smooth(t, s, 1200*time.Millisecond)
		if f.Layers[1] == 0 || f.Layers[2] == 0 {
			t.Errorf("packets by layer %v: no switch took place", f.Layers)
		}
	})
}

// A slot that changes hands goes on with the same numbers, and what is asked of it reaches the person
// who is in it now.
func TestSlotChangesHands(t *testing.T) {
	var before, after bench.SentReport
	request := func(w *sim.World) error {
		before, _ = find(w.Client("voice").Report().Sent, wire.SourceCamera)
		s, _ := camera(t, w, "doctor", "voice")
		return w.Client("doctor").RequestKey(s.Mid)
	}
	check(t, simulcast(
		sim.Leave{Ref: "patient"}, sim.Pass{For: 2 * time.Second},
		sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"}, sim.Admit{By: "doctor", Who: "voice"},
		sim.Pass{For: 3 * time.Second},
		sim.Do{Name: "request", Func: request},
		sim.Pass{For: 3 * time.Second},
	), func(w *sim.World) {
		first, _ := camera(t, w, "doctor", "patient")
		second, _ := camera(t, w, "doctor", "voice")
		if first.Mid != second.Mid {
			t.Fatalf("the newcomer is in slot %s, not in %s: nothing changed hands", second.Mid, first.Mid)
		}
		if second.Handovers < 3 { // patient, nobody, interpreter
			t.Errorf("%d hand-overs", second.Handovers)
		}
		smooth(t, second, 100*time.Millisecond)
		if len(second.Flows) != 2 {
			t.Errorf("%d people in the slot", len(second.Flows))
		}
		after, _ = find(w.Client("voice").Report().Sent, wire.SourceCamera)
		if after.KeyRequests != before.KeyRequests+1 {
			t.Errorf("%d key requests reached the person in the slot, want 1", after.KeyRequests-before.KeyRequests)
		}
	})
}

// A second request within 300 ms of a key frame is not answered: whoever comes right behind somebody
// else must be asked for again.
func TestKeyFrameForSomebodyRightBehind(t *testing.T) {
	for _, behind := range []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond, 290 * time.Millisecond, 400 * time.Millisecond} {
		t.Run(behind.String(), func(t *testing.T) {
			var admitted time.Duration
			check(t, sim.Plan{Seed: 5, MaxParticipants: 4, People: three(), Steps: []sim.Step{
				sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"},
				sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"}, sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"},
				sim.Admit{By: "doctor", Who: "patient"}, sim.Pass{For: behind},
				sim.Do{Name: "note", Func: func(w *sim.World) error { admitted = w.Elapsed(); return nil }},
				sim.Admit{By: "doctor", Who: "voice"}, sim.Pass{For: 3 * time.Second},
			}}, func(w *sim.World) {
				for _, pair := range [][2]string{{"voice", "doctor"}, {"voice", "patient"}, {"doctor", "voice"}, {"patient", "voice"}} {
					s, _ := camera(t, w, pair[0], pair[1])
					wait := w.Since(s.FirstFrame) - admitted
					t.Logf("figure: %s sees %s after %v", pair[0], pair[1], wait)
					if s.FirstFrame.IsZero() || wait > time.Second {
						t.Errorf("%s sees %s after %v", pair[0], pair[1], wait)
					}
				}
			})
		})
	}
}

// Muting stops the forwarding whatever the client goes on sending, and unmuting shows a picture soon.
func TestMute(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		t.Run(fmt.Sprintf("sends on: %v", stubborn), func(t *testing.T) {
			p := simulcast(
				sim.Mute{Ref: "doctor", Source: wire.SourceCamera, Muted: true}, sim.Pass{For: time.Second},
			)
			p.People[0].Defects.MediaMuted = stubborn
			var muted bench.Flow
			note := sim.Do{Name: "note", Func: func(w *sim.World) error { _, muted = camera(t, w, "patient", "doctor"); return nil }}
			p.Steps = append(p.Steps, note, sim.Pass{For: 5 * time.Second}, sim.Do{Name: "look", Func: func(w *sim.World) error {
				if _, f := camera(t, w, "patient", "doctor"); f.Packets != muted.Packets {
					return fmt.Errorf("%d packets of a muted camera", f.Packets-muted.Packets)
				}
				return nil
			}}, sim.Mute{Ref: "doctor", Source: wire.SourceCamera, Muted: false}, sim.Pass{For: time.Second})
			check(t, p, func(w *sim.World) {
				s, f := camera(t, w, "patient", "doctor")
				if f.Packets == muted.Packets {
					t.Error("nothing after unmuting")
				}
				smooth(t, s, 8*time.Second)
			})
		})
	}
}
