package sfu

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// delivers makes the actor's client tell that it got packets of 1,000 bytes, each 8 ms, since from.
func (a *actor) delivers(from time.Time, n int) {
	a.mu.Lock()
	a.acks = nil
	for i := range n {
		at := time.Duration(i) * 8 * time.Millisecond
		a.acks = append(a.acks, bwe.Ack{Sent: from.Add(at), Arrived: from.Sub(a.opened) + at, Size: 1000, Fate: bwe.Received})
	}
	a.mu.Unlock()
	a.Feedback(time.Now(), &twcc.Feedback{})
}

func TestBudget(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		s.admit("a")
		s.advance(controlInterval)
		if got := a.budget(); got.Known || got.Bitrate != openBitrate {
			t.Errorf("before any feedback: %+v", got)
		}
		for range 20 {
			from := time.Now()
			s.advance(controlInterval)
			a.delivers(from, 12)
		}
		if got := a.budget(); got.Bitrate < 600_000 || got.Bitrate > 2_000_000 {
			t.Errorf("1 Mbit/s having arrived: %+v", got)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.padded != 0 {
			t.Errorf("%d packets of padding, and nothing is wanted", a.padded)
		}
	})
}

// Padding goes out only while more is wanted, at a probe's rate, and stops with the peer.
func TestProbe(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		s.admit("a")
		s.advance(controlInterval)
		a.want(3_000_000)
		a.heard()
		a.delivers(time.Now().Add(-100*time.Millisecond), 4)
		if got := a.heard(); len(got) != 1 || got[0] != "probe 1" {
			t.Errorf("told %v, want the marking of a probe", got)
		}
		s.advance(50 * time.Millisecond)
		a.mu.Lock()
		padded := a.padded
		a.mu.Unlock()
		if padded == 0 {
			t.Error("nothing was padded")
		}
		if err := a.Peer.Close(); err != nil { // waits for the probe
			t.Fatal(err)
		}
		if got := a.heard(); len(got) == 0 || got[len(got)-1] != "probe 0" {
			t.Errorf("told %v, want the end of the probe", got)
		}
	})
}
