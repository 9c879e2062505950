package sfu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
)

// crew is a publisher whose encoders stop and begin as they are told, and who is recorded.
type crew struct {
	t      *testing.T
	s      *stage
	a      *actor
	lenses []*lens
	active map[string]bool // by RID
	tape   *tape
	read   int // of the tape, in packets
	walk   *walk
	start  time.Time
	n      int
}

func newCrew(t *testing.T, s *stage, name codec.Name, rng *rand.Rand, a *actor) *crew {
	c := &crew{t: t, s: s, a: a, active: map[string]bool{}, start: time.Now(), walk: &walk{t: t, name: name}}
	pub := a.publications["c"]
	for i, rid := range []string{"q", "h", "f"} {
		c.lenses = append(c.lenses, &lens{
			e: pub.open(rid), name: name, index: uint8(i), keyDue: true,
			seq: uint16(rng.Uint32()), ts: rng.Uint32(), picture: uint16(rng.Uint32()), tl0: uint8(rng.Uint32()),
		})
		c.active[rid] = true
	}
	return c
}

// film goes on for a while, and looks at what is recorded as a decoder does.
func (c *crew) film(d time.Duration) {
	c.t.Helper()
	pub := c.a.publications["c"]
	for end := time.Now().Add(d); time.Now().Before(end); c.n++ {
		now := time.Now()
		taken := uint32(now.Sub(c.start) * 9 / 100_000)
		c.obey()
		answer(c.a, c.lenses, now)
		current := forward.Stream(0)
		if t := pub.tap.Load(); t != nil {
			current = t.rewriter.Current()
		}
		for _, l := range c.lenses {
			if c.active[l.e.rid] {
				if c.n%30 == 1 {
					pub.senderReported(now, now, &rtcp.SenderReport{SSRC: uint32(l.index) + 1, NTPTime: forward.NTP(now), RTPTime: l.ts + taken})
				}
				l.shoot(now, taken, current == 0 || current == l.e.stream)
			}
			l.arrive(c.t, now)
		}
		if c.tape != nil {
			for ; c.read < len(c.tape.packets); c.read++ {
				p := &c.tape.packets[c.read]
				d := delivery{payload: c.tape.written[c.read]}
				d.Seq, d.Timestamp = p.Seq, p.Timestamp
				c.walk.packet(now, d)
			}
		}
		c.s.advance(frameTime)
	}
}

// obey stops and begins encodings as the server says. One that begins does so with a key frame.
func (c *crew) obey() {
	for _, told := range c.a.heard() {
		list, ok := strings.CutPrefix(told, "layers c ")
		if !ok {
			continue
		}
		for _, l := range c.lenses {
			on := strings.Contains(list, fmt.Sprintf("%q", l.e.rid))
			l.keyDue = l.keyDue || on && !c.active[l.e.rid]
			c.active[l.e.rid] = on
		}
	}
}

// A recording has no hole when the publisher stops an encoding that nobody looks at any more, nor when it
// begins again, however long the key frame takes and whatever of it is lost.
func TestATapLosesNothingWhenEncodingsStop(t *testing.T) {
	for _, name := range []codec.Name{codec.VP8, codec.H264} {
		t.Run(name.String(), func(t *testing.T) {
			onStage(t, func(s *stage) {
				rng := rand.New(rand.NewPCG(8, uint64(name)))
				a, b := s.enter("a"), s.enter("b")
				s.admit("a", "b")
				c := newCrew(t, s, name, rng, a)
				b.shows(t, "a", 720)
				c.film(3 * time.Second)
				c.tape = s.record("a").all["a camera"]
				begun := time.Now()
				c.film(time.Second)
				first := c.walk.shown // not the first frame's, but there is one
				var stops, widths int
				for range 25 {
					for _, height := range []int{180, 720} {
						b.shows(t, "a", height)
						c.film(linger + 2*time.Second + time.Duration(rng.IntN(500))*time.Millisecond)
						if want := height == 720; c.active["f"] != want {
							t.Fatalf("the large encoding is being sent: %v, want %v", c.active["f"], want)
						} else if !want {
							stops++
						}
						if got, want := int(c.walk.shot.encoding), map[int]int{180: 0, 720: 2}[height]; got != want {
							t.Fatalf("encoding %d is recorded of a picture that is shown %d lines high", got, height)
						}
						widths++
					}
				}
				if first.IsZero() || c.walk.switches != widths || stops != 25 {
					t.Errorf("%d changes of the encoding that is recorded, want %d, %d stops", c.walk.switches, widths, stops)
				}
				if c.walk.gap > 150*time.Millisecond {
					t.Errorf("the recording is without a picture for %v", c.walk.gap)
				}
				t.Logf("figure: %v: recorded for %v through %d stops of the largest encoding: %d frames, longest gap %v",
					name, time.Since(begun).Round(time.Second), stops, c.walk.frames, c.walk.gap.Round(time.Millisecond))
			})
		})
	}
}

// Whom nobody looks at is recorded all the same, as small as they are sent then.
func TestWhomNobodyLooksAtIsRecorded(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		s.admit("a")
		c := newCrew(t, s, codec.VP8, rand.New(rand.NewPCG(8, 8)), a)
		c.film(time.Second)
		c.tape = s.record("a").all["a camera"]
		c.film(20 * time.Second)
		if !c.active["q"] || c.active["h"] || c.active["f"] {
			t.Errorf("being sent: %v", c.active)
		}
		if c.walk.shot.encoding != 0 || c.walk.frames < 590 || c.walk.gap > 150*time.Millisecond {
			t.Errorf("%d frames, the last of encoding %d, longest gap %v", c.walk.frames, c.walk.shot.encoding, c.walk.gap)
		}
	})
}

// A recording asks for its first key frame when it begins, not when a timer comes round.
func TestARecordingBeginsWithAKeyFrame(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		s.admit("a")
		for range 60 {
			a.publish("c", "", delta)
			s.advance(frameTime)
		}
		a.asked()
		s.record("a")
		if got := a.asked(); !slices.Equal(got, []uint32{ssrcOf("c", "")}) {
			t.Errorf("key frames asked for: %v, want one of the camera at once", got)
		}
	})
}
