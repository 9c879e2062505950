package sim_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// ladder is the camera of bedside.js at its full rates.
func ladder() *bench.Video {
	return &bench.Video{FPS: 30, Temporal: 3, Layers: []bench.Layer{
		{RID: "q", Width: 320, Height: 180, Bitrate: 100_000},
		{RID: "h", Width: 640, Height: 360, Bitrate: 260_000},
		{RID: "f", Width: 1280, Height: 720, Bitrate: 1_500_000},
	}}
}

// line is a downlink of a rate, a round trip of which it has half, and a share of packets that it loses.
func line(rate link.Trace, roundTrip time.Duration, loss float64) sim.Path {
	return sim.Path{Rate: rate, Delay: roundTrip / 2, Loss: loss}
}

// score is the best that a jitter buffer can make of what came: one that waits longer loses less.
func (l *listener) score() (best float64) {
	const underWay = uint32(inTime / voiceFrame)
	for _, wait := range []time.Duration{10, 20, 40, 60, 80, 100, 150, 200, 300, 400} {
		wait *= time.Millisecond
		heard := 0
		for f := l.first; f+underWay < l.last; f++ {
			if late, ok := l.came[f]; ok && late <= wait {
				heard++
			}
		}
		all := max(1, int(l.last)-int(l.first)-int(underWay))
		best = max(best, result.Score(1-min(1, float64(heard)/float64(all)), l.path+wait))
	}
	return best
}

// instant is when something happened, zero before: steps write it, and the clients' goroutines read it.
type instant struct{ at atomic.Pointer[time.Time] }

func (i *instant) now() {
	now := time.Now()
	i.at.Store(&now)
}

func (i *instant) get() time.Time {
	if at := i.at.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// goal is a visit of three whose patient is behind a bad link.
type goal struct {
	seed       uint64
	profile    string
	down       sim.Path
	continuous bool        // both voices talk all the time, or two fifths of it with DTX
	silent     bool        // the second one's microphone is off
	tiles      []wire.Tile // of the patient, Participant being a ref
	settle     time.Duration
	key        int        // bench.Video.Key
	libvpx     bool       // bench.Video.Libvpx
	steps      []sim.Step // what is judged
	packet     func(now time.Time, a bench.Arrival)
}

// outcome is what the patient saw of whom, and how the voice was that they heard worst.
type outcome struct {
	views map[string]bench.Viewed
	mos   float64
	state wire.State
}

// fps of a view.
func fps(v bench.Viewed) float64 { return float64(v.Frames) / v.Watched.Seconds() }

// atLeast is the share of frames of a layer or a higher one: 1 has 360 lines.
func atLeast(v bench.Viewed, layer int) (share float64) {
	for _, n := range v.Layers[layer:] {
		share += float64(n)
	}
	return share / float64(max(1, v.Frames))
}

// tileOf is one tile of a goal's layout.
func tileOf(ref string, height int, pinned bool) wire.Tile {
	return wire.Tile{Participant: ref, Source: wire.SourceCamera, Width: height * 16 / 9, Height: height, Pinned: pinned}
}

// visit plays a goal.
func visit(t *testing.T, g goal) (out outcome) {
	t.Helper()
	var begun instant
	ears := map[uint64]*listener{}
	people := three()
	for i := range people {
		people[i].Stack, people[i].Verify = bench.Lean, true
		people[i].Media.Camera = ladder()
		people[i].Media.Camera.Key, people[i].Media.Camera.Libvpx = g.key, g.libvpx
		if !g.continuous {
			people[i].Media.Mic = &bench.Audio{Bitrate: 24_000, Level: 30, Talks: 0.4, DTX: true}
		}
	}
	if g.silent {
		people[2].Media.Mic = nil
	}
	patient := &people[1]
	patient.Media.Camera.Layers = patient.Media.Camera.Layers[:1] // what such an uplink carries
	patient.Up, patient.Down = sim.Path{Delay: g.down.Delay, Loss: g.down.Loss}, g.down
	patient.Packet = func(now time.Time, a bench.Arrival) {
		if g.packet != nil {
			g.packet(now, a)
		}
		if begun.get().IsZero() || a.Tag.SourceOf() != wire.SourceMic {
			return
		}
		l := ears[a.Tag.Sender]
		if l == nil {
			l = &listener{path: g.down.Delay + 5*time.Millisecond}
			ears[a.Tag.Sender] = l
		}
		l.packet(now, a)
	}
	show := func(ref string, tiles ...wire.Tile) sim.Step {
		return sim.Do{Name: "layout", Func: func(w *sim.World) error {
			m := &wire.Layout{}
			for _, tile := range tiles {
				tile.Participant = w.ID(tile.Participant)
				m.Tiles = append(m.Tiles, tile)
			}
			_, err := w.Client(ref).Call(w.Context(), m)
			return err
		}}
	}
	steps := []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"},
		sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Admit{By: "doctor", Who: "voice"}, sim.Admit{By: "doctor", Who: "patient"},
		show("doctor", tileOf("voice", 180, false), tileOf("patient", 180, false)),
		show("voice", tileOf("doctor", 180, false), tileOf("patient", 180, false)),
		show("patient", g.tiles...),
		sim.Pass{For: g.settle},
		sim.Do{Name: "mark", Func: func(w *sim.World) error {
			begun.now()
			w.Client("patient").Mark()
			return nil
		}},
	}
	p := sim.Plan{Seed: g.seed, Profile: g.profile, MaxParticipants: 4, People: people, Steps: append(steps, g.steps...)}
	p.Steps = append(p.Steps, sim.Do{Name: "look", Func: func(w *sim.World) error {
		out.views, out.state = map[string]bench.Viewed{}, w.Client("patient").View().State
		for _, ref := range []string{"doctor", "voice"} {
			out.views[ref] = w.Client("patient").Report().Received(w.ID(ref), wire.SourceCamera).Viewed
		}
		return nil
	}})
	r := sim.Run(t, p)
	for _, v := range r.Violations {
		t.Error(v)
	}
	out.mos = math.Inf(1)
	for _, l := range ears {
		out.mos = min(out.mos, l.score())
	}
	want := 2
	if g.silent {
		want = 1
	}
	if len(ears) != want {
		t.Errorf("%d voices were heard", len(ears))
	}
	return out
}

