package mkv

import (
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// What a Timeline believes.
const (
	// clockSlack is by how much a stream may be beside its clock before it is moved: sound that is moved
	// by less at every report would be played in jumps. Two streams of one person are then within 20 ms.
	clockSlack = 10 * time.Millisecond
	// maxSkew is how far what a stream says may be from when it came: it cannot come before it was
	// taken, and who says otherwise has set their clock.
	maxSkew = 3 * time.Second
)

// Timeline says when the frames of one stream were taken: by its clock once there is one, by the
// arrival of the first until then. The zero value is ready.
type Timeline struct {
	anchor  codec.Clock
	reports bool // the anchor comes from a sender report
}

// Clock takes what the stream's sender reports say.
func (l *Timeline) Clock(c codec.Clock) {
	if c.Rate == 0 {
		return
	}
	if l.reports {
		if was := l.anchor.Time(c.Timestamp); was.Sub(c.At).Abs() <= clockSlack {
			c.At = was
		}
	}
	l.anchor, l.reports = c, true
}

// Time at which a frame with the timestamp ts was taken, which came at came.
func (l *Timeline) Time(came time.Time, ts, rate uint32) time.Time {
	if l.anchor.Rate != 0 {
		if at := l.anchor.Time(ts); at.Sub(came).Abs() <= maxSkew {
			return at
		}
	}
	l.anchor, l.reports = codec.Clock{At: came, Timestamp: ts, Rate: rate}, false
	return came
}
