package sfu

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// audio returns what the actor was told of its audio since the last call.
func (a *actor) audio() (out []string) {
	for _, x := range a.heard() {
		if strings.HasPrefix(x, "audio ") {
			out = append(out, x)
		}
	}
	return out
}

// What a publisher loses on the way here is what it is told to carry.
func TestPublishersAreToldWhatToCarry(t *testing.T) {
	for _, tt := range []struct {
		name string
		came string // of each ten packets
		want []string
	}{
		{"nothing lost", "..........", nil},
		{"one in ten", ".........x", []string{"audio 16000 bit/s, carry [1 3], delay 0s"}},
		{"three in a row", ".......xxx", []string{"audio 16000 bit/s, carry [4 9], delay 0s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onStage(t, func(s *stage) {
				a, b := s.enter("a"), s.enter("b")
				s.admit("a", "b")
				b.heard()
				a.heard()
				for i := range 200 {
					s.advance(20 * time.Millisecond)
					if tt.came[i%10] == 'x' {
						a.seqs["m"]++
					} else {
						a.say("word")
					}
				}
				told := a.audio()
				if len(tt.want) > 0 && len(told) > 0 {
					told = told[len(told)-1:] // bursts are known after some
				}
				if !slices.Equal(told, tt.want) {
					t.Errorf("told %q, want %q", told, tt.want)
				}
				if got := b.audio(); got != nil {
					t.Errorf("who publishes nothing was told %q", got)
				}
				// Muted, and back: the numbers of between are no loss.
				if err := a.Mute(context.Background(), "m", true); err != nil {
					t.Fatal(err)
				}
				a.seqs["m"] += 50
				a.say("aside")
				if err := a.Mute(context.Background(), "m", false); err != nil {
					t.Fatal(err)
				}
				a.say("word")
				s.advance(2 * reportInterval)
				if got := a.audio(); got != nil {
					t.Errorf("after a mute told %q", got)
				}
			})
		})
	}
}

func TestCarried(t *testing.T) {
	for _, tt := range []struct {
		came string // of each ten packets of 20 ms
		want []int
	}{
		{"..........", nil}, {".........x", []int{1, 3}}, {"......xxx.", []int{4, 9}}, {".x.x.x.x.x", []int{1, 3}},
	} {
		var x carried
		for i := range 500 {
			if tt.came[i%10] == '.' {
				x.came(&codec.Packet{Seq: uint16(65000 + i), Timestamp: uint32(i) * 960})
			}
			if i%50 == 49 {
				x.decide(time.Unix(int64(i/50), 0))
			}
		}
		if got := x.pattern.Distances(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: to carry %v, want %v", tt.came, got, tt.want)
		}
	}
}

// The worst path decides for a voice, and for nobody else's.
func TestVoicesFollowTheWorstPath(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b", "c")
		for _, x := range []*actor{a, b, c} {
			x.heard()
		}
		slotOf := func(x *actor, of string) *slot {
			for _, slot := range x.seated {
				if slot.kind == codec.Audio && slot.sitting != nil && slot.sitting.sub.publication.peer.o.ID == of {
					return slot
				}
			}
			t.Fatalf("%s has no slot for %s", x.o.ID, of)
			return nil
		}
		for _, step := range []struct {
			b, c int32
			want []string
		}{
			{16_000, 0, []string{"audio 16000 bit/s, carry [], delay 0s"}},
			{16_000, 12_000, []string{"audio 12000 bit/s, carry [], delay 0s"}},
			{12_000, 12_000, nil},
			{0, 0, []string{"audio 0 bit/s, carry [], delay 0s"}},
		} {
			slotOf(b, "a").asks.Store(step.b)
			slotOf(c, "a").asks.Store(step.c)
			if err := s.room.do(context.Background(), func() { s.room.announceLayers(time.Now()) }); err != nil {
				t.Fatal(err)
			}
			if got := a.audio(); !slices.Equal(got, step.want) {
				t.Errorf("asked for %d and %d, told %q, want %q", step.b, step.c, got, step.want)
			}
			if got := append(b.audio(), c.audio()...); got != nil {
				t.Errorf("the others were told %q", got)
			}
		}
	})
}

// Copies that come late are of use to who waits for them.
func TestFarCopiesAreWaitedFor(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		b.heard()
		seq := uint16(0)
		for range 20 {
			a.say("word")
			b.losesInBursts(&seq)
		}
		if got, want := b.audio(), []string{"audio 0 bit/s, carry [], delay 180ms"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}
