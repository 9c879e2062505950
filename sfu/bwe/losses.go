package bwe

import (
	"math"
	"time"
)

// What makes a window of losses: long enough for a figure, short enough to act upon.
const (
	lossWindow  = 400 * time.Millisecond
	lossPackets = 50
	// lossUsual is what a path may well lose, until lossKnown packets have told.
	lossUsual = 0.02
	lossKnown = 500
	// lossAtOnce is how much is taken for the path's nature when nothing is known of it yet.
	lossAtOnce = 0.15
)

// losses tells how much is lost, and how much of it is lost whatever is sent: the noise of a radio.
// A share that is lost without a queue is taken for that unless sending less makes it less, which the
// control finds out.
type losses struct {
	got, lost int
	since     time.Time
	fraction  float64 // of the last window
	packets   int     // of it
	seen      int     // packets of all windows, as far as it matters
	inherent  float64
	known     bool
	all       lossCount
}

// lossCount counts packets since the beginning.
type lossCount struct{ got, lost int }

// since is the share that was lost since an earlier count.
func (n lossCount) since(o lossCount) float64 {
	got, lost := n.got-o.got, n.lost-o.lost
	return float64(max(lost, 0)) / float64(max(got+lost, 1))
}

func (l *losses) add(a *Ack) {
	switch {
	case a.Fate == Received && a.Was == Lost:
		l.got++
		l.lost = max(0, l.lost-1)
		l.all.got++
		l.all.lost--
	case a.Fate == Received:
		l.got++
		l.all.got++
	case a.Fate == Lost:
		l.lost++
		l.all.lost++
	}
}

// update ends a window when it is full, and tells whether it did. What is lost to a queue of our own making
// is not the path's nature.
func (l *losses) update(now time.Time, draining bool) bool {
	if l.since.IsZero() || draining {
		l.since, l.got, l.lost = now, 0, 0
	}
	l.packets = l.got + l.lost
	if now.Sub(l.since) < lossWindow || l.packets < lossPackets {
		return false
	}
	l.fraction = float64(l.lost) / float64(l.packets)
	l.since, l.got, l.lost = now, 0, 0
	l.seen = min(l.seen+l.packets, lossKnown)
	if !l.known {
		l.known, l.inherent = true, min(l.fraction, lossAtOnce)
	}
	return true
}

// excess is how much more was lost in the last window than chance explains: three standard deviations,
// and a packet, because the few that are lost of some 50 are not spread as many would be. (Of 28 with 2 %
// lost, three are in one window of fifty, and each such window lowered a narrow path's rate by a fifth.)
func (l *losses) excess() float64 {
	p, n := max(l.inherent, 0.005), float64(max(l.packets, 1))
	if l.seen < lossKnown {
		p = max(p, lossUsual)
	}
	spread := 3*math.Sqrt(p*(1-p)/n) + 1/n
	return l.fraction - p - max(spread, 0.02)
}

// accept takes the last window's losses for a part of the path's nature.
func (l *losses) accept(weight float64) { l.inherent += (l.fraction - l.inherent) * weight }
