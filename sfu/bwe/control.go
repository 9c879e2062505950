package bwe

import (
	"fmt"
	"math"
	"time"
)

// RFC 8698 section 4.3, with its names; the gain is twice as high, our feedback being twice as often.
const (
	nadaKappa = 0.8
	nadaEta   = 2.0
	nadaTau   = 0.5 // s
	// referenceBits is the delay reference times the reference rate: 8.5 ms at 1.3 Mbit/s. A flow at
	// rate r rests at a queueing delay of referenceBits/r, within these bounds.
	referenceBits  = 0.0085 * 1.3e6
	referenceLeast = 0.004
	referenceMost  = 0.035
)

const (
	drainAbove  = 0.030 // s of queue over the reference: too long for gentle means
	drainWithin = 0.4   // s in which it is to be gone
	echoAbove   = 0.03  // more, while it may be of a probe: what was sent before it did go
	drainLeast  = 0.4   // of what leaves the queue, at least this is sent
	drainAfter  = 0.92  // of it, when the queue is gone
	quietQueue  = 0.003 // s of queue that is none,
	quietNoise  = 0.7   // and mean deviations of it
	restNoise   = 1.4   // mean deviations over the reference at which a flow rests
	quietFor    = 700 * time.Millisecond
	riseFast    = 1.2  // a second, before anything has held us back
	riseSlow    = 0.25 // a second, later
)

// signal is what one feedback tells; times in seconds, rates in bit/s.
type signal struct {
	now                         time.Time
	dt                          float64
	rtt                         time.Duration
	queue, smooth, slope, noise float64
	acked, sent, verified       float64
	arrived                     *meter
	limited, probing            bool
	echo                        bool // what is in the queue may be a probe's
	lossWindow                  bool // a window of losses is full
	losses                      *losses
}

// leaves is the rate of what leaves the queue. It is looked up only when there is one. What comes at once after
// a radio has waited is more than leaves a queue, but not over a longer time.
func (s *signal) leaves() (float64, bool) {
	rate, ok := s.arrived.departures(leavesOver)
	return min(rate, s.arrived.rate(acknowledgedOver)), ok
}

// control turns signals into a rate.
type control struct {
	rate, least, most float64
	state             State
	reason            string
	since             time.Time
	limited           bool

	used    float64   // what arrives, smoothed
	before  float64   // smooth queue of the last feedback
	latest  float64   // and its queue
	quiet   time.Time // since when there is no queue; zero: there is
	leapt   time.Time // when a queue too long came at once
	doubted time.Time // when a queue was last not believed in at once
	held    time.Time // when congestion was last acted upon
	emptying
	flat   flat
	full   float64 // what left the last queue, or came of the last probe that filled the path: 0 for not known
	rebase bool    // the Estimator is to take the delay as it is for that of the empty path
	trial  trial
	rival  rival
}

// emptying is what is known of the last queue that was too long.
type emptying struct {
	capacity float64   // what left it
	entry    float64   // the rate with which that began
	peak     float64   // the longest that it was
	share    float64   // what left it at first: ours of a bottleneck that others fill
	emptied  time.Time // when it was gone
	// impatience is for how many seconds it has not become shorter although less is sent.
	impatience float64
	// relief is how much shorter, in seconds, it would be by what has been sent less than leaves it.
	relief float64
}

func (c *control) bounded() float64 {
	if !(c.rate >= c.least) { // so written, it catches NaN
		return c.least
	}
	return min(c.rate, c.most)
}

func (c *control) enter(now time.Time, s State, reason string) {
	if c.state != s {
		c.state, c.reason, c.since = s, reason, now
	}
}

// reference is the queueing delay at which a flow of this rate rests.
func (c *control) reference() float64 {
	return min(max(referenceBits/c.rate, referenceLeast), referenceMost)
}

func (c *control) update(s signal) {
	if c.before < s.queue/2 && c.tooLong(s) {
		c.leapt = s.now
	}
	c.used += (s.acked - c.used) * min(1, s.dt/usedOver)
	reference := c.rests(s)
	switch {
	case c.state == Competing:
		c.compete(s, reference)
	case c.tooLong(s) && c.doubts(s):
	case c.tooLong(s):
		c.drain(s, reference)
	case c.state == Draining:
		c.drained(s, reference)
	case c.lost(s):
	default:
		c.follow(s, reference)
	}
	c.before, c.latest = s.smooth, s.queue
	c.rate = c.bounded()
}

// rests is the queue at which the flow is to rest, in seconds, with what the path's noise adds.
func (c *control) rests(s signal) float64 { return c.reference() + restNoise*s.noise }

