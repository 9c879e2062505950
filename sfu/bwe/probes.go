package bwe

import "time"

// Probing: padding on top of the media for a moment, to see whether that much gets through. What has
// not been shown to get through is never promised.
const (
	probeLeast  = 150 * time.Millisecond
	probeBits   = 24e3 // at least, ten packets of padding: fewer tell nothing
	probeMost   = time.Second
	probeSoon   = 200 * time.Millisecond // after one that succeeded
	probeFirst  = 2 * time.Second        // after one that did not, doubled each time
	probeSlow   = 5 * time.Second        // up to this: who waits longer misses that the path is better
	probeAgain  = 1.3                    // after one that did not pass, over what it found: it will most likely fill the path again
	openLength  = 60 * time.Millisecond  // of the first, before anything is sent: at 600 kbit/s that is 4.5 kB
	probeStep   = 2.0                    // what is tried, over what is known
	echoFor     = 400 * time.Millisecond // its queue is gone then
	probeOver   = 1.15                   // what is tried at most, over what is wanted: who wants it takes 95 % of an estimate
	probePasses = 0.85                   // of what was sent arrived as fast as it was sent
)

// Probe asks the owner to send padding beside the media so that both together make Bitrate until
// Until, and to enter all packets of that time in the History under ID. ID 0: no probe.
type Probe struct {
	ID      uint8
	Bitrate int
	Until   time.Time
}

// probes runs one probe at a time.
type probes struct {
	current Probe
	over    bool // current has been judged, or given up
	last    uint8
	next    time.Time // none before
	pause   time.Duration
	ceiling float64 // what the last one found when it did not pass; 0: it did

	// Of current.
	begun, firstSent, lastSent time.Time
	first, lastArrived         time.Duration
	bytes, firstBytes          int // what arrived
	lastBytes                  int
	packets, lost              int
	halves                     [2]transit // the least delayed of each half
	ended                      bool       // the last of it has been told of
}

// begin starts a probe at rate, of so much at least.
func (p *probes) begin(now time.Time, rate float64, least time.Duration, bits float64) {
	p.last++
	if p.last == 0 {
		p.last = 1
	}
	length := min(max(least, time.Duration(bits/rate*1e9)), probeMost)
	*p = probes{
		begun: now, last: p.last, next: p.next, pause: p.pause, ceiling: p.ceiling,
		current: Probe{ID: p.last, Bitrate: int(rate), Until: now.Add(length)},
	}
}

// running tells whether padding is to be sent, or was and is not yet judged.
func (p *probes) running() bool { return p.current.ID != 0 && !p.over }

// abort ends a probe that does harm.
func (p *probes) abort(now time.Time) {
	p.over = true
	p.failed(now)
}

func (p *probes) failed(now time.Time) {
	p.pause = min(max(2*p.pause, probeFirst), probeSlow)
	p.next = now.Add(p.pause)
}

func (p *probes) passed(now time.Time) {
	p.pause, p.ceiling = 0, 0
	p.next = now.Add(probeSoon)
}

func (p *probes) add(a *Ack) {
	if a.Probe == 0 || a.Probe != p.current.ID || p.over {
		return
	}
	p.ended = p.ended || p.current.Until.Sub(a.Sent) < probeEnd
	if a.Fate == Lost {
		p.lost++
		return
	}
	if a.Fate != Received {
		return
	}
	p.packets++
	p.bytes += a.Size
	if p.packets == 1 || a.Sent.Before(p.firstSent) {
		p.firstSent = a.Sent
	}
	if p.packets == 1 || a.Arrived < p.first {
		p.first, p.firstBytes = a.Arrived, a.Size
	}
	if p.packets == 1 || !a.Sent.Before(p.lastSent) {
		p.lastSent, p.lastBytes = a.Sent, a.Size
	}
	p.halve(a)
	p.lastArrived = max(p.lastArrived, a.Arrived)
	if p.packets == 1 {
		p.lastArrived = a.Arrived
	}
}

// halve enters a packet into its half.
func (p *probes) halve(a *Ack) {
	sent := a.Sent.Sub(p.begun)
	half := &p.halves[0]
	if sent > p.current.Until.Sub(p.begun)/2 {
		half = &p.halves[1]
	}
	if took := a.Arrived - sent; half.sent == 0 || took < half.took {
		*half = transit{sent, took}
	}
}

// fresh tells that there was no queue at the end that there was not at the beginning: what took longer waited
// for a radio.
func (p *probes) fresh() bool {
	a, b := p.halves[0], p.halves[1]
	return p.lost == 0 && a.sent > 0 && b.sent > a.sent && b.took-a.took < (b.sent-a.sent)/10
}

// probeEnd is how close to its end the last packets of a probe are sent: padding goes out in steps.
const probeEnd = 6 * time.Millisecond

// due tells whether all that will be known of the probe is known.
func (p *probes) due(now time.Time, roundTrip time.Duration) bool {
	return p.running() && (p.ended || p.late(now, roundTrip))
}

// late tells whether more would have come by now.
func (p *probes) late(now time.Time, roundTrip time.Duration) bool {
	return p.running() && now.Sub(p.current.Until) > roundTrip+150*time.Millisecond
}

// judge ends the probe. sent and arrived are the rates of what arrived of it; false when that is too
// little to tell anything.
func (p *probes) judge() (sent, arrived float64, ok bool) {
	p.over = true
	took, spread := p.lastSent.Sub(p.firstSent), p.lastArrived-p.first
	if p.packets < 5 || took < 20*time.Millisecond || spread < 5*time.Millisecond {
		return 0, 0, false
	}
	sent = float64(p.bytes-p.lastBytes) * 8 / took.Seconds()
	arrived = float64(p.bytes-p.firstBytes) * 8 / spread.Seconds()
	if p.fresh() {
		arrived = max(arrived, sent)
	}
	return sent, arrived, true
}