func (o outcome) String() string {
	text := fmt.Sprintf("MOS %.2f", o.mos)
	for _, ref := range []string{"doctor", "voice"} {
		v := o.views[ref]
		text += fmt.Sprintf("; %s %.1f frames/s, %d freezes, %v frozen, gap %v, %d switches, layers %v", ref, fps(v), v.Freezes,
			v.Frozen.Round(time.Millisecond), v.LongestGap.Round(time.Millisecond), v.Switches, v.Layers)
	}
	return text
}

// held says whether one figure of a goal is as good as it must be.
type held struct {
	name string
	got  float64
	ok   bool
}

func least(name string, got, bound float64) held { return held{name, got, got >= bound} }
func most(name string, got, bound float64) held  { return held{name, got, got <= bound} }

// TestQualityGoals plays the clinical quality goals for links that are bad all the time, Q1 to Q4, Q7 and Q8. Open
// are those figures that are missed, whose bounds are only reported.
func TestQualityGoals(t *testing.T) {
	seeds, window := uint64(2), time.Minute
	if raced {
		seeds, window = 1, 15*time.Second
	}
	if os.Getenv("SOAK") == "1" {
		seeds, window = 10, 10*time.Minute
	}
	general := []wire.Tile{tileOf("doctor", 360, true), tileOf("voice", 180, false)}
	signs := []wire.Tile{tileOf("voice", 180, true), tileOf("doctor", 180, true)}
	for _, tt := range []struct {
		name, profile string
		down          sim.Path
		tiles         []wire.Tile
		open          []string
		judge         func(main, other bench.Viewed, mos float64) []held
	}{
		// 640x360 at 30 frames/s does not fit beside two voices and a second camera; at 25 it does, as voices have two frames in a packet.
		{"Q1: 384 kbit/s, 50 ms", "general", line(link.Constant(384*link.Kbit), 50*time.Millisecond, 0), general, nil,
			func(main, _ bench.Viewed, mos float64) []held {
				return []held{
					least("frames/s", fps(main), 24), least("of 640x360", atLeast(main, 1), 0.95),
					most("frozen", main.Frozen.Seconds()/main.Watched.Seconds(), 0.005), least("MOS", mos, 4),
				}
			}},
		{"Q2: 330 kbit/s, 2 %, 80 ms", "general", line(link.Constant(330*link.Kbit), 80*time.Millisecond, 0.02), general, nil,
			func(main, _ bench.Viewed, mos float64) []held {
				return []held{
					least("frames/s", fps(main), 20), least("MOS", mos, 4),
					most("freezes a minute", float64(main.Freezes)/main.Watched.Minutes(), 1),
				}
			}},
		{"Q3: 180 kbit/s, 5 %, 150 ms", "general", line(link.Constant(180*link.Kbit), 150*time.Millisecond, 0.05), general, nil,
			func(main, _ bench.Viewed, mos float64) []held {
				return []held{least("frames/s", fps(main), 15), least("MOS", mos, 3.6)}
			}},
		{"Q4: 60 kbit/s, 10 %, 300 ms", "general", line(link.Constant(60*link.Kbit), 300*time.Millisecond, 0.1), general, []string{"MOS"},
			func(_, _ bench.Viewed, mos float64) []held { return []held{least("MOS", mos, 3.1)} }},
		{"Q4, one voice: 60 kbit/s, 10 %, 300 ms", "general", line(link.Constant(60*link.Kbit), 300*time.Millisecond, 0.1), general, []string{"MOS"},
			func(_, _ bench.Viewed, mos float64) []held {
				return []held{least("MOS", mos, 3.1), least("MOS of sound alone", mos, 2.5)} // 2.1 with a slide show and probes
			}},
		{"Q7: two who sign, 330 kbit/s", "motion", line(link.Constant(330*link.Kbit), 50*time.Millisecond, 0), signs, nil,
			func(doctor, voice bench.Viewed, _ float64) []held {
				return []held{least("frames/s", fps(voice), 20), least("frames/s of the second", fps(doctor), 20)}
			}},
		{"Q8: motion, 500 kbit/s", "motion", line(link.Constant(500*link.Kbit), 50*time.Millisecond, 0), general, nil,
			func(main, _ bench.Viewed, _ float64) []held { return []held{least("frames/s", fps(main), 25)} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range seeds {
				o := visit(t, goal{
					seed: seed + 1, profile: tt.profile, libvpx: strings.HasPrefix(tt.name, "Q3"), silent: strings.Contains(tt.name, "one voice"), down: tt.down, tiles: tt.tiles, settle: 15 * time.Second,
					steps: []sim.Step{sim.Pass{For: window}},
				})
				t.Logf("figure: %s: %v", tt.name, o)
				if o.state != wire.StateAdmitted {
					t.Errorf("the patient is %s", o.state)
				}
				for _, h := range tt.judge(o.views["doctor"], o.views["voice"], o.mos) {
					switch {
					case h.ok:
					case slices.Contains(tt.open, h.name), raced && strings.HasPrefix(tt.name, "Q7"): // within 15 s sound is still counted whole
						t.Logf("open: %s: %.3f", h.name, h.got)
					default:
						t.Errorf("%s: %.3f", h.name, h.got)
					}
				}
			}
		})
	}
}

