package bwe_test

import (
	"math"
	"time"
)

// wifi is the last hop of a path as 802.11 has it: what waits goes out together as soon as the medium is free
// (an A-MPDU), in order and at the radio's rate, and how long that takes is drawn for each from a lognormal
// distribution. That of a single packet was measured on 47,000 devices of a university: 3 ms in the median, 20 for
// the worst tenth, 250 for the worst hundredth (Sui et al., Characterizing and Improving WiFi Latency in
// Large-Scale Operational Networks, MobiSys 2016): median 3 ms, spread 1.48, cut at airWait. The zero value is a cable.
type wifi struct {
	w       *world
	median  time.Duration // of the wait for the medium
	spread  float64       // of its logarithm
	waiting []aired
	on      bool // the medium is waited for, or ours
}

// aired is a packet that waits.
type aired struct {
	size int
	pass func()
}

const (
	airRate = 50e6                   // bit/s
	airMost = 64                     // packets of an aggregate: the window of a block acknowledgement
	airWait = 250 * time.Millisecond // for the medium, at most
)

// bothWays puts such radios behind the ways of a flow and of its feedback.
func (r wifi) bothWays(m *media) {
	if r.median == 0 {
		return
	}
	there, back := r, r
	there.last(m.w, m.out.owners[m.fwd])
	back.last(m.w, m.in.owners[m.back])
}

func (r *wifi) last(w *world, o *owner) {
	r.w = w
	take := o.take
	o.take = func(number uint32, size int) {
		r.waiting = append(r.waiting, aired{size, func() { take(number, size) }})
		r.contend()
	}
}

func (r *wifi) contend() {
	if r.on || len(r.waiting) == 0 {
		return
	}
	r.on = true
	wait := time.Duration(float64(r.median) * math.Exp(r.spread*r.w.random.NormFloat64()))
	r.w.after(min(wait, airWait), r.send)
}

func (r *wifi) send() {
	n := min(len(r.waiting), airMost)
	took := time.Duration(0)
	for _, p := range r.waiting[:n] {
		took += time.Duration(float64(p.size) * 8 / airRate * 1e9)
		r.w.after(took, p.pass)
	}
	r.waiting = r.waiting[n:]
	r.w.after(took, func() {
		r.on = false
		r.contend()
	})
}
