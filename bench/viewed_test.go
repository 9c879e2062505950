package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

const ms = time.Millisecond

// watcher steps the accounts of a slot through virtual time. Each frame is one whole packet.
type watcher struct {
	*Receiver
	t   *testing.T
	now time.Time
	seq uint16
	ts  uint32
}

func watch(t *testing.T, video bool) *watcher {
	w := &watcher{Receiver: NewReceiver(video), t: t, now: epoch()}
	source := wire.SourceMic
	if video {
		source = wire.SourceCamera
	}
	w.assign("p1", source, wire.SlotLive)
	return w
}

func (w *watcher) assign(participant string, source wire.Source, state wire.SlotState) {
	w.Assign(w.now, wire.Assignment{Mid: "5", Participant: participant, Source: source, State: state, RTP: w.ts})
}

// frames shows n frames at an interval, of a layer, delayed on their way.
func (w *watcher) frames(n int, interval time.Duration, layer uint8, delay time.Duration) {
	for i := range n {
		w.now = w.now.Add(interval)
		w.ts += uint32(interval * 90 / time.Millisecond)
		w.seq++
		w.Packet(w.now, w.frame(layer, i == 0, delay))
	}
}

// late shows n frames, the first of them so much late that the others are there with it.
func (w *watcher) late(n int, interval, by time.Duration) {
	w.pass(interval + by)
	for range n {
		w.ts += uint32(interval * 90 / time.Millisecond)
		w.seq++
		w.Packet(w.now, w.frame(0, false, 0))
	}
}

// frame is one whole frame; key where the layer may change.
func (w *watcher) frame(layer uint8, key bool, delay time.Duration) Inbound {
	b := make([]byte, 200)
	d := vp8Descriptor{start: true, picture: w.seq & 0x7fff}
	at := d.put(b, false, false)
	putVP8Frame(b[at:], key, 640, 360, len(b))
	Tag{Sender: SenderHash("p1"), Source: sourceNumber(wire.SourceCamera), Layer: layer, Key: key, Frame: uint32(w.seq), Count: 1, Sent: w.now.Add(-delay)}.put(b)
	return Inbound{Sequence: w.seq, Timestamp: w.ts, Marker: true, Size: 212, Payload: b}
}

// talk receives n audio packets, 20 ms apart.
func (w *watcher) talk(n int) {
	for range n {
		w.now = w.now.Add(audioFrame)
		w.ts += 960
		w.seq++
		w.Packet(w.now, w.word())
	}
}

func (w *watcher) word() Inbound {
	b := make([]byte, 80)
	Tag{Sender: SenderHash("p1"), Source: sourceNumber(wire.SourceMic), Count: 1, Sent: w.now.Add(-7 * ms)}.put(b)
	return Inbound{Sequence: w.seq, Timestamp: w.ts, Size: 92, Payload: b}
}

func (w *watcher) pass(d time.Duration) { w.now = w.now.Add(d) }

// flow is the only one.
func (w *watcher) only() Flow {
	w.t.Helper()
	r := w.Report(w.now)
	if len(r.Flows) != 1 || r.Continuity.Malformed+r.Continuity.Reference != 0 {
		w.t.Fatalf("%+v", r)
	}
	return r.Flows[0]
}

