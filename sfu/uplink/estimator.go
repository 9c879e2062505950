package uplink

import "time"

const (
	// step is over how long is looked at once: packets of 60 ms are four of it.
	step = 250 * time.Millisecond
	// fullQueue for fullTime is a full path: jitter leaves the least of a step alone, and who stood still and sends
	// everything at once has sent the last of it without waiting.
	fullQueue = 80 * time.Millisecond
	fullTime  = 3 * step
	// Who is limited needs less to be found again, and who is being tried with more least of all. calm is no queue.
	againQueue = 60 * time.Millisecond
	againTime  = 2 * step
	triedQueue = 45 * time.Millisecond
	triedTime  = step
	calm       = 40 * time.Millisecond
	// thin is up to which rate anything is said. Above it browsers find by themselves what a path carries.
	thin = 200_000
	// Least is the lowest limit: a voice.
	Least = 20_000
	// Of what a path carries: until the queue is gone, and then.
	draining = 0.6
	obeyed   = 0.9 // what comes of who does as told is less, on the average since
	steady   = 0.9
	// Of whom no less comes in unheard is asked for that much less.
	unheard = 4 * time.Second
	less    = 0.8
	// growth is what a second without a queue adds to the limit, whether it is made use of or not: who only listens
	// would never be seen again. Past what filled the path it is trial, so that little more is on its way when a word
	// takes a second.
	growth = 0.12
	trial  = 0.06
	// enough is the limit above which there is none.
	enough = 1.3 * thin
	// The limit passes what filled the path after firstWait, then twice that and so on, and at once when the path has
	// become shorter.
	firstWait   = 10 * time.Second
	longestWait = 8 * time.Minute
	// strange is how much more of a queue was to be gone than is, before it is nobody's of here, and apart how long such
	// a path is not looked at, the first time: then twice that, mostDoubts times.
	strange    = time.Second
	apart      = 30 * time.Second
	mostDoubts = 3
	// doubtful is how long a path may be tried that may be full: a word and a queue take less.
	doubtful = 6 * time.Second
	// afterGap is for how long it shows in pictures that the network was gone.
	afterGap = 2 * time.Second
	// silent is after how long without a voice there is nothing left to protect, nor to measure with.
	silent = 10 * time.Second
)

// Estimator follows one participant's uplink. The zero value is ready. It is not safe for use by several goroutines.
type Estimator struct {
	delay    delay
	losses   losses
	pictures pictures
	gap      time.Time // when the network was back, last

	// Of the step at hand.
	since time.Time // zero before the first packet
	bytes uint64    // that had come by then
	least time.Duration

	state    state
	full     time.Duration // for how long there has been a queue, or it has been drained
	came     float64       // bytes meanwhile
	carried  float64       // bit/s, when it was found
	capacity float64       // what is taken for that, which is less where nothing comes of what is said
	limit    float64
	queue    time.Duration // when it was found
	found    time.Time     // when, last; zero: never
	wait     time.Duration
	not      time.Time // looked at before
	lossy    bool      // in the step at hand, too much was lost
	doubted  bool      // found by losses alone
	doubts   int       // that no queue came of, one after the other
}

type state uint8

const (
	free state = iota
	drain
	limited
)

// Packet is one of a voice.
type Packet struct {
	Seq uint16
	// End is the timestamp of its end, which is when it could be sent: of its beginning, packets of 60 ms would be 40 ms
	// later than those of 20. SendTime is when it was sent, in units of 2^-18 s modulo 64 s, if it is Stamped: who has no
	// time to encode is late, too, and that is no queue.
	End      uint32
	SendTime uint32
	Stamped  bool
	Bytes    uint64 // that had come by then, of whatever kind
}

// Voice takes a packet of the voice that came as itself, newer than all before it.
func (e *Estimator) Voice(now time.Time, p Packet) {
	switch lossy, gone := e.losses.packet(p.Seq); {
	case gone:
		e.lossy, e.gap = false, now
	case lossy:
		e.lossy = true
	}
	waited, ok := e.delay.packet(now, &p)
	if waited < 0 {
		if waited = 0; now.Sub(e.found) > doubtful { // before, it may be what is left of a queue
			e.wait = 0
		}
	}
	if !ok || e.since.IsZero() {
		e.begin(now, p.Bytes)
		return
	}
	e.least = min(e.least, waited)
	if passed := now.Sub(e.since); passed >= step {
		e.look(now, passed, e.least, float64(p.Bytes-e.bytes))
		e.begin(now, p.Bytes)
	}
}

// Pictures takes how many packets of pictures have been lost of how many, since the beginning.
func (e *Estimator) Pictures(now time.Time, lost, of uint64) {
	if e.pictures.counted(lost, of, now.Sub(e.gap) < afterGap) {
		e.lossy = true
	}
}

