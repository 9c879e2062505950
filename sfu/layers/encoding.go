package layers

import (
	"slices"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
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
	// settled is how many windows an encoding is measured before that tells what it takes: libwebrtc begins with
	// 300 kbit/s for all encodings together and takes seconds to find more. And who has nobody who wants it is stopped
	// after five: 204 kbit/s of 290 were seen of one then (Chromium 156, 2026-11-22).
	settled = 10
	// answered is how many windows an encoder takes at most to come to a rate that it was asked for.
	answered = 3
	// unnamed is what an encoding is taken for, in bit/s, while neither its name nor a second of it tells.
	unnamed = 300_000
	// packetOverhead is what a packet takes beside its RTP bytes: the SRTP tag, UDP and IP.
	packetOverhead = 16 + 8 + 20
)

// rung is what one encoding of bedside.js is sent as.
type rung struct {
	rid     string
	height  int // pixels
	bitrate int // bit/s at most
}

// ladder returns the encodings of bedside.js, lowest first (design D7). Most other clients use the same
// names.
func ladder() [3]rung {
	return [...]rung{{"q", 180, 100_000}, {"h", 360, 260_000}, {"f", 720, 1_500_000}}
}

// RIDs returns the names of the encodings of bedside.js, lowest first.
func RIDs() []string {
	var out []string
	for _, r := range ladder() {
		out = append(out, r.rid)
	}
	return out
}

// share is the part of a bit rate, in tenths, that libvpx spends up to each of three temporal layers
// (libwebrtc, kLayerRateAllocation).
func share(temporal int) int { return [Temporals]int{4, 6, 10}[temporal] }

// Encoding is what is known of one encoding of a publication.
type Encoding struct {
	rid    string
	since  time.Time // since when packets have come without a silence
	last   time.Time // the last packet; zero before any
	window time.Time // when the measuring of the bit rate began
	bytes  [Temporals]int
	rates  [Temporals]int // bit/s of each temporal layer, smoothed
	top    uint8          // highest temporal layer of the window before
	seen   uint8          // and of this one
	known  bool           // there was a full window
	young  int            // windows since packets came, or came again
	asked  int            // windows in which it falls to what was asked for

	key      bool   // the frame that arrives is a key frame
	keyStamp uint32 // its timestamp
	keyBytes int    // of the key frame that arrived last
}

// NewEncoding returns an encoding of which nothing has come; rid is "" without simulcast.
func NewEncoding(rid string) Encoding { return Encoding{rid: rid} }

// RID of the encoding.
func (e *Encoding) RID() string { return e.rid }

// Packet notes that a packet has come. Key frames are measured by themselves: they come when somebody
// asks, and a rate that jumps with each would make subscriptions go down and up.
func (e *Encoding) Packet(now time.Time, p *codec.Packet) {
	if e.last.IsZero() || now.Sub(e.last) >= Silence {
		e.since = now
	}
	if e.last.IsZero() || now.Sub(e.last) >= longSilence {
		e.window, e.bytes, e.young = now, [Temporals]int{}, 0
	}
	e.last = now
	if d := now.Sub(e.window); d >= rateWindow {
		e.measure(d)
		e.window, e.bytes, e.top, e.seen = now, [Temporals]int{}, e.seen, 0
	}
	size := p.Size + packetOverhead
	if p.KeyFrame && (!e.key || e.keyStamp != p.Timestamp) {
		e.key, e.keyStamp, e.keyBytes = true, p.Timestamp, 0
	}
	if e.key = e.key && e.keyStamp == p.Timestamp; e.key {
		e.keyBytes += size
		return
	}
	t := min(p.VP8.TID, Temporals-1)
	e.seen = max(e.seen, t)
	e.bytes[t] += size
}

