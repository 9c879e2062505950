package sfu

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// Who is heard again after a silence gets new key frames without asking for them; who only pauses, as
// receivers do between reports, gets none.
func TestWhoReturnsGetsKeyFrames(t *testing.T) {
	for _, tt := range []struct {
		name    string
		silence time.Duration
		want    int
	}{{"between two reports", 1500 * time.Millisecond, 0}, {"after a hole", 5 * time.Second, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			onStage(t, func(s *stage) {
				a, b := s.enter("a"), s.enter("b")
				s.admit("a", "b")
				a.publish("c", "", keyFrame)
				b.RTCP(time.Now(), &rtcp.ReceiverReport{})
				a.asked()
				s.advance(tt.silence)
				b.RTCP(time.Now(), &rtcp.ReceiverReport{})
				if got := a.asked(); len(got) != tt.want {
					t.Errorf("asked %d times, want %d", len(got), tt.want)
				}
			})
		})
	}
}
