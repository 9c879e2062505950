package sfu

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/transport"
)

// limits returns what REMB said to the actor since the last call.
func (a *actor) limits() (out []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.rtcp {
		if remb, ok := p.(*rtcp.ReceiverEstimatedMaximumBitrate); ok {
			out = append(out, int(remb.Bitrate))
		}
	}
	a.rtcp = nil
	return out
}

// talk lets the actor send so many packets of 20 ms that come at that interval, and bytes beside each.
func (a *actor) talk(packets int, interval time.Duration, bytes uint64) {
	for range packets {
		a.s.advance(interval)
		a.mu.Lock()
		a.inbound += bytes
		a.mu.Unlock()
		a.say(toc + "word")
	}
}

// missesPicture lets a packet of the camera get lost, and tells whether it is asked for.
func (a *actor) missesPicture() (asked bool) {
	a.limits()
	a.seqs["cq"]++
	a.publish("c", "q", keyFrame)
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.rtcp, func(p rtcp.Packet) bool { _, ok := p.(*rtcp.TransportLayerNack); return ok })
}

// TestFullUplink: who fills a thin uplink is told so in three ways; when the queue has gone and none comes back, all
// of it is taken back.
func TestFullUplink(t *testing.T) {
	onStage(t, func(s *stage) {
		a, _ := s.enter("a"), s.enter("b")
		a.bounded.Store(true)
		s.admit("a", "b")
		a.publish("c", "q", keyFrame)
		a.talk(50, 20*time.Millisecond, 150)
		a.heard()
		if got := a.limits(); got != nil {
			t.Fatalf("limits of a good path: %v", got)
		}
		a.talk(10, 40*time.Millisecond, 300) // a queue of 200 ms
		a.talk(60, 20*time.Millisecond, 150)
		told := a.heard()
		for _, want := range []string{`layers c []`, "audio 12000 bit/s, carry [], delay 0s, packets of 60ms"} {
			if !slices.Contains(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
		}
		if got := a.limits(); len(got) == 0 || got[0] < 30_000 || got[0] > 40_000 { // six tenths of 60
			t.Errorf("limits %v", got)
		}
		if got := s.metric("bedside_uplinks_full_total", ""); got != 1 {
			t.Errorf("%v uplinks were full, want 1", got)
		}
		if a.missesPicture() {
			t.Error("a picture is asked for again on a path that has no room for it")
		}
		a.talk(20, 10*time.Millisecond, 40)
		a.talk(2000, 20*time.Millisecond, 40)
		told = a.heard()
		if !slices.ContainsFunc(told, func(x string) bool { return x == `layers c ["q" "h" "f"]` }) ||
			!slices.Contains(told, "audio 0 bit/s, carry [], delay 0s") {
			t.Errorf("after 40 s without a queue: told %q", told)
		}
		if got := a.limits(); len(got) == 0 || got[len(got)-1] != noLimit {
			t.Errorf("limits %v", got)
		}
		if !a.missesPicture() {
			t.Error("a picture is not asked for again any more")
		}
	})
}

// TestPicturesAreLost: half of the pictures lost beside a voice that comes as it should, on a thin path, is one that has been
// full since the first packet.
func TestPicturesAreLost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		every int // of how many packets of the camera one comes
		told  bool
	}{{"one in three comes", 3, true}, {"one is lost in ten", 0, false}} {
		t.Run(tt.name, func(t *testing.T) {
			onStage(t, func(s *stage) {
				a, _ := s.enter("a"), s.enter("b")
				s.admit("a", "b")
				a.publish("c", "q", keyFrame)
				for i := range 60 {
					if a.seqs["cq"] += uint16(max(0, tt.every-1)); tt.every == 0 && i%10 == 0 {
						a.seqs["cq"]++
					}
					a.publish("c", "q", keyFrame)
					a.talk(1, 20*time.Millisecond, 150)
				}
				if told := slices.Contains(a.heard(), "layers c []"); told != tt.told {
					t.Errorf("told: %v", told)
				}
			})
		})
	}
}

// Who has not agreed to REMB is sent none, and told the rest.
func TestFullUplinkWithoutREMB(t *testing.T) {
	onStage(t, func(s *stage) {
		a, _ := s.enter("a"), s.enter("b")
		if err := a.adopt(transport.Negotiation{AudioLevelID: 1}, nil); err != nil {
			t.Fatal(err)
		}
		s.admit("a", "b")
		a.talk(50, 20*time.Millisecond, 150)
		a.talk(10, 40*time.Millisecond, 300)
		a.talk(60, 20*time.Millisecond, 150)
		if told := a.audio(); len(told) != 1 {
			t.Errorf("told %q", told)
		}
		if got := a.limits(); got != nil {
			t.Errorf("limits %v", got)
		}
	})
}