// tooLong tells that the queue is too long for gentle means.
func (c *control) tooLong(s signal) bool {
	reference := c.rests(s)
	if s.echo && c.state != Draining {
		reference += echoAbove
	}
	return s.queue > reference+drainAbove
}

// doubts tells that a queue has come at once, as when the client had no time to read: then all that came
// meanwhile comes together, and the next feedbacks tell of no queue, or a shorter one.
func (c *control) doubts(s signal) bool {
	since := s.now.Sub(c.doubted)
	switch {
	case c.state == Draining:
		return false
	case since < doubtFor && s.queue < c.latest:
		return true // it goes as fast as it came
	case s.queue-c.latest < jumpOf || since < doubtEvery:
		return false
	}
	c.doubted = s.now
	return true
}

// A jump is of jumpOf seconds of queue between two feedbacks; in leapFor after it the delay is flat, if it
// was the path that became longer.
const (
	jumpOf     = 0.05
	doubtFor   = 300 * time.Millisecond
	doubtEvery = 2 * time.Second
	leapFor    = 2 * time.Second
)

// drains tells that a queue of our own is being emptied, or made by a probe, or of what was sent then, not all
// is known yet.
func (c *control) drains(s signal) bool {
	return s.probing || s.echo || c.state == Draining || c.state != Competing && c.tooLong(s) || !c.emptied.IsZero() && s.now.Sub(c.emptied) < s.rtt
}

// drain sends less than what leaves the queue, the less the longer it is.
func (c *control) drain(s signal, reference float64) {
	leaves, leaving := s.leaves()
	if !leaving {
		leaves = s.acked
	}
	worse := c.state == Draining && s.queue > c.peak+0.03 && s.slope > 0
	if c.state != Draining || worse && s.now.Sub(c.since) > s.rtt {
		if c.state != Draining {
			c.entry = c.rate
		}
		c.state = Steady // so that it is entered anew
		c.enter(s.now, Draining, fmt.Sprintf("%.0f ms of queue, %.0f kbit/s leave it", s.queue*1e3, leaves/1e3))
		c.capacity, c.peak, c.impatience, c.share, c.relief = leaves, s.queue, 0, 0, 0
		c.flat = flat{}
	}
	c.peak = max(c.peak, s.queue)
	// At first what is seen to leave is still from before; later it is what we have made of it.
	if age := s.now.Sub(c.since); age < max(200*time.Millisecond, s.rtt) {
		c.capacity = leaves
	} else if leaving {
		c.capacity = max(c.capacity, leaves)
		if age > 2*s.rtt+2*time.Second/5 && s.queue > c.peak/2 {
			// Several flows drain at once, and each has taken the most that it saw for its share.
			c.impatience += s.dt
			c.share = max(c.share, c.capacity)
			c.capacity = leaves
		}
		less := max(0, 1-s.sent/max(c.capacity, c.share)) * s.dt
		c.relief += less
		if c.flat.holds(s, less) && c.leaped() {
			c.rebase = true
			return
		}
		if c.rivals(s) {
			return
		}
	}
	share := min(max(1-(s.queue-reference)/drainWithin-c.impatience/2, drainLeast), 0.95)
	c.rate = min(c.entry, c.capacity*share)
	c.held, c.quiet = s.now, time.Time{}
}

// drained goes on when the queue is short again.
func (c *control) drained(s signal, reference float64) {
	if s.queue > reference+0.005 {
		c.rate = min(c.entry, c.capacity*0.9)
		if s.now.Sub(c.since) < 3*time.Second {
			return
		}
	}
	c.rate = min(c.entry, max(c.rate, c.capacity*drainAfter))
	c.held, c.emptied, c.full = s.now, s.now, c.capacity
	c.enter(s.now, Steady, "the queue is gone")
}

// follow adapts gently, or rises while there is no queue at all.
func (c *control) follow(s signal, reference float64) {
	if s.smooth > quietQueue+quietNoise*s.noise {
		c.quiet = time.Time{}
	} else if c.quiet.IsZero() {
		c.quiet = s.now
	}
	if s.smooth <= reference {
		share := 0.9 // it goes, whoever decided that it be sent
		if c.state == Start {
			share = 1.2
		}
		c.rate = max(c.rate, share*s.acked)
	}
	if c.state == Start && s.smooth > reference {
		c.enter(s.now, Steady, fmt.Sprintf("%.0f ms of queue", s.smooth*1e3))
		c.held = s.now
	}
	switch {
	case c.state == Start:
		c.grow(s, riseFast*s.dt)
	case !c.quiet.IsZero() && s.now.Sub(c.quiet) > quietFor:
		c.enter(s.now, Rising, "no queue")
		c.grow(s, riseSlow*s.dt)
	default:
		c.enter(s.now, Steady, fmt.Sprintf("%.0f ms of queue", s.smooth*1e3))
		step := nadaKappa * s.dt / nadaTau * (reference - s.smooth) / nadaTau
		step -= nadaKappa * nadaEta * (s.smooth - c.before) / nadaTau
		if step < 0 && (s.echo || s.smooth < reference) && c.rate > c.shown(s) {
			break // a short queue of less than the rate, or of a probe, says nothing of it
		}
		c.grow(s, min(max(step, -0.5), 0.1))
	}
}

