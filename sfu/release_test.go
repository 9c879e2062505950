package sfu

import (
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
)

// One timer lets leave what waits, as long as something does.
func TestRelease(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		s.advance(time.Second)
		if a.ticks.Load() != 0 {
			t.Errorf("%d releases, and nothing waits", a.ticks.Load())
		}
		a.waiting.Store(5)
		a.Waits()
		s.advance(time.Second)
		if got := [2]int64{a.ticks.Load(), b.ticks.Load()}; got != [2]int64{5, 0} {
			t.Errorf("%v releases, want 5 of the one and none of the other", got)
		}
		a.waiting.Store(1)
		a.Waits()
		b.waiting.Store(2)
		b.Waits()
		s.advance(3 * releaseInterval)
		if got := [2]int64{a.ticks.Load(), b.ticks.Load()}; got != [2]int64{6, 2} {
			t.Errorf("%v releases, want 6 and 2", got)
		}
	})
}

// Nothing waits until something has held the path back; then it goes by the estimate.
func TestPaceFollowsTheEstimate(t *testing.T) {
	for _, tt := range []struct {
		state         bwe.State
		bitrate, want int
	}{
		{bwe.Start, 700_000, 0}, {bwe.Rising, 700_000, 700_000}, {bwe.Steady, 700_000, 700_000}, {bwe.Draining, 700_000, 700_000},
		{bwe.Competing, 700_000, 700_000}, {bwe.Start, 300_000, 0}, {bwe.Steady, 300_000, 300_000}, {bwe.Draining, 60_000, 60_000},
	} {
		if got := paced(bwe.Estimate{Bitrate: tt.bitrate, State: tt.state}); got != tt.want {
			t.Errorf("%v, %d: %d, want %d", tt.state, tt.bitrate, got, tt.want)
		}
	}
	onStage(t, func(s *stage) {
		a := s.enter("a")
		s.admit("a")
		a.paced.Store(-1)
		s.advance(controlInterval)
		if got := a.paced.Load(); got != 0 {
			t.Errorf("at first paced by %d", got)
		}
	})
}

// Where too much waits, pictures go on with a key frame that is asked for, and nothing of before is sent again.
func TestTooMuchWaits(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.publish("c", "", keyFrame)
		a.publish("c", "", delta)
		b.got("v0")
		s.advance(time.Second) // encoders are not asked twice at once
		a.asked()
		b.mu.Lock()
		b.full, b.drops = true, nil
		b.mu.Unlock()
		a.publish("c", "", delta)
		b.mu.Lock()
		b.full = false
		dropped := slices.Clone(b.drops)
		b.mu.Unlock()
		if !slices.Equal(dropped, []string{"v0"}) {
			t.Errorf("dropped what waits of %q, want v0", dropped)
		}
		a.publish("c", "", delta)
		if got := b.got("v0"); got != nil {
			t.Errorf("%d packets that cannot be decoded", len(got))
		}
		s.advance(2 * controlInterval)
		if got := a.asked(); !slices.Contains(got, ssrcOf("c", "")) {
			t.Errorf("key frames asked of %v", got)
		}
		a.publish("c", "", keyFrame)
		if got := b.got("v0"); len(got) != 1 {
			t.Errorf("%d packets of the key frame", len(got))
		}
		a.speak(10)
		if got := b.got("a0"); len(got) != 1 {
			t.Errorf("%d packets of sound", len(got))
		}
	})
}

// What has not left yet is not sent a second time for a NACK, and nothing of it is left when a slot changes hands.
func TestNackOfWhatWaits(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.publish("c", "", keyFrame)
		a.publish("c", "", delta)
		sent := b.got("v0")
		b.mu.Lock()
		b.held = map[uint16]bool{sent[1].Seq: true}
		b.drops = nil
		b.mu.Unlock()
		slot := b.slotOf(103)
		if n, missed := slot.retransmit(time.Now(), b.Peer, []uint16{sent[0].Seq, sent[1].Seq}); n != 1 || missed != 0 {
			t.Errorf("%d sent, %d missed; want the one that has left", n, missed)
		}
		if got := b.got("v0"); len(got) != 1 || !got[0].rtx {
			t.Errorf("%d packets, want one retransmission", len(got))
		}
		s.admit("b")
		b.mu.Lock()
		defer b.mu.Unlock()
		if !slices.Contains(b.drops, "v0") {
			t.Errorf("dropped what waits of %q, want v0 among them", b.drops)
		}
	})
}
