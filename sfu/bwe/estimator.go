package bwe

import (
	"time"
)

// Config bounds what is estimated, in bit/s.
type Config struct {
	Min   int // never less
	Max   int // never more
	Start int // before anything is known
	// Open is what the path is probed for as soon as there is one, whatever is wanted; 0: it is not.
	Open int
}

// State says in a word what the estimator does.
type State uint8

// The states.
const (
	Start     State = iota // nothing has held it back yet
	Rising                 // no queue: more is tried
	Steady                 // the queue is as long as it is meant to be
	Draining               // the queue is too long: less than leaves it is sent
	Losing                 // more is lost than the path is wont to: less is sent
	Competing              // the queue is others': loss decides
	Stalled                // nothing is heard
)

func (s State) String() string {
	return [...]string{"start", "rising", "steady", "draining", "losing", "competing", "stalled"}[s]
}

// Estimate is what the path is thought to carry.
type Estimate struct {
	Bitrate int // of everything, in bit/s; within the Config's bounds whatever comes
	State   State
	Reason  string // why the state is what it is, as of when it became so
	Known   bool   // something has been heard; until then Bitrate is the Config's Start
	Limited bool   // less is sent than would go, so that nothing is learnt without probing
	Probe   Probe  // what is to be sent beside the media now
}

// Estimator estimates one path. It is not safe for use by several goroutines.
type Estimator struct {
	config Config
	epoch  time.Time // of the sender's times

	delay   delay
	arrived meter // by the client's clock
	sent    meter // what of it we have heard of, by ours
	losses  losses
	probes  probes
	control control
	stall   stall

	wanted   float64
	first    time.Time // the first feedback that told something, and
	heard    time.Time // the last
	probed   bool      // a probe has been judged
	rtt      time.Duration
	verified verified
	fallback fallback
	opened   int // opening probes that nothing was heard of; openTries: there are no more
}

// New returns an Estimator of a path of which nothing is known.
func New(c Config) *Estimator {
	c.Min = max(c.Min, 1)
	c.Max = max(c.Max, c.Min)
	c.Start = min(max(c.Start, c.Min), c.Max)
	e := &Estimator{config: c, wanted: float64(c.Max), rtt: 100 * time.Millisecond}
	e.control = control{rate: float64(c.Start), least: float64(c.Min), most: float64(c.Max), reason: "nothing is known yet"}
	return e
}

// RTT takes over a measured round trip.
func (e *Estimator) RTT(d time.Duration) {
	if d > 0 && d < 10*time.Second {
		e.rtt = d
	}
}

// Want says what would be sent if the path carried it: probing goes no further.
func (e *Estimator) Want(bitrate int) { e.wanted = float64(max(bitrate, 0)) }

// Feedback takes what a History has made of feedback.
func (e *Estimator) Feedback(now time.Time, acks []Ack) {
	if len(acks) == 0 {
		return
	}
	if e.epoch.IsZero() {
		e.epoch = acks[0].Sent
	}
	got := false
	for i := range acks {
		a := &acks[i]
		e.losses.add(a)
		e.probes.add(a)
		at := a.Sent.Sub(e.epoch)
		if a.Was == Pending {
			e.sent.add(at, a.Size)
		}
		switch a.Fate {
		case Received:
			got = true
			e.delay.add(at, a.Arrived)
			if a.Was != Skipped {
				e.arrived.add(a.Arrived, a.Size)
			}
		case Skipped: // it came, most likely, and as the others did
			if e.delay.count > 0 {
				e.arrived.add(at+e.delay.least(), a.Size)
			}
		}
	}
	if !got {
		return
	}
	e.fallback.off = true
	e.answer(now)
	dt := 0.05
	if !e.heard.IsZero() {
		dt = min(max(now.Sub(e.heard).Seconds(), 0.001), 0.25)
	}
	if e.first.IsZero() {
		e.first = now
	}
	e.heard = now
	e.delay.update(now, dt, e.control.state == Draining)
	s := e.signal(now, dt)
	e.judge(s)
	e.control.update(s)
	if e.control.rebase {
		e.control.rebase = false
		e.delay.rebase()
		e.control.moved(now)
	}
}

// signal gathers what the control decides upon.
func (e *Estimator) signal(now time.Time, dt float64) signal {
	s := signal{
		now: now, dt: dt, rtt: e.rtt,
		queue: e.delay.current.Seconds(), smooth: e.delay.queue(), slope: e.delay.slope, noise: e.delay.noise,
		sent:    e.sent.rate(acknowledgedOver),
		probing: e.probes.running(), losses: &e.losses, arrived: &e.arrived,
		echo: e.probes.current.ID != 0 && now.Sub(e.probes.current.Until) < e.rtt+echoFor,
	}
	// What a radio held comes at once, in less time than it was sent in: BBR takes the lesser, too (draft-cardwell-
	// iccrg-bbr-congestion-control, 4.1.1.2).
	s.acked = min(e.arrived.rate(acknowledgedOver), s.sent)
	s.lossWindow = e.losses.update(now, e.control.drains(s))
	s.limited = s.sent < limitedBelow*e.control.rate
	e.control.limited = s.limited
	e.verified.add(now, s.acked)
	s.verified = e.verified.most(now)
	return s
}

