package bwe

import (
	"fmt"
	"time"
)

// stall is a time without feedback.
type stall struct {
	before float64   // the rate when it began; 0: there is none
	cut    time.Time // the last time that the rate was halved
}

// silence halves the rate for every half second in which packets are sent and nothing is heard.
func (e *Estimator) silence(now, waiting time.Time) {
	patience := max(500*time.Millisecond, 3*e.rtt)
	if waiting.IsZero() || e.heard.IsZero() || now.Sub(waiting) < patience || now.Sub(e.heard) < patience {
		return
	}
	if e.stall.before == 0 {
		e.stall = stall{before: e.control.rate, cut: now}
		e.control.enter(now, Stalled, fmt.Sprintf("nothing heard for %d ms", now.Sub(e.heard).Milliseconds()))
	} else if now.Sub(e.stall.cut) < 500*time.Millisecond {
		return
	}
	e.stall.cut = now
	e.control.rate = max(e.control.rate/2, e.control.least)
}

// answer ends a stall: half of what went before is taken for granted, the rest is tried.
func (e *Estimator) answer(now time.Time) {
	if e.stall.before == 0 {
		return
	}
	e.control.rate = max(e.control.rate, e.stall.before/2)
	e.control.enter(now, Start, "heard again")
	e.stall = stall{}
	e.probes.next, e.probes.pause = now.Add(probeSoon), 0
	e.losses = losses{inherent: e.losses.inherent, known: e.losses.known}
}
