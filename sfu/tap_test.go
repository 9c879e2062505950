package sfu

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
)

// tape is a Tap that remembers.
type tape struct {
	packets []codec.Packet
	written []string // payloads
	clocks  []codec.Clock
	ended   []string
}

func (t *tape) RTP(_ time.Time, _ codec.Name, p *codec.Packet) {
	t.packets = append(t.packets, *p)
	t.written = append(t.written, string(p.Payload))
}
func (t *tape) Clock(c codec.Clock) { t.clocks = append(t.clocks, c) }
func (t *tape) End(reason string)   { t.ended = append(t.ended, reason) }

// tapes are what a room is recorded on, in the order of opening.
type tapes struct {
	names []string
	all   map[string]*tape // the newest of a publication
	asks  map[string]func()
}

func (t *tapes) open(c Captured) Tap {
	name := fmt.Sprintf("%s %s", c.Peer, c.Source)
	t.names = append(t.names, name)
	t.all[name], t.asks[name] = new(tape), c.KeyFrame
	return t.all[name]
}

// record captures these people, on the tapes that it returns.
func (s *stage) record(ids ...string) *tapes {
	t := &tapes{all: map[string]*tape{}, asks: map[string]func(){}}
	s.capture(t, ids...)
	return t
}

func (s *stage) capture(t *tapes, ids ...string) {
	s.t.Helper()
	if err := s.room.SetCapture(context.Background(), Capture{Peers: ids, Open: t.open, Reason: "paused"}); err != nil {
		s.t.Fatal(err)
	}
}

func wantTape(t *testing.T, x *tape, what string, want ...string) {
	t.Helper()
	if !slices.Equal(x.written, want) {
		t.Errorf("%s: written %q, want %q", what, x.written, want)
	}
	x.written = nil
}

func TestOnlyTheCapturedAreTapped(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b")
		tapes := s.record("a", "c")
		if want := []string{"a mic", "a camera", "a screen"}; !slices.Equal(tapes.names, want) {
			t.Fatalf("tapped %q, want %q", tapes.names, want)
		}
		a.publish("c", "", keyFrame)
		b.publish("c", "", keyFrame)
		c.publish("c", "", keyFrame)
		a.publish("m", "", "hello")
		wantTape(t, tapes.all["a camera"], "a's camera", keyFrame)
		wantTape(t, tapes.all["a mic"], "a's microphone", "hello")

		s.admit("a", "b", "c") // and c is captured already
		if want := []string{"a mic", "a camera", "a screen", "c mic", "c camera", "c screen"}; !slices.Equal(tapes.names, want) {
			t.Fatalf("tapped %q, want %q", tapes.names, want)
		}
		c.publish("c", "", keyFrame)
		wantTape(t, tapes.all["c camera"], "c's camera", keyFrame)

		old := tapes.all["a camera"]
		s.capture(tapes, "c")
		a.publish("c", "", keyFrame)
		wantTape(t, old, "a's camera after it was taken out")
		if !slices.Equal(old.ended, []string{"paused"}) {
			t.Errorf("a's tap was told %q", old.ended)
		}
		if got := tapes.all["c camera"].ended; got != nil {
			t.Errorf("c's tap was told %q", got)
		}
		s.capture(tapes, "a", "c")
		a.publish("c", "", keyFrame)
		wantTape(t, tapes.all["a camera"], "a's camera again", keyFrame)
		wantTape(t, old, "a's former tap")
		if err := s.room.SetCapture(context.Background(), Capture{Reason: "stopped"}); err != nil {
			t.Fatal(err)
		}
		for name, x := range tapes.all {
			if len(x.ended) != 1 || x.ended[0] != "stopped" {
				t.Errorf("%s was told %q, want stopped", name, x.ended)
			}
		}
	})
}

// Whoever is not in the room is not recorded, consent or not: the tap ends before SetRoster returns.
func TestATapEndsWithItsOwner(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(s *stage, a *actor)
	}{
		{"taken out of the roster", func(s *stage, _ *actor) { s.admit("b") }},
		{"closed", func(_ *stage, a *actor) { _ = a.Peer.Close() }},
		{"the room is closed", func(s *stage, _ *actor) { _ = s.room.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, func(s *stage) {
				a, _ := s.enter("a"), s.enter("b")
				s.admit("a", "b")
				tapes := s.record("a", "b")
				c.leave(s, a)
				a.publish("c", "", keyFrame)
				x := tapes.all["a camera"]
				wantTape(t, x, "who has left")
				if !slices.Equal(x.ended, []string{tapLeft}) {
					t.Errorf("told %q", x.ended)
				}
			})
		})
	}
}