// begin begins a step.
func (e *Estimator) begin(now time.Time, bytes uint64) {
	e.since, e.bytes, e.least, e.lossy = now, bytes, jump, false
}

// Pause tells that the voice stops for a while, or comes from somewhere else: what is known of its timing is not true
// any more.
func (e *Estimator) Pause() { e.delay.known, e.losses.known, e.since = false, false, time.Time{} }

// Verdict returns what holds at now.
func (e *Estimator) Verdict(now time.Time) Verdict {
	if e.state != free && now.Sub(e.delay.last) > silent {
		e.release(now, 0)
	}
	switch e.state {
	case drain:
		return Verdict{Limit: int(max(Least, draining*e.capacity)), Room: int(e.limit), Doubtful: e.doubted}
	case limited:
		return Verdict{Limit: int(e.limit), Room: int(e.limit)}
	}
	return Verdict{}
}

// look judges a step: the least that anything waited, and the bytes that came.
func (e *Estimator) look(now time.Time, passed, waited time.Duration, bytes float64) {
	rate := 8 * bytes / passed.Seconds()
	switch e.state {
	case free:
		switch {
		case now.Before(e.not) || rate > thin:
			e.full, e.came = 0, 0
		case !e.watch(now, passed, waited, bytes, fullQueue, fullTime) && e.lossy:
			e.doubt(now, rate)
		}
	case drain:
		e.drain(now, passed, waited, bytes)
	case limited:
		queue, long := againQueue, againTime
		if e.limit > e.capacity {
			queue, long = triedQueue, triedTime
		}
		if !e.watch(now, passed, waited, bytes, queue, long) && waited < calm {
			e.grow(now, passed)
		}
	}
}

// watch finds that there has been a queue for long enough.
func (e *Estimator) watch(now time.Time, passed, waited time.Duration, bytes float64, queue, long time.Duration) (found bool) {
	if waited < queue {
		e.full, e.came = 0, 0
		return false
	}
	e.full += passed
	e.came += bytes
	if e.full < long {
		return false
	}
	e.enter(now, waited, 8*e.came/e.full.Seconds())
	return true
}

// enter limits what may be sent, on a path that carries so much.
func (e *Estimator) enter(now time.Time, waited time.Duration, capacity float64) {
	if e.state == limited && e.limit > e.capacity {
		capacity = e.capacity // what was tried was too much, and what was not is as it was
	}
	if e.wait *= 2; now.Sub(e.found) > 2*longestWait {
		e.wait = firstWait
	}
	e.wait = min(max(e.wait, firstWait), longestWait)
	e.state, e.doubted, e.found, e.queue = drain, false, now, waited
	e.carried = max(capacity, Least)
	e.capacity = e.carried
	e.limit = max(steady*e.capacity, Least)
	e.full, e.came = 0, 0
}

// doubt takes what too much is lost of for a path whose queue has been full since the first packet, so that the least
// that anything takes has it in it. If that is so, less shows it: the least comes down.
func (e *Estimator) doubt(now time.Time, rate float64) {
	e.delay.longer(-fullQueue)
	e.enter(now, fullQueue, rate)
	e.doubted = true
}

// drain waits until the queue is gone, or ought to be. Who has not been told yet leaves it as it is, which shows in what
// comes; who cannot send less than that is asked for less, down to the voice alone, and that as small as it can be.
func (e *Estimator) drain(now time.Time, passed, waited time.Duration, bytes float64) {
	e.full += passed
	e.came += bytes
	sent, gone := 8*e.came/e.full.Seconds()/e.carried, time.Duration(0)
	switch {
	case sent < obeyed: // on the average: it is not the same in each step
		gone = time.Duration(float64(e.full) * (1 - sent))
	case e.full > unheard:
		e.capacity = max(less*e.capacity, Least)
		e.limit = max(steady*e.capacity, Least)
		e.full, e.came = 0, 0
	}
	switch {
	case waited < calm:
		e.state, e.doubts, e.capacity, e.full, e.came = limited, 0, e.carried, 0, 0
	case gone > e.queue-waited+strange, e.doubted && now.Sub(e.found) > doubtful:
		e.release(now, waited)
		e.not = now.Add(apart << e.doubts)
		e.doubts = min(e.doubts+1, mostDoubts)
	}
}

// grow raises the limit after a step without a queue.
func (e *Estimator) grow(now time.Time, passed time.Duration) {
	rate := growth
	if e.limit > steady*e.capacity {
		rate = trial
	}
	limit := e.limit * (1 + rate*passed.Seconds())
	if now.Sub(e.found) < e.wait {
		limit = min(limit, steady*e.capacity)
	}
	if e.limit = max(e.limit, limit); e.limit > enough {
		e.release(now, 0)
	}
}

// release ends the limit. What waited is the way itself.
func (e *Estimator) release(now time.Time, waited time.Duration) {
	e.state, e.full, e.came = free, 0, 0
	e.delay.longer(waited)
}
