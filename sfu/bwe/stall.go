package bwe

import (
	"fmt"
	"time"
)

// stall is a time without feedback.
type stall struct {
	before float64   // the rate when it began; 0: there is none
	cut    time.Time // when the rate is halved next
}

// stallHolds is for how long the rate stays although nothing is heard: a hole in a radio network ends as
// it began, and who has been sent less by then waits for his picture although the path is back.
const stallHolds = 6 * time.Second

// silence notes that packets are sent and nothing is heard, and halves the rate for every second beyond
// stallHolds of it.
func (e *Estimator) silence(now, waiting time.Time) {
	patience := max(500*time.Millisecond, 3*e.rtt)
	if waiting.IsZero() || e.heard.IsZero() || now.Sub(waiting) < patience || now.Sub(e.heard) < patience {
		return
	}
	if e.stall.before == 0 {
		e.stall = stall{before: e.control.rate, cut: now.Add(stallHolds)}
		e.control.enter(now, Stalled, fmt.Sprintf("nothing heard for %d ms", now.Sub(e.heard).Milliseconds()))
	}
	if now.Before(e.stall.cut) {
		return
	}
	e.stall.cut = now.Add(time.Second)
	e.control.rate = max(e.control.rate/2, e.control.least)
}

// answer ends a stall: the path is taken to be as it was, until its queue tells otherwise.
func (e *Estimator) answer(now time.Time) {
	if e.stall.before == 0 {
		return
	}
	e.control.rate = max(e.control.rate, e.stall.before)
	e.control.enter(now, Steady, "heard again")
	e.stall = stall{}
	e.probes.next, e.probes.pause = now.Add(probeSoon), 0
	e.losses = losses{all: e.losses.all, inherent: e.losses.inherent, known: e.losses.known}
}