// Q5: from 2 Mbit/s to 300 kbit/s and back. Sound never stops for 200 ms, 640x360 is left within a second and comes
// back within ten.
func TestStepDownAndBack(t *testing.T) {
	var took []time.Duration
	runs := 5
	if raced {
		runs = 1
	}
	for seed := range runs {
		took = append(took, stepDown(t, uint64(seed)+1))
	}
	slices.Sort(took)
	t.Logf("figure: Q5: 640x360 is back after %v", took)
	if took[len(took)-1] > 10*time.Second {
		t.Errorf("640x360 was back after %v", took)
	}
}

// stepDown plays one run, and returns how long the larger picture took to be back.
func stepDown(t *testing.T, seed uint64) time.Duration {
	t.Helper()
	const low = 20 * time.Second
	var step, back instant
	var gap, left, again, queued time.Duration
	var doctor atomic.Uint64
	heard := map[uint64]time.Time{}
	note := func(now time.Time, a bench.Arrival) {
		stepped, lifted := step.get(), back.get()
		if stepped.IsZero() {
			return
		}
		if a.Tag.SourceOf() == wire.SourceMic {
			if last := heard[a.Tag.Sender]; !last.IsZero() {
				gap = max(gap, now.Sub(last))
			}
			heard[a.Tag.Sender] = now
			return
		}
		if a.Tag.Sender != doctor.Load() || a.Repaired {
			return
		}
		switch {
		case lifted.IsZero() && a.Tag.Layer == 0 && left == 0:
			left = now.Sub(stepped)
		case !lifted.IsZero() && a.Tag.Layer == 1 && again == 0:
			again = now.Sub(lifted)
		}
		if late := now.Sub(a.Tag.Sent) - 30*time.Millisecond; lifted.IsZero() && late > 100*time.Millisecond {
			queued = now.Sub(stepped)
		}
	}
	to := func(rate link.Trace, at *instant) sim.Step {
		return sim.Do{Name: "step", Func: func(w *sim.World) error {
			doctor.Store(bench.SenderHash(w.ID("doctor")))
			at.now()
			w.Host("patient").Set(sim.Path{Delay: 25 * time.Millisecond}, line(rate, 50*time.Millisecond, 0))
			return nil
		}}
	}
	o := visit(t, goal{
		seed: seed, down: line(link.Constant(2000*link.Kbit), 50*time.Millisecond, 0), continuous: true, settle: 20 * time.Second, packet: note,
		tiles: []wire.Tile{tileOf("doctor", 360, true), tileOf("voice", 180, false)},
		steps: []sim.Step{
			to(link.Constant(300*link.Kbit), &step), sim.Pass{For: low}, to(link.Constant(2000*link.Kbit), &back), sim.Pass{For: 40 * time.Second},
		},
	})
	t.Logf("figure: Q5: sound stopped for %v at most, 640x360 was left after %v and back after %v; pictures waited in a queue of 100 ms until %v after the step; %v", gap, left, again, queued, o)
	if gap > 200*time.Millisecond {
		t.Errorf("sound stopped for %v", gap)
	}
	if left == 0 || left > time.Second {
		t.Errorf("640x360 was left after %v", left)
	}
	if again == 0 {
		return time.Hour
	}
	return again
}

