// Package layers decides which of a publication's encodings a subscriber gets. It is pure: no
// goroutine, clock, lock or socket.
package layers

import (
	"slices"
	"time"
)

const (
	// Silence is how long lower encodings go on without a higher one before that one counts as no
	// longer sent: 15 frames at 30/s, so no loss that retransmission can mend looks like it, and
	// short enough for a picture to stand still.
	Silence = 500 * time.Millisecond
	// longSilence is the same for senders whose frames are further apart than that. Browsers
	// repeat a screen on which nothing moves once a second.
	longSilence = 2500 * time.Millisecond
	// rateWindow is over what a bit rate is measured.
	rateWindow = time.Second
)

// rids are the names that bedside.js and most other clients give to the encodings, lowest first.
var rids = [...]string{"q", "h", "f"}

// Encoding is what is known of one encoding of a publication.
type Encoding struct {
	rid    string
	since  time.Time // since when packets have come without a silence
	last   time.Time // the last packet; zero before any
	window time.Time // when the measuring of the bit rate began
	bytes  int
	rate   int
}

// NewEncoding returns an encoding of which nothing has come; rid is "" without simulcast.
func NewEncoding(rid string) Encoding { return Encoding{rid: rid} }

// Packet notes that a packet of so many bytes has come.
func (e *Encoding) Packet(now time.Time, size int) {
	if e.last.IsZero() || now.Sub(e.last) >= Silence {
		e.since = now
	}
	e.last = now
	switch d := now.Sub(e.window); {
	case e.window.IsZero():
		e.window = now
	case d >= rateWindow:
		e.rate = int(int64(e.bytes) * 8 * int64(time.Second) / int64(d))
		e.window, e.bytes = now, 0
	}
	e.bytes += size
}

// Bitrate of the last full second, in bit/s; 0 before there was one.
func (e *Encoding) Bitrate() int { return e.rate }

// Highest returns the index of the highest encoding that is being sent, -1 when none ever was.
// While all are silent (a muted camera) it stays the one that was sent last.
func Highest(encodings []Encoding) int {
	best := -1
	for i := range encodings {
		if !sent(i, encodings) {
			continue
		}
		if best < 0 || higher(&encodings[i], &encodings[best]) {
			best = i
		}
	}
	return best
}

// sent tells whether encoding i is being sent, which shows only by comparison: the packets of one
// frame's encodings come one after another, and all encodings of a still screen pause together.
func sent(i int, encodings []Encoding) bool {
	e := &encodings[i]
	if e.last.IsZero() {
		return false
	}
	for j := range encodings {
		o := &encodings[j]
		if o.last.Sub(e.last) >= longSilence {
			return false
		}
		from := e.last
		if o.since.After(from) {
			from = o.since
		}
		if o.last.Sub(from) >= Silence {
			return false
		}
	}
	return true
}

// higher tells whether a is a higher encoding than b. Where the RIDs do not say it the bit rates
// do; they must be clearly apart, as the steps of any useful ladder are, lest a still picture
// changes the order. Otherwise the order stays that of the offer.
func higher(a, b *Encoding) bool {
	ra, rb := slices.Index(rids[:], a.rid), slices.Index(rids[:], b.rid)
	if ra >= 0 && rb >= 0 {
		return ra > rb
	}
	return a.rate*2 > b.rate*3
}
