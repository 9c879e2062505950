package bwe

import (
	"math"
	"time"
)

// The delay of a packet is how much longer it was on its way than the one that was shortest. Clocks
// need not agree, and what they drift apart in a minute (100 ppm: 6 ms) ages with the base.
const (
	// delayWindow is over which packets the delay is the least: three frames at 30/s, so that neither a
	// frame that is sent in a burst nor most of what a radio waits for is taken for a queue: who comes last
	// before the radio sends has not waited.
	delayWindow = 100 * time.Millisecond
	// baseAge is for how long a delay counts as that of the empty path, in baseBuckets of it.
	baseAge     = 60 * time.Second
	baseBuckets = 6
	// recentSize bounds what is looked through: 100 ms of 22 Mbit/s.
	recentSize = 256
)

// delay follows the queueing delay of a path.
type delay struct {
	recent  [recentSize]transit // the last packets that arrived
	count   uint
	newest  time.Duration // when the last of these was sent
	current time.Duration
	smooth  float64 // of current, seconds; what base is the least of
	known   bool
	base    [baseBuckets]float64 // the least of each tenth of baseAge
	turn    int
	turned  time.Time
	slope   float64 // of the delay, seconds a second
	before  float64
	noise   float64 // mean deviation of a single look from smooth, seconds
}

// transit of one packet; sent is since the Estimator's epoch.
type transit struct{ sent, took time.Duration }

// add takes over one packet.
func (d *delay) add(sent, arrived time.Duration) {
	d.recent[d.count%recentSize] = transit{sent: sent, took: arrived - sent}
	if d.count++; d.count == 1 || sent > d.newest {
		d.newest = sent
	}
}

// update makes current what the packets added so far tell. What is queueing delay for certain, however long,
// does not become that of the empty path with age.
func (d *delay) update(now time.Time, dt float64, queued bool) {
	least := d.least()
	raw := least.Seconds()
	if !d.known {
		d.known, d.smooth, d.turned = true, raw, now
		d.before = raw
		for i := range d.base {
			d.base[i] = raw
		}
	}
	off := raw - d.smooth
	d.smooth += off * min(1, dt/smoothing)
	d.noise += (min(math.Abs(off), 0.05) - d.noise) * min(1, dt/2)
	if off < -max(0.01, 3*d.noise) {
		d.smooth = raw // what is so much shorter is no noise
	}
	if queued {
		d.turned = now
	}
	for now.Sub(d.turned) >= baseAge/baseBuckets {
		d.turned = d.turned.Add(baseAge / baseBuckets)
		if now.Sub(d.turned) > baseAge {
			d.turned = now
		}
		d.turn = (d.turn + 1) % baseBuckets
		d.base[d.turn] = d.smooth
	}
	d.base[d.turn] = min(d.base[d.turn], d.smooth)
	d.current = max(0, time.Duration((raw-d.floor())*1e9))
	d.slope += ((raw-d.before)/max(dt, 0.02) - d.slope) * 0.5
	d.before = raw
}

// smoothing is the time constant of delay.smooth in seconds. The base must be the least of the same
// figure that is compared with it: the least single packet on a path with jitter is far below what
// is usual there, and everything would look like a queue.
const smoothing = 0.15

func (d *delay) least() time.Duration {
	n := min(d.count, recentSize)
	best := time.Duration(1<<63 - 1)
	for i := range n {
		t := &d.recent[(d.count-1-i)%recentSize]
		if i >= 4 && d.newest-t.sent > delayWindow {
			break
		}
		best = min(best, t.took)
	}
	return best
}

func (d *delay) floor() float64 {
	least := d.base[0]
	for _, b := range d.base[1:] {
		least = min(least, b)
	}
	return least
}

// queue is the smoothed queueing delay in seconds.
func (d *delay) queue() float64 { return max(0, d.smooth-d.floor()) }

// rebase takes the delay as it is for that of the empty path: the path is another.
func (d *delay) rebase() {
	for i := range d.base {
		d.base[i] = d.smooth
	}
	d.current = 0
}