const (
	acknowledgedOver = 500 * time.Millisecond
	leavesOver       = 200 * time.Millisecond
	// limitedBelow is what share of the estimate must be used for the path to say anything about it:
	// GoogCC's is 0.65. An encoder that follows a rate is above it, a ladder of layers seldom.
	limitedBelow = 0.75
)

// judge looks at the probe that runs.
func (e *Estimator) judge(s signal) {
	if e.probes.running() && s.queue > s.noise*3+probeQueue {
		e.probes.abort(s.now)
		if leaves, ok := s.leaves(); ok {
			e.probes.ceiling = leaves
			e.control.probed(s, leaves, false)
		}
		return
	}
	if !e.probes.due(s.now, e.rtt) {
		return
	}
	e.probed = true
	opening := e.control.state == Start && e.control.rate < float64(e.config.Open)
	sent, arrived, ok := e.probes.judge()
	if !ok {
		e.probes.failed(s.now)
		return
	}
	passes := arrived >= probePasses*sent
	if passes {
		e.probes.passed(s.now)
		if opening {
			e.probes.next = s.now
		}
	} else {
		e.probes.failed(s.now)
		e.probes.ceiling = min(sent, arrived)
	}
	found := min(sent, arrived)
	e.verified.add(s.now, found)
	e.control.probed(s, found, passes)
}

// probeQueue ends a probe: it must not cost the audio beside it more.
const probeQueue = 0.05

// Tick does what time does alone and returns the estimate. waiting is when the oldest packet was sent
// of which nothing has been heard, the zero time if there is none.
func (e *Estimator) Tick(now time.Time, waiting time.Time) Estimate {
	if e.probes.late(now, e.rtt+time.Second) { // no feedback came to judge it by
		e.probes.abort(now)
	}
	e.silence(now, waiting)
	e.tryMore(now)
	out := e.Estimate()
	if e.probes.running() && now.Before(e.probes.current.Until) {
		out.Probe = e.probes.current
	}
	return out
}

// Estimate returns what is known, without a probe.
func (e *Estimator) Estimate() Estimate {
	return Estimate{
		Bitrate: int(e.control.bounded()), State: e.control.state, Reason: e.control.reason, Limited: e.control.limited,
		Known: e.fallback.on || e.knows(),
	}
}

// knows tells whether there is anything behind the rate: who begins with a probe waits for what it shows.
func (e *Estimator) knows() bool {
	return !e.heard.IsZero() &&
		(e.config.Open == 0 || e.control.state != Start || e.probed || e.heard.Sub(e.first) > openPatience)
}

// openPatience is for how long the first probe is waited for.
const openPatience = 500 * time.Millisecond

// tryMore begins a probe when more is wanted than known to go and nothing speaks against it.
func (e *Estimator) tryMore(now time.Time) {
	c := &e.control
	if e.fallback.on || e.probes.running() || now.Before(e.probes.next) {
		return
	}
	if e.opening(now) {
		return
	}
	want := min(e.wanted*probeOver, c.most)
	free := c.state == Start || c.state == Rising || c.state == Steady
	if e.heard.IsZero() || !free {
		return
	}
	if want <= c.rate*1.02 || e.delay.current.Seconds() > probeQueue/2 || (!c.limited && !c.stuck(now) && c.state != Start) {
		return
	}
	target := min(probeStep*c.rate, want)
	if e.probes.ceiling > 0 {
		target = min(target, max(probeAgain*e.probes.ceiling, 1.05*c.rate))
	}
	e.probes.begin(now, target, probeLeast, probeBits)
}

// opening begins the first probes, before there is anything to send: who is let in has been waiting, and
// what their path carries is known by then.
func (e *Estimator) opening(now time.Time) bool {
	c := &e.control
	most := min(float64(e.config.Open), c.most)
	if c.state != Start || e.opened >= openTries || c.rate*1.05 >= most {
		return false
	}
	target := probeStep * c.rate
	if e.heard.IsZero() {
		e.opened++
		target = c.rate // not even that is known to get through
	}
	e.probes.begin(now, min(target, most), openLength, 0)
	return true
}

// openTries is how many probes are sent of which nothing is heard: there may be nobody who tells.
const openTries = 3