// grow changes the rate by a share of it. Upwards only what is used is built upon.
func (c *control) grow(s signal, by float64) {
	if by <= 0 || s.limited {
		c.rate *= 1 + min(by, 0)
		return
	}
	c.rate = max(c.rate, min(c.rate*(1+by), c.shown(s)))
}

// shown is how far the rate may grow upon what arrives.
func (c *control) shown(s signal) float64 {
	if c.state == Start {
		return 1.5*s.acked + 20e3
	}
	through := 1 - min(s.losses.inherent, 0.25)
	most := growOver*s.acked + 10e3
	if c.full > 0 && most > c.full {
		most = max(c.full, growUsed*c.used)
	}
	return most / through
}

// growOver is how far above what arrives the rate grows of itself: an encoder that follows it grows with
// it, a ladder of layers is only ever a part of it, and what no layer uses is nothing that is known.
const growOver = 1.15

// growUsed is how far it grows above what has filled the path: as an encoder does that follows it. Layers of
// which the next does not fit would let it come to what does not get through.
const growUsed = 1.08

// usedOver is the time constant, in seconds, of what is used: half a second of a thin link is a few packets
// more or less.
const usedOver = 0.5

// stuck tells that there has been no queue for so long that a rate which could grow would have.
func (c *control) stuck(now time.Time) bool {
	return !c.quiet.IsZero() && now.Sub(c.quiet) > stuckAfter && now.Sub(c.held) > stuckAfter
}

const stuckAfter = 3 * time.Second

// probed takes over what a probe has found to get through; passes tells that there may be more.
func (c *control) probed(s signal, found float64, passes bool) {
	if passes {
		c.rate = max(c.rate, found)
		if c.full > 0 {
			c.full = max(c.full, found)
		}
		return
	}
	c.full = found
	if c.state == Start {
		c.enter(s.now, Steady, fmt.Sprintf("a probe filled the path at %.0f kbit/s", found/1e3))
	}
	c.held = s.now
	if c.rate > found*probeNoise || c.rate < found*probeKeeps {
		c.rate = found * probeKeeps
	}
	c.rate = min(c.rate, found)
}

// probeNoise is how far off what a probe finds may be: it is a few packets. probeKeeps is what is taken of it.
const (
	probeNoise = 1.08
	probeKeeps = 0.95
)

// moved goes on after the path has become another.
func (c *control) moved(now time.Time) {
	c.rate = min(c.entry, max(c.capacity, c.share))
	c.before, c.held, c.full = 0, now, 0
	c.enter(now, Steady, "the path has become longer")
}

// leaped tells that the queue came at once to where it is flat, as that of a path does that becomes longer.
func (c *control) leaped() bool { return c.flat.since.Sub(c.leapt) < leapFor }

// flat finds a delay that does not move whatever is sent: not a queue but another path.
type flat struct {
	since time.Time
	at    float64 // the queue then
	less  float64 // how much shorter a queue would be by now
	lost  lossCount
}

// flatFor and flatWithin say what is flat. A queue that we send less into falls. One that TCP fills rises by a
// packet a round trip, and stays for a second or two where we yield as much: it did not come at once. Where no
// less could be sent, because sound is most of it, a delay that is flat for as long as flatLong without loss is
// no queue either: one that stays so long is full, and what does not fit in is lost.
const (
	flatFor    = 900 * time.Millisecond
	flatWithin = 0.012
	flatTells  = 2 // times as much shorter as counts as flat
	flatLong   = 3 * time.Second
)

// holds takes a feedback; less is how much shorter a queue of ours would have become since the last.
func (f *flat) holds(s signal, less float64) bool {
	within := flatWithin + s.noise
	if f.since.IsZero() || math.Abs(s.queue-f.at) > within {
		*f = flat{since: s.now, at: s.queue, lost: s.losses.all}
		return false
	}
	f.less += less
	since := s.now.Sub(f.since)
	if since > flatFor && f.less > flatTells*within {
		return true
	}
	return since > flatLong && s.losses.all.since(f.lost) <= s.losses.inherent+0.01
}
