package quality

import "time"

// Level is how good one direction of a connection is, in a word.
type Level uint8

// The levels. Good is R >= 80 (ITU-T G.109: users are satisfied), poor is R < 60 (nearly all are
// not). Without delay that is 3.7 % and 12.8 % of loss; without loss, 0.40 and 0.70 s of round trip.
const (
	Unknown Level = iota // too little has been sent to tell
	Good
	Fair
	Poor
)

func (l Level) String() string { return [...]string{"", "good", "fair", "poor"}[l] }

const (
	goodR = 80
	poorR = 60
	// margin is by how much R must exceed a limit before a level that was below counts as above.
	margin = 5
	// enough packets to tell 3.7 % of loss from two lost by accident: one second of speech.
	enough = 50
)

// levelOf judges a rating, being at was: down at once, up only by a margin.
func levelOf(r float64, was Level) Level {
	l := Poor
	switch {
	case r >= goodR:
		l = Good
	case r >= poorR:
		l = Fair
	}
	if was == Unknown || l >= was {
		return l
	}
	switch r -= margin; {
	case r >= goodR:
		return Good
	case r >= poorR && was == Poor:
		return Fair
	}
	return was
}

// patience is how long a connection must do better before its level rises: a level that follows every
// second tells nobody anything.
const patience = 10 * time.Second

// dial is a level that moves with hysteresis: down at once, up after patience.
type dial struct {
	level  Level
	better time.Time // since when it has been better than level; zero: it is not
}

// judge takes one rating.
func (d *dial) judge(now time.Time, r float64) {
	l := levelOf(r, d.level)
	switch {
	case d.level == Unknown || l > d.level:
		d.level, d.better = l, time.Time{}
	case l == d.level:
		d.better = time.Time{}
	case d.better.IsZero():
		d.better = now
	case now.Sub(d.better) >= patience:
		d.level, d.better = l, time.Time{}
	}
}

// force sets the level to l, whatever was measured.
func (d *dial) force(l Level) { d.level, d.better = l, time.Time{} }
