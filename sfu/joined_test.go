package sfu

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/redundancy"
)

// toc begins a frame of 20 ms.
const toc = "\x78"

// thin makes b's first voice slot have packets of so many frames.
func (a *actor) thin(frames int, pattern redundancy.Pattern) { a.slots[0].carry(pattern, frames) }

// sounds lists what left the slot: numbers and timestamps from the first packet on, and payloads.
func (a *actor) sounds(mid string, first delivery) (out []string) {
	for _, d := range a.got(mid) {
		out = append(out, fmt.Sprintf("%d %dms %d blocks %x", d.Seq-first.Seq, int(d.Timestamp-first.Timestamp)/48, d.Blocks, d.payload))
	}
	return out
}

func TestVoicesAreJoined(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(s *stage, a, b *actor)
		want []string
	}{
		{"three frames", func(_ *stage, a, _ *actor) {
			for _, x := range []string{"aa", "bb", "cc", "dd"} {
				a.say(toc + x)
			}
		}, []string{"1 20ms 0 blocks 7b03616162626363"}},
		{"who stops speaking is heard to the end", func(s *stage, a, _ *actor) {
			a.say(toc + "aa")
			s.advance(85 * time.Millisecond)
		}, []string{"1 20ms 0 blocks 786161"}},
		{"but what is joined is not cut short", func(s *stage, a, _ *actor) {
			a.say(toc + "aa")
			s.advance(50 * time.Millisecond)
			a.say(toc + "bb")
			a.say(toc + "cc")
		}, []string{"1 20ms 0 blocks 7b03616162626363"}},
		{"a loss is a loss", func(_ *stage, a, _ *actor) {
			a.say(toc + "aa")
			a.seqs["m"]++
			for _, x := range []string{"cc", "dd", "ee"} {
				a.say(toc + x)
			}
		}, []string{"1 20ms 0 blocks 786161", "3 60ms 0 blocks 7b03636364646565"}},
		{"silence is passed on by itself", func(_ *stage, a, _ *actor) {
			a.say(toc + "aa")
			a.say(toc)
		}, []string{"1 20ms 0 blocks 786161", "2 40ms 0 blocks 78"}},
		{"what is no Opus is passed on", func(_ *stage, a, _ *actor) {
			a.say(toc + "aa")
			a.say("\x79odd")
		}, []string{"1 20ms 0 blocks 786161", "2 167ms 0 blocks 796f6464"}},
		{"a long packet stays as it is", func(_ *stage, a, _ *actor) { a.say("\x18silk of 60 ms") },
			[]string{"1 105ms 0 blocks 1873696c6b206f66203630206d73"}},
		{"a path that is wide again", func(_ *stage, a, b *actor) {
			a.say(toc + "aa")
			b.thin(1, redundancy.None)
			a.say(toc + "bb")
		}, []string{"1 20ms 0 blocks 786161", "2 40ms 0 blocks 786262"}},
		{"who is muted is heard to the end", func(s *stage, a, _ *actor) {
			a.say(toc + "aa")
			if err := a.Mute(context.Background(), "m", true); err != nil {
				panic(err)
			}
			a.say(toc + "secret")
			s.advance(85 * time.Millisecond)
		}, []string{"1 20ms 0 blocks 786161"}},
		{"and nothing of before a mute comes after it", func(_ *stage, a, _ *actor) {
			a.say(toc + "aa")
			for _, muted := range []bool{true, false} {
				if err := a.Mute(context.Background(), "m", muted); err != nil {
					panic(err)
				}
			}
			a.say(toc + "bb") // begins anew, by itself
		}, []string{"1 0ms 0 blocks 786262"}},
		{"who leaves is not heard any more", func(s *stage, a, _ *actor) {
			a.say(toc + "aa")
			s.admit("b", "c")
			s.advance(200 * time.Millisecond)
		}, nil},
		{"copies are of packets as they left", func(s *stage, a, b *actor) {
			b.mu.Lock()
			b.Peer.protection.said.Set(time.Now(), 1_000_000)
			b.mu.Unlock()
			b.thin(2, redundancy.Near1)
			s.advance(10 * time.Millisecond)
			for _, x := range []string{"aa", "bb", "cc", "dd"} {
				a.say(toc + x)
			}
		}, []string{"1 20ms 0 blocks 7961616262", "2 60ms 1 blocks 801e0005007961616262" + "7963636464"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onStage(t, func(s *stage) {
				a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
				s.admit("a", "b", "c")
				a.say(toc + "00")
				first := b.got("a0")[0]
				c.got("a0")
				b.thin(3, redundancy.None)
				tt.play(s, a, b)
				if got := b.sounds("a0", first); !slices.Equal(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
				for _, d := range c.got("a0") {
					if d.payload[0]&3 == 3 {
						t.Errorf("who is not on a thin path got %x", d.payload)
					}
				}
			})
		})
	}
}

// Numbers go on without a hole when what was held dies with its speaker, and the timer stops.
func TestHeldDiesWithItsSpeaker(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.say(toc + "00")
		first := b.got("a0")[0]
		b.thin(3, redundancy.None)
		a.say(toc + "held")
		s.admit("b")
		s.admit("a", "b")
		a.say(toc + "back")
		got := b.got("a0")
		if len(got) != 1 || got[0].Seq != first.Seq+1 || got[0].payload != toc+"back" {
			t.Errorf("%+v", got)
		}
		if b.Peer.path.holds.Load() && b.slots[0].due(time.Now()) {
			t.Error("something is held")
		}
	})
}

// What is kept for voices follows what they are asked for, and how long their packets are.
func TestJoinedVoicesTakeLess(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.say(toc + "00")
		pub := b.slots[0].holder().publication
		for _, tt := range []struct{ frames, copies, asks, want int }{
			{1, 0, 0, 46_400}, {2, 0, 0, 35_200}, {2, 1, 0, 60_000}, {2, 1, 16_000, 44_000}, {3, 0, 12_000, 19_466},
		} {
			b.slots[0].asks.Store(int32(tt.asks))
			if got := pub.soundRate(tt.frames, tt.copies); got != tt.want {
				t.Errorf("%d frames, %d copies, %d asked for: %d bit/s, want %d", tt.frames, tt.copies, tt.asks, got, tt.want)
			}
		}
	})
}

func TestSoundOnAThinPath(t *testing.T) {
	for _, tt := range []struct {
		name         string
		voices       int
		budget, want int
	}{
		{"room: who is silent is not kept for", 2, 300_000, 75_000},
		{"thin", 2, 299_000, 133_333},
		{"thin, one voice", 1, 140_000, 66_666},
		{"wide, one voice", 1, 1_000_000, 50_000},
	} {
		var x sound
		for range tt.voices {
			x.add(50_000, 0.5, codec.Mic)
		}
		if got := x.of(tt.budget); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