func TestAMuteIsNotRecorded(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		s.admit("a")
		x := s.record("a").all["a camera"]
		mute := func(muted bool) {
			t.Helper()
			if err := a.Mute(context.Background(), "c", muted); err != nil {
				t.Fatal(err)
			}
		}
		a.publish("c", "", keyFrame)
		mute(true)
		a.publish("c", "", delta)
		mute(false)
		a.asked()
		a.publish("c", "", delta)
		s.advance(time.Second)
		if got := a.asked(); !slices.Contains(got, ssrcOf("c", "")) {
			t.Errorf("key frames asked for: %v", got)
		}
		a.publish("c", "", keyFrame+"again")
		wantTape(t, x, "mute", keyFrame, keyFrame+"again")
	})
}

func TestATapAsksForAKeyFrame(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		s.admit("a")
		tapes := s.record("a")
		tapes.asks["a camera"]() // nothing is being sent
		a.publish("c", "", keyFrame)
		a.publish("m", "", "opus")
		s.advance(5 * time.Second)
		a.asked()
		tapes.asks["a camera"]()
		tapes.asks["a mic"]()
		if got := a.asked(); !slices.Equal(got, []uint32{ssrcOf("c", "")}) {
			t.Errorf("key frames asked for: %v, want one of the camera", got)
		}
	})
}

// The recorder takes what is being sent, whatever that is, and nothing is sent because of it.
func TestTheHighestLayerIsTapped(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		b.shows(t, "a", 720)
		x := s.record("a").all["a camera"]
		s.film(a, 2*time.Second, "q", "h", "f")
		x.written = nil
		s.film(a, time.Second, "q", "h", "f")
		if got := lastBytes(x); !slices.Equal(got, []string{"f"}) {
			t.Errorf("tapped %q", got)
		}
		a.heard()
		b.shows(t, "a", 180)
		s.film(a, 2300*time.Millisecond, "q", "h", "f")
		wantHeard(t, a, `layers c ["q" "f"]`) // as without a tap
		x.written = nil
		for range 30 * 3 {
			a.publish("c", "q", delta+"q")
			a.publish("c", "f", delta+"f")
			s.advance(frameTime)
		}
		wantHeard(t, a, `layers c ["q"]`)
		if got := lastBytes(x); !slices.Equal(got, []string{"f"}) {
			t.Errorf("tapped %q of an encoder that has made no key frame", got)
		}
		if got := a.asked(); len(got) < 3 || slices.ContainsFunc(got, func(ssrc uint32) bool { return ssrc != ssrcOf("c", "q") }) {
			t.Errorf("key frames asked for: %v, want some of q", got)
		}
		a.publish("c", "q", keyFrame+"q")
		b.shows(t, "a", 720)
		s.film(a, time.Second, "q")
		a.publish("c", "f", keyFrame+"f")
		if got := lastBytes(x); !slices.Equal(got, []string{"f", "q", "f"}) {
			t.Errorf("tapped %q", got)
		}
		for i := 1; i < len(x.packets); i++ {
			if p, q := x.packets[i-1], x.packets[i]; q.Seq != p.Seq+1 || int32(q.Timestamp-p.Timestamp) <= 0 {
				t.Fatalf("packet %d is %d, %d after %d, %d", i, q.Seq, q.Timestamp, p.Seq, p.Timestamp)
			}
		}
	})
}

func lastBytes(x *tape) (out []string) {
	for _, p := range x.written {
		out = append(out, p[len(p)-1:])
	}
	return slices.Compact(out)
}

// Nobody's grant depends on whether there is a recorder.
func TestATapChangesNobodysMedia(t *testing.T) {
	story := func(recorded bool) (out string) {
		onStage(t, func(s *stage) {
			a, b := s.enter("a"), s.enter("b")
			s.admit("a", "b")
			if recorded {
				s.record("a", "b")
			}
			b.shows(t, "a", 360)
			s.film(a, 8*time.Second, "q", "h", "f")
			b.shows(t, "a", 720)
			s.film(a, 2*time.Second, "q", "h", "f")
			var text strings.Builder
			fmt.Fprintln(&text, a.heard(), b.heard())
			for _, d := range b.got("v0") {
				fmt.Fprintf(&text, "%q ", d.payload)
			}
			out = text.String()
		})
		return out
	}
	if without, with := story(false), story(true); without != with {
		t.Errorf("without a recorder:\n%s\nwith one:\n%s", without, with)
	}
}