func TestWhatAViewerSees(t *testing.T) {
	const frame = 40 * ms // so that three times the mean is less than the mean + 150 ms
	for _, c := range []struct {
		name string
		play func(w *watcher)
		want Viewed
	}{
		{"all well", func(w *watcher) { w.frames(100, frame, 1, 0) },
			Viewed{Watched: 4 * time.Second, LongestGap: frame, Frames: 100, Layers: [3]uint64{0, 100, 0}}},
		{"a pause that is no freeze", func(w *watcher) { w.frames(50, frame, 0, 0); w.pass(150 * ms); w.frames(50, frame, 0, 0) },
			Viewed{Watched: 4150 * ms, LongestGap: 190 * ms, Frames: 100, Layers: [3]uint64{100}}},
		{"a freeze, just", func(w *watcher) { w.frames(50, frame, 0, 0); w.pass(151 * ms); w.frames(50, frame, 0, 0) },
			Viewed{Watched: 4151 * ms, LongestGap: 191 * ms, Frames: 100, Freezes: 1, Frozen: 191 * ms, Layers: [3]uint64{100}}},
		{"slow video freezes later: three times its mean", func(w *watcher) { w.frames(20, 100*ms, 0, 0); w.pass(200 * ms); w.frames(1, 100*ms, 0, 0) },
			Viewed{Watched: 2300 * ms, LongestGap: 300 * ms, Frames: 21, Layers: [3]uint64{21}}},
		{"too early to tell", func(w *watcher) { w.frames(4, frame, 0, 0); w.pass(time.Second); w.frames(1, frame, 0, 0) },
			Viewed{Watched: 1200 * ms, LongestGap: 1040 * ms, Frames: 5, Layers: [3]uint64{5}}},
		{"one frame, then nothing more", func(w *watcher) { w.frames(1, frame, 0, 0); w.pass(5 * time.Second) },
			Viewed{Watched: 5040 * ms, LongestGap: 5 * time.Second, Frames: 1, Layers: [3]uint64{1}}},
		{"frozen up to now", func(w *watcher) { w.frames(50, frame, 0, 0); w.pass(2 * time.Second) },
			Viewed{Watched: 4 * time.Second, LongestGap: 2 * time.Second, Frames: 50, Freezes: 1, Frozen: 2 * time.Second, Layers: [3]uint64{50}}},
		// A frame is late by 120 ms, those after it come with it: from then on so much is in hand.
		{"run dry once, then a hole is repaired", func(w *watcher) {
			w.frames(50, frame, 0, 0)
			w.late(4, frame, 120*ms)
			w.frames(50, frame, 0, 0)
			w.late(4, frame, 120*ms)
			w.frames(50, frame, 0, 0)
			w.late(5, frame, 160*ms)
			w.frames(50, frame, 0, 0)
		}, Viewed{Watched: 8520 * ms, LongestGap: 160 * ms, Frames: 213, Layers: [3]uint64{213}}},
		{"run dry for longer than a player waits, twice", func(w *watcher) {
			w.frames(50, frame, 0, 0)
			w.late(26, frame, time.Second)
			w.frames(50, frame, 0, 0)
			w.late(26, frame, time.Second)
			w.frames(50, frame, 0, 0)
		}, Viewed{Watched: 8080 * ms, LongestGap: 1040 * ms, Frames: 202, Freezes: 2, Frozen: (1040 + 840) * ms, Layers: [3]uint64{202}}},
		{"layers", func(w *watcher) { w.frames(10, frame, 0, 0); w.frames(10, frame, 2, 0); w.frames(10, frame, 1, 0) },
			Viewed{Watched: 1200 * ms, LongestGap: frame, Frames: 30, Switches: 2, Layers: [3]uint64{10, 10, 10}}},
		{"muted is not frozen", func(w *watcher) {
			w.frames(50, frame, 0, 0)
			w.assign("p1", wire.SourceCamera, wire.SlotMuted)
			w.pass(time.Minute)
			w.assign("p1", wire.SourceCamera, wire.SlotLive)
			w.frames(50, frame, 0, 0)
		}, Viewed{Watched: 4 * time.Second, LongestGap: frame, Frames: 100, Layers: [3]uint64{100}}},
		{"nobody is not frozen", func(w *watcher) {
			w.frames(50, frame, 0, 0)
			w.assign("", "", wire.SlotEmpty)
			w.pass(time.Minute)
		}, Viewed{Watched: 2 * time.Second, LongestGap: frame, Frames: 50, Layers: [3]uint64{50}}},
		{"over", func(w *watcher) { w.frames(50, frame, 0, 0); w.End(w.now); w.pass(time.Minute) },
			Viewed{Watched: 2 * time.Second, LongestGap: frame, Frames: 50, Layers: [3]uint64{50}}},
		{"over, then marked", func(w *watcher) { w.frames(50, frame, 0, 0); w.End(w.now); w.pass(time.Minute); w.Mark(w.now) },
			Viewed{}},
		{"marked", func(w *watcher) { w.frames(50, frame, 0, 0); w.Mark(w.now); w.frames(50, frame, 0, 0) },
			Viewed{Watched: 2 * time.Second, LongestGap: frame, Frames: 50, Layers: [3]uint64{50}}},
		{"marked within a freeze", func(w *watcher) {
			w.frames(50, frame, 0, 0)
			w.pass(time.Second)
			w.Mark(w.now)
			w.pass(460 * ms)
			w.frames(1, frame, 0, 0)
		}, Viewed{Watched: 500 * ms, LongestGap: 500 * ms, Frames: 1, Freezes: 1, Frozen: 500 * ms, Layers: [3]uint64{1}}},
		{"a switch across the mark", func(w *watcher) { w.frames(9, frame, 0, 0); w.Mark(w.now); w.frames(1, frame, 1, 0) },
			Viewed{Watched: frame, LongestGap: frame, Frames: 1, Switches: 1, Layers: [3]uint64{0, 1, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := watch(t, true)
			c.play(w)
			if got := w.only().Viewed; got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if first, second := w.only().Viewed, w.only().Viewed; first != second {
				t.Error("reporting changes the accounts")
			}
		})
	}
}

func TestWhatAListenerHears(t *testing.T) {
	for _, c := range []struct {
		name string
		play func(w *watcher)
		want time.Duration
		lost uint64
	}{
		{"speech", func(w *watcher) { w.talk(100) }, 20 * ms, 0},
		{"a stall", func(w *watcher) { w.talk(50); w.pass(300 * ms); w.talk(50) }, 320 * ms, 0},
		{"silence by DTX is no gap", func(w *watcher) { w.talk(50); w.pass(380 * ms); w.ts += 380 * 48; w.talk(50) }, 20 * ms, 0},
		{"a stall in silence is", func(w *watcher) { w.talk(50); w.pass(380*ms + 70*ms); w.ts += 380 * 48; w.talk(50) }, 90 * ms, 0},
		{"three lost", func(w *watcher) { w.talk(50); w.pass(60 * ms); w.seq += 3; w.ts += 3 * 960; w.talk(50) }, 80 * ms, 3},
		{"lost at the edge of silence", func(w *watcher) { w.talk(50); w.pass(420 * ms); w.seq++; w.ts += 420 * 48; w.talk(50) }, 40 * ms, 1},
		{"reordered is no gap", func(w *watcher) {
			w.talk(50)
			w.seq, w.ts = w.seq+1, w.ts+960
			first := w.word()
			w.pass(40 * ms)
			w.seq, w.ts = w.seq+1, w.ts+960
			w.Packet(w.now, w.word())
			w.Packet(w.now, first)
			w.talk(50)
		}, 40 * ms, 0},
		{"nothing more comes", func(w *watcher) { w.talk(50); w.pass(3 * time.Second) }, 3 * time.Second, 0},
		{"silence at the end", func(w *watcher) { w.talk(50); w.pass(400 * ms) }, 20 * ms, 0},
		{"muted", func(w *watcher) {
			w.talk(50)
			w.assign("p1", wire.SourceMic, wire.SlotMuted)
			w.pass(time.Minute)
			w.assign("p1", wire.SourceMic, wire.SlotLive)
			w.talk(50)
		}, 20 * ms, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := watch(t, false)
			c.play(w)
			if f := w.only(); f.Viewed.LongestGap != c.want || f.Lost != c.lost {
				t.Errorf("gap %v, %d lost; want %v, %d", f.Viewed.LongestGap, f.Lost, c.want, c.lost)
			}
		})
	}
}