// Below the lowest layer nobody is shown black: where a third of its frames do not fit beside the voice, there is a
// key frame every two seconds; where that does not fit either, the page says that the picture is paused. The voice
// is whole in any case.
func TestNeverBlack(t *testing.T) {
	for _, tt := range []struct {
		rate  link.Bitrate
		least uint64        // pictures a minute
		gap   time.Duration // between two at most
	}{
		{60 * link.Kbit, 2, time.Minute}, // 46 are the voice's, and 5 would be the key frames'
		{75 * link.Kbit, 15, 10 * time.Second},
		{130 * link.Kbit, 200, 8 * time.Second},
	} {
		t.Run(fmt.Sprint(tt.rate), func(t *testing.T) {
			if raced && tt.rate != 75*link.Kbit {
				t.Skip("takes ten times as long with the race detector")
			}
			seen, l := faint(t, line(link.Constant(tt.rate), 50*time.Millisecond, 0))
			t.Logf("figure: %v with a voice: %d pictures a minute, %v between two at most, MOS %.2f; %v", tt.rate, seen.Frames, seen.LongestGap, l.score(), l.hearing())
			if seen.Frames < tt.least || seen.LongestGap > tt.gap {
				t.Errorf("%d pictures a minute, %v between two at most", seen.Frames, seen.LongestGap)
			}
			if h := l.hearing(); h.share() < 0.99 || h.whole < h.windows-1 {
				t.Errorf("the voice: %v", h)
			}
		})
	}
}

