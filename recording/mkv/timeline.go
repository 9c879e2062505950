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

// quickSpan is for how long at least, and for twice as long at most, what came quickest says how soon the rest
// can have been taken: a sender's crystal is wrong by 1 ms in that time.
const quickSpan = 10 * time.Second

// Timeline says when the frames of one stream were taken: by its clock once there is one, by the
// arrival of the first until then. Nothing can have been taken after it came, or would have come as
// quickly as the quickest: a clock that says so, as senders' clocks of sound do when they are busy, is
// wrong. The zero value is ready.
type Timeline struct {
	anchor   codec.Clock
	reports  bool           // the anchor comes from a sender report
	quickest [2]codec.Clock // what came soonest after it was taken, in the last span and in this one
	span     time.Time      // when this one began
	came     time.Time      // the last frame
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
	latest := l.latest(came, ts, rate)
	if l.anchor.Rate != 0 {
		if at := l.anchor.Time(ts); at.Sub(came).Abs() <= maxSkew {
			if at.After(latest) {
				return latest
			}
			return at
		}
	}
	l.anchor, l.reports = codec.Clock{At: latest, Timestamp: ts, Rate: rate}, false
	return latest
}

// latest is the time at which the frame can have been taken at the latest.
func (l *Timeline) latest(came time.Time, ts, rate uint32) time.Time {
	this := codec.Clock{At: came, Timestamp: ts, Rate: rate}
	switch {
	case l.quickest[1].Rate != rate || came.Sub(l.came).Abs() > time.Second: // numbered anew after a pause
		l.quickest = [2]codec.Clock{this, this}
		l.span = came
	case came.Sub(l.span) > quickSpan:
		l.quickest = [2]codec.Clock{l.quickest[1], this}
		l.span = came
	}
	l.came = came
	for i := range l.quickest {
		q := &l.quickest[i]
		if at := q.Time(ts); at.After(this.At) || this.At.Sub(at) > maxSkew {
			*q = this
		} else if at.Before(came) {
			came = at
		}
	}
	return came
}