// Nobody sends audio again: a hole must not hold up what came after it for long.
func TestHolesInAudioAreGivenUpSoon(t *testing.T) {
	w := watch(t, false)
	w.talk(10)
	w.seq, w.ts = w.seq+1, w.ts+960
	w.pass(20 * ms)
	w.talk(1)
	if due := w.Deadline(); !due.Equal(w.now.Add(audioPatience)) {
		t.Errorf("the hole is given up at %v, want %v", due, w.now.Add(audioPatience))
	}
	if nacks, _ := w.Feedback(w.now.Add(audioPatience)); nacks != nil {
		t.Errorf("audio is asked for: %v", nacks)
	}
	if f := w.only(); f.Lost != 1 || f.Packets != 11 || f.Viewed.LongestGap != 40*ms {
		t.Errorf("%+v", f)
	}
}

// Where audio is sent again, it is asked for at once, and again one and a half round trips later.
func TestAudioThatIsAskedFor(t *testing.T) {
	w := watch(t, false)
	w.order = newRepeated()
	w.SetRTT(100 * ms)
	w.talk(10)
	lost := w.seq + 1
	w.seq, w.ts = w.seq+1, w.ts+960
	w.pass(20 * ms)
	w.talk(1)
	if due := w.Deadline(); due.After(w.now) {
		t.Errorf("asked for at %v, want %v", due, w.now)
	}
	var asked []int
	for at := range 400 {
		nacks, _ := w.Feedback(w.now.Add(time.Duration(at) * ms))
		if len(nacks) > 1 || len(nacks) == 1 && nacks[0] != lost {
			t.Fatalf("asked for %v, want %d", nacks, lost)
		}
		if len(nacks) > 0 {
			asked = append(asked, at)
		}
	}
	if want := []int{0, 155, 310}; !slices.Equal(asked, want) {
		t.Errorf("asked after %v ms, want %v", asked, want)
	}
}

