package capacity

import (
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
)

// Losses notes what became of packets, to tell later how many the path lost of itself. The zero value is empty.
type Losses struct {
	fates []fate // MaxArrivals at most
}

// fate of a packet that was sent at an instant: it came, or it was lost, or what was said before is taken back.
type fate struct {
	sent time.Time
	lost int
	of   int
}

// Add takes what is newly known.
func (l *Losses) Add(acks []bwe.Ack) {
	for i := range acks {
		a := &acks[i]
		f := fate{sent: a.Sent}
		switch {
		case a.Fate == bwe.Received && a.Was == bwe.Lost:
			f.lost = -1
		case a.Fate == bwe.Received:
			f.of = 1
		case a.Fate == bwe.Lost:
			f.lost, f.of = 1, 1
		default:
			continue
		}
		if len(l.fates) < MaxArrivals {
			l.fates = append(l.fates, f)
		}
	}
}

// Except counts all but those sent at a time that leave tells.
func (l *Losses) Except(leave func(sent time.Time) bool) (lost, of int) {
	for _, f := range l.fates {
		if !leave(f.sent) {
			lost += f.lost
			of += f.of
		}
	}
	return max(lost, 0), of
}