// faint lets a patient see and hear a doctor for a minute over a link that carries hardly more than the voice.
func faint(t *testing.T, down sim.Path) (seen bench.Viewed, l *listener) {
	t.Helper()
	l = &listener{path: down.Delay + 5*time.Millisecond}
	people := three()[:2]
	people[0].Media.Camera, people[1].Media.Camera = ladder(), nil
	people[1].Down = down
	for i := range people {
		people[i].Stack, people[i].Verify = bench.Lean, true
	}
	var listening instant
	people[1].Packet = func(now time.Time, a bench.Arrival) {
		if !listening.get().IsZero() {
			l.packet(now, a)
		}
	}
	sim.Run(t, sim.Plan{Seed: 1, MaxParticipants: 2, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"},
		sim.Admit{By: "doctor", Who: "patient"}, sim.Pass{For: 15 * time.Second},
		sim.Do{Name: "mark", Func: func(w *sim.World) error { listening.now(); w.Client("patient").Mark(); return nil }},
		sim.Pass{For: time.Minute},
		sim.Do{Name: "look", Func: func(w *sim.World) error {
			seen = w.Client("patient").Report().Received(w.ID("doctor"), wire.SourceCamera).Viewed
			return nil
		}},
	}})
	return seen, l
}

// Q14: from the link to the first picture, and from being let in to it.
func TestJoinsAreQuick(t *testing.T) {
	for _, tt := range []struct {
		name             string
		roundTrip        time.Duration
		joined, admitted time.Duration // at most, of 95 in 100
	}{
		{"LAN", 2 * time.Millisecond, time.Second, 300 * time.Millisecond},
		{"200 ms", 200 * time.Millisecond, 2500 * time.Millisecond, 300*time.Millisecond + 200*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var joined, admitted []time.Duration
			runs := uint64(20)
			if raced {
				runs = 2
			}
			for seed := range runs {
				j, a := joinsOf(t, seed+1, sim.Path{Delay: tt.roundTrip / 2})
				joined, admitted = append(joined, j), append(admitted, a)
			}
			slices.Sort(joined)
			slices.Sort(admitted)
			t.Logf("figure: Q14, %s: link to first picture %v (median), %v (19 of 20); let in to first picture %v, %v", tt.name, joined[runs/2], joined[runs*9/10], admitted[runs/2], admitted[runs*9/10])
			if joined[runs*9/10] > tt.joined || admitted[runs*9/10] > tt.admitted {
				t.Errorf("joined %v, admitted %v", joined, admitted)
			}
		})
	}
}

// joinsOf is how long a second clinician, who needs no admission, and a patient wait for a picture.
func joinsOf(t *testing.T, seed uint64, path sim.Path) (joined, admitted time.Duration) {
	t.Helper()
	people := []sim.Person{
		{Ref: "doctor", Role: wire.RoleClinician, Media: media()},
		{Ref: "patient", Role: wire.RolePatient, Media: media(), Up: path, Down: path},
		{Ref: "second", Role: wire.RoleClinician, Media: media(), Up: path, Down: path},
	}
	for i := range people {
		people[i].Media.Camera = ladder()
		people[i].Stack, people[i].Verify = bench.Lean, true
	}
	var clicked, let time.Time
	first := func(w *sim.World, ref string) time.Time {
		s, _ := camera(t, w, ref, "doctor")
		return s.FirstFrame
	}
	sim.Run(t, sim.Plan{Seed: seed, MaxParticipants: 3, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Pass{For: time.Second + time.Duration(seed)*37*time.Millisecond},
		sim.Do{Name: "click", Func: func(*sim.World) error { clicked = time.Now(); return nil }},
		sim.Join{Ref: "second"}, sim.Connected{Ref: "second"}, sim.Pass{For: 3 * time.Second},
		sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"}, sim.Pass{For: time.Second + time.Duration(seed)*53*time.Millisecond},
		sim.Do{Name: "let in", Func: func(*sim.World) error { let = time.Now(); return nil }},
		sim.Admit{By: "doctor", Who: "patient"}, sim.Pass{For: 3 * time.Second},
		sim.Do{Name: "look", Func: func(w *sim.World) error {
			joined, admitted = first(w, "second").Sub(clicked), first(w, "patient").Sub(let)
			return nil
		}},
	}})
	return joined, admitted
}