func TestDelaysAndBytesOfAWindow(t *testing.T) {
	w := watch(t, true)
	w.frames(100, 40*ms, 0, 500*ms)
	w.Mark(w.now)
	w.frames(99, 40*ms, 0, 5*ms)
	w.frames(1, 40*ms, 0, 25*ms)
	f := w.only()
	if f.Delay.Count() != 100 || f.Delay.Min() != 5*ms || f.Delay.Max() != 25*ms || f.Bytes != 100*212 || f.Packets != 100 {
		t.Errorf("%d delays from %v to %v, %d bytes", f.Delay.Count(), f.Delay.Min(), f.Delay.Max(), f.Bytes)
	}
	if p := f.Delay.Quantile(0.99); p < 4960*time.Microsecond || p > 5040*time.Microsecond {
		t.Errorf("p99 is %v", p)
	}
	again := w.frame(0, false, 0)
	w.Packet(w.now.Add(time.Second), again) // the last one once more
	if f := w.only(); f.Delay.Count() != 100 || f.Bytes != 100*212 {
		t.Error("a duplicate was counted")
	}
}

// A message that says whose a packet is may come later than the packet, but not much.
func TestWrongOnlyAfterPatience(t *testing.T) {
	w := watch(t, true)
	w.frames(1, 40*ms, 0, 0)
	w.assign("p2", wire.SourceCamera, wire.SlotLive)
	w.frames(3, 40*ms, 0, 0)
	if got := w.Report(w.now); got.Wrong != 0 {
		t.Errorf("%d wrong at once", got.Wrong)
	}
	got := w.Report(w.now.Add(slotsPatience))
	if got.Wrong != 3 {
		t.Errorf("%d wrong, want 3", got.Wrong)
	}
	for _, f := range got.Flows {
		if want := map[uint64]uint64{SenderHash("p1"): 3, SenderHash("p2"): 0}[f.Sender]; f.Wrong != want {
			t.Errorf("flow %+v: want %d wrong", f, want)
		}
	}
	w.Mark(w.now)
	if again := w.Report(w.now.Add(slotsPatience)); again.Wrong != 3 || len(again.Flows) != 2 {
		t.Errorf("after Mark, still undecided: %d wrong, %d flows", again.Wrong, len(again.Flows))
	}
}

func TestReceptionsOfSeveralMachines(t *testing.T) {
	one, two := watch(t, true), watch(t, true)
	one.frames(50, 40*ms, 0, 5*ms)
	two.frames(25, 40*ms, 1, 5*ms)
	report := func(w *watcher) Report { return Report{Slots: []SlotReport{w.Report(w.now)}} }
	got := Receptions(map[uint64]string{SenderHash("p1"): "doctor"}, report(one), report(two))
	if len(got) != 1 || got[0].Of != "doctor" || got[0].Packets != 75 || got[0].Frames != 75 || got[0].Watched != 3*time.Second ||
		got[0].Layers[0] != 50 || got[0].Layers[1] != 25 || got[0].Delay.Count() != 75 {
		t.Errorf("%+v", got)
	}
	if stranger := Receptions(nil, report(one)); len(stranger) != 1 || len(stranger[0].Of) < 12 {
		t.Errorf("%+v", stranger)
	}
	if broken := Broken("patient", report(one), Report{EpochGaps: 2, Slots: []SlotReport{{Mid: "7", Continuity: Continuity{TL0: 3}}}}); len(broken) != 2 {
		t.Errorf("%q", broken)
	}
}