// measure takes a window over: at once where the rate has grown, by a sixth where it has fallen. A
// still picture takes little, but only until somebody moves.
func (e *Encoding) measure(d time.Duration) {
	for t := range e.rates {
		rate := int(int64(e.bytes[t]) * 8 * int64(time.Second) / int64(d))
		if e.known && e.asked == 0 && rate < e.rates[t] && t <= int(e.seen) {
			rate = e.rates[t] - (e.rates[t]-rate)/6
		}
		e.rates[t] = rate
	}
	e.known, e.asked = true, max(0, e.asked-1)
	e.young = min(e.young+1, settled)
}

// Asked notes that the publisher has been asked for another rate: what is measured next is taken for it.
func (e *Encoding) Asked() { e.asked = answered }

// Rates returns what the encoding takes in bit/s up to and including each temporal layer, and the
// highest temporal layer that it has. Before there was a full second it is what encodings of that
// name take at most.
func (e *Encoding) Rates() (rates [Temporals]int, top uint8) {
	top = max(e.top, e.seen)
	if e.known {
		sum := 0
		for t := range rates {
			sum += e.rates[t]
			rates[t] = sum
		}
		return rates, top
	}
	whole := unnamed
	for _, r := range ladder() {
		if r.rid == e.rid {
			whole = r.bitrate
		}
	}
	for t := range rates {
		rates[t] = whole
		if top > 0 {
			rates[t] = whole / 10 * share(t)
		}
	}
	return rates, top
}

// full is what an encoding will come to in bit/s by its name, of which too little was measured; 0 once that is not so.
func (e *Encoding) full() int {
	if r := rank(e.rid); r >= 0 && e.young < settled {
		return ladder()[r].bitrate + 30*(packetOverhead+12)*8 // RTP's header, too, 30 times a second
	}
	return 0
}

// Bitrate of all temporal layers in bit/s, 0 before there was a full second.
func (e *Encoding) Bitrate() int {
	if !e.known {
		return 0
	}
	rates, _ := e.Rates()
	return rates[Temporals-1]
}

// keyBits is the size of a key frame. One that was never seen is taken for half a second of the
// encoding.
func (e *Encoding) keyBits() int {
	if e.keyBytes > 0 {
		return e.keyBytes * 8
	}
	rates, _ := e.Rates()
	return rates[Temporals-1] / 2
}

// height is how many lines the encoding has by its name, 0 where the name does not tell.
func (e *Encoding) height() int {
	for _, r := range ladder() {
		if r.rid == e.rid {
			return r.height
		}
	}
	return 0
}

// Highest returns the index of the highest encoding that is being sent, -1 when none ever was.
// While all are silent (a muted camera) it stays the one that was sent last.
func Highest(encodings []Encoding) int {
	best := -1
	for i := range encodings {
		if Sent(i, encodings) && (best < 0 || higher(&encodings[i], &encodings[best])) {
			best = i
		}
	}
	return best
}

// usualEncodings is how many a publication has at most where order is to be made without allocating.
const usualEncodings = 4

// Order returns the indices of encodings, the lowest first.
func Order(encodings []Encoding) []int { return appendOrder(nil, encodings) }

func appendOrder(order []int, encodings []Encoding) []int {
	for i := range encodings {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case higher(&encodings[a], &encodings[b]):
			return 1
		case higher(&encodings[b], &encodings[a]):
			return -1
		}
		return 0
	})
	return order
}

// Sent tells whether encoding i is being sent, which shows only by comparison: the packets of one
// frame's encodings come one after another, and all encodings of a still screen pause together.
func Sent(i int, encodings []Encoding) bool {
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
	ra, rb := rank(a.rid), rank(b.rid)
	if ra >= 0 && rb >= 0 {
		return ra > rb
	}
	return a.Bitrate()*2 > b.Bitrate()*3
}

// rank of an encoding by its name, -1 for a name that does not tell.
func rank(rid string) int {
	for i, r := range ladder() {
		if r.rid == rid {
			return i
		}
	}
	return -1
}