func TestTapClock(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		s.admit("a")
		tapes := s.record("a")
		for range 5 {
			a.publish("c", "", delta)
		}
		a.publish("c", "", keyFrame)
		a.publish("m", "", "opus")
		camera, mic := tapes.all["a camera"], tapes.all["a mic"]
		if camera.clocks != nil || mic.clocks != nil {
			t.Fatalf("clocks %v, %v without sender reports", camera.clocks, mic.clocks)
		}
		taken := time.Now().Add(-30 * time.Millisecond)
		report := func(mid string, ts uint32) {
			a.RTCP(time.Now(), &rtcp.SenderReport{SSRC: ssrcOf(mid, ""), NTPTime: forward.NTP(taken), RTPTime: ts})
		}
		report("c", 6*3000+900) // 10 ms after the key frame
		report("m", 3000)
		for name, x := range map[string]*tape{"camera": camera, "mic": mic} {
			if len(x.clocks) != 1 {
				t.Fatalf("%s: clocks %v", name, x.clocks)
			}
		}
		at := func(x *tape, i int) time.Time { return x.clocks[len(x.clocks)-1].Time(x.packets[i].Timestamp) }
		if got, want := at(mic, 0).Sub(at(camera, 0)), 10*time.Millisecond; (got - want).Abs() > time.Microsecond {
			t.Errorf("the sound is %v after the picture, want %v", got, want)
		}
		// Who begins later is told with the first packet.
		a.publish("s", "", keyFrame)
		report("s", 3000)
		tapes = s.record()
		s.capture(tapes, "a")
		a.publish("s", "", keyFrame)
		screen := tapes.all["a screen"]
		if len(screen.clocks) != 1 {
			t.Fatalf("clocks %v", screen.clocks)
		}
		if got, want := time.Until(at(screen, 0)), time.Second/30; (got - want).Abs() > time.Microsecond {
			t.Errorf("the screen's picture is of %v, want %v", got, want)
		}
	})
}

// Media is copied by whoever records it, and allocated for by nobody.
func TestTappingAllocatesNothing(t *testing.T) {
	for _, recorded := range []bool{false, true} {
		onStage(t, func(s *stage) {
			a := s.enter("a")
			s.admit("a")
			if recorded {
				err := s.room.SetCapture(context.Background(), Capture{Peers: []string{"a"}, Open: func(Captured) Tap { return deaf{} }})
				if err != nil {
					t.Fatal(err)
				}
			}
			a.publish("m", "", "opus")
			pub := a.inOrder[0]
			e, now := pub.encodings[0], time.Now()
			p := codec.Packet{SSRC: 1, Seq: 1, Payload: []byte("opus"), KeyFrame: true, FrameStart: true}
			if n := testing.AllocsPerRun(1000, func() {
				p.Seq++
				p.Timestamp += 960
				e.RTP(now, codec.Opus, &p, false)
			}); n != 0 {
				t.Errorf("recorded %v: %v allocations a packet", recorded, n)
			}
		})
	}
}

// deaf is a Tap that does nothing.
type deaf struct{}

func (deaf) RTP(time.Time, codec.Name, *codec.Packet) {}
func (deaf) Clock(codec.Clock)                        {}
func (deaf) End(string)                               {}

func BenchmarkIngest(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		b.Run(map[bool]string{false: "nobody", true: "tapped"}[recorded], func(b *testing.B) {
			pub := &Publication{peer: &Peer{o: PeerOptions{}}, source: codec.Mic}
			pub.subscribers.Store(new([]*Subscription))
			pub.peer.admitted.Store(true)
			pub.started.Store(true)
			pub.peer.room = &Room{server: &Server{clock: time.Now}}
			e := pub.open("")
			if recorded {
				pub.tap.Store(&tapping{tap: deaf{}, rewriter: forward.NewRewriter(48000, 0, 0, 0, 0)})
			}
			now := time.Now()
			p := codec.Packet{SSRC: 1, Payload: []byte("opus"), KeyFrame: true, FrameStart: true}
			b.ReportAllocs()
			for b.Loop() {
				p.Seq++
				p.Timestamp += 960
				e.RTP(now, codec.Opus, &p, false)
			}
		})
	}
}
