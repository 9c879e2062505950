package uplink_test

import (
	"math/rand/v2"
	"time"

	"github.com/bedside-video/bedside/sfu/uplink"
)

// world is a sender whose own estimate does not see the path, and a path: a queue of 200 ms at its rate, jitter and
// loss by chance. The sender does as it is told, after a while.
type world struct {
	rng   *rand.Rand
	e     uplink.Estimator
	rate  float64       // of the path, bit/s; 0: no end
	way   time.Duration // beside the queue
	loss  float64
	shake time.Duration // by which packets are late, each by itself
	stuck time.Duration // for which everything stands still, each two seconds
	gone  time.Duration // for which nothing comes, from ten seconds on
	wants float64       // of the camera
	deaf  bool          // does not do as it is told
	dtx   bool          // nobody speaks
	rival float64       // bit/s that others send
	held  time.Duration // for which the sender has no time for a packet
	mute  bool          // it does not tell when it sends

	now      time.Duration
	seq      uint16
	next     time.Duration // voice, and
	picture  time.Duration // when the next is sent
	free     time.Duration // when the path is
	arrivals []arrival
	bytes    uint64
	told     []order
	filmed   uint64 // packets of pictures, and of these
	dropped  uint64
	lacking  uint64 // as the server knows
	noticed  uint64
	order    order // that holds

	lateVoices, lostVoices, voices, pictures int                    // of a span
	bad                                      map[time.Duration]bool // half seconds of it with a late packet
	longest                                  time.Duration
}

type arrival struct {
	at, made, sent time.Duration
	bytes          int
	voice          bool
	seq            uint16
}

// order is what the sender was told, and when it comes.
type order struct {
	at          time.Duration
	limit       int
	small, dark bool
	voice       int // bit/s
}

const (
	frames    = 33 * time.Millisecond
	word      = 500 * time.Millisecond // until what it is told comes
	most      = 200 * time.Millisecond // of a queue
	leastSent = 30_000                 // of a camera, whatever the limit is
)

func newWorld(seed uint64, rate float64) *world {
	return &world{mute: seed%2 == 0, rng: rand.New(rand.NewPCG(seed, 1)), rate: rate, way: 100 * time.Millisecond, wants: 120_000}
}

var began = time.Unix(1_700_000_000, 0) //nolint:gochecknoglobals // a constant

// play lets time pass, in milliseconds, and counts anew.
func (w *world) play(d time.Duration) {
	w.lateVoices, w.lostVoices, w.voices, w.pictures, w.longest, w.bad = 0, 0, 0, 0, 0, map[time.Duration]bool{}
	for end := w.now + d; w.now < end; w.now += time.Millisecond {
		for len(w.told) > 0 && w.told[0].at <= w.now {
			w.order, w.told = w.told[0], w.told[1:]
		}
		if w.now >= w.next {
			w.speak()
		}
		if w.now >= w.picture {
			w.picture += frames
			if w.wants > 0 && !w.order.dark {
				w.film()
			}
		}
		if w.rival > 0 && w.rate > 0 && w.free-w.now < most {
			w.free += time.Duration(float64(time.Millisecond) * w.rival / w.rate)
		}
		w.receive()
		if w.now%(100*time.Millisecond) == 0 && !w.deaf {
			w.tell()
		}
	}
}

// speak sends a packet of the voice: what it is to have, twice, in 20 ms or 60.
func (w *world) speak() {
	interval, rate := 20*time.Millisecond, 24_000
	if w.order.dark {
		rate = w.order.voice
	}
	if w.order.small {
		interval = 60 * time.Millisecond
	}
	bytes := 2*int(float64(rate)/8*interval.Seconds()) + 69
	if w.dtx {
		interval, bytes = 400*time.Millisecond, 75
	}
	w.next += interval
	w.voices++
	w.seq++
	if !w.send(bytes, true) {
		w.lostVoices++
	}
}

func (w *world) film() {
	rate := w.wants
	if w.order.limit > 0 {
		rate = min(rate, max(leastSent, float64(w.order.limit)-74_000))
	}
	bytes := int(rate/8*frames.Seconds()) + 69
	for ; bytes > 0; bytes -= 1200 {
		w.filmed++
		if !w.send(min(bytes, 1200), false) {
			w.dropped++
		} else {
			w.lacking, w.noticed = w.dropped, w.filmed // it comes, so what was before it is missed
		}
	}
	w.pictures++
}

func (w *world) send(bytes int, voice bool) bool {
	at := w.now
	if w.rate > 0 {
		if w.free-w.now > most {
			return false
		}
		w.free = max(w.free, w.now) + time.Duration(float64(8*bytes)/w.rate*float64(time.Second))
		at = w.free
	}
	if w.rng.Float64() < w.loss || w.now >= 10*second && w.now < 10*second+w.gone {
		return false
	}
	at += w.way + w.held
	if w.shake > 0 {
		at += time.Duration(w.rng.Int64N(int64(w.shake)))
	}
	if since := at % (2 * time.Second); since < w.stuck {
		at += w.stuck - since
	}
	w.arrivals = append(w.arrivals, arrival{at, w.now, w.now + w.held, bytes, voice, w.seq})
	return true
}

func (w *world) receive() {
	kept := w.arrivals[:0]
	for _, a := range w.arrivals {
		if a.at > w.now {
			kept = append(kept, a)
			continue
		}
		w.bytes += uint64(a.bytes)
		if !a.voice {
			continue
		}
		late := a.at - a.sent - w.way
		w.longest = max(w.longest, late)
		if late > 150*time.Millisecond {
			w.bad[w.now/(500*time.Millisecond)] = true
			w.lateVoices++
		}
		w.e.Voice(began.Add(w.now), w.packet(a))
	}
	w.arrivals = kept
}

// packet is what the server knows of one.
func (w *world) packet(a arrival) uplink.Packet {
	return uplink.Packet{
		Seq: a.seq, End: uint32(a.made*48/time.Millisecond) + 4_294_900_000, Bytes: w.bytes,
		Stamped: !w.mute, SendTime: uint32((a.sent<<18)/time.Second) & 0xFFFFFF,
	}
}

// tell says what follows of the verdict.
func (w *world) tell() {
	w.e.Pictures(began.Add(w.now), w.lacking, w.noticed)
	v := w.e.Verdict(began.Add(w.now))
	dark, small := uplink.Alone(w.order.dark, v), uplink.Small(w.order.small, v)
	if n := len(w.told); n > 0 {
		dark, small = uplink.Alone(w.told[n-1].dark, v), uplink.Small(w.told[n-1].small, v)
	}
	w.told = append(w.told, order{w.now + word, v.Limit, small, dark, uplink.Voice(small, v)})
}

func (w *world) verdict() uplink.Verdict { return w.e.Verdict(began.Add(w.now)) }
