package capacity_test

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/capacity"
)

const (
	packetBytes = 319 // of padding, on its way
	tick        = 10 * time.Millisecond
	feedback    = 100 * time.Millisecond
)

// way is a path down, and a client that tells what came of it every 100 ms.
type way struct {
	rate   int // bit/s; 0: whatever is sent
	queue  time.Duration
	delay  time.Duration // either way
	loss   float64
	deaf   bool          // tells nothing
	stalls time.Duration // so long it has no time, once, a second after the beginning
	seed   uint64
}

// outcome of a Ramp.
type outcome struct {
	found int
	full  bool
	took  time.Duration
	sent  int           // bytes
	queue time.Duration // the longest
	ramp  *capacity.Ramp
}

// flight is a packet under way; lost ones are told of when the next comes.
type flight struct {
	sent, came time.Time
	lost       bool
}

// fill runs a Ramp on the way, until it is over.
func (w way) fill() (o outcome) {
	start := time.Unix(1_800_000_000, 0)
	bottle := link.Bottleneck{Queue: w.queue}
	if w.rate > 0 {
		bottle.Rate = link.Constant(link.Bitrate(w.rate))
	}
	random := rand.New(rand.NewPCG(w.seed, 1))
	o.ramp = capacity.NewRamp(start)
	var under []flight
	var told time.Time // until when the client has told
	credit := 0.0
	for now := start; ; now = now.Add(tick) {
		var waiting time.Time
		if i := slices.IndexFunc(under, func(f flight) bool { return !f.lost }); i >= 0 {
			waiting = under[0].sent
		}
		rate := o.ramp.Rate(now, waiting)
		if rate == 0 {
			o.took = now.Sub(start)
			o.found, o.full = o.ramp.Found()
			return o
		}
		for credit += float64(rate) / 8 * tick.Seconds(); credit > 0; credit -= packetBytes {
			o.sent += packetBytes
			leaves, ok := bottle.Pass(now.Sub(start), packetBytes)
			o.queue = max(o.queue, leaves-now.Sub(start))
			came := start.Add(leaves + w.delay)
			if w.stalls > 0 && came.Sub(start) > time.Second && came.Sub(start) < time.Second+w.stalls {
				came = start.Add(time.Second + w.stalls)
			}
			under = append(under, flight{now, came, !ok || random.Float64() < w.loss})
		}
		if w.deaf || now.Sub(told) < feedback {
			continue
		}
		told = now
		until := now.Add(-w.delay) // what had come by then is known now
		last := -1
		for i, f := range under {
			if !f.lost && !f.came.After(until) {
				last = i
			}
		}
		var acks []bwe.Ack
		for _, f := range under[:last+1] {
			a := bwe.Ack{Sent: f.sent, Size: packetBytes, Fate: bwe.Lost}
			if !f.lost {
				a.Fate, a.Arrived = bwe.Received, f.came.Sub(start)-12*time.Hour // its clock is another
			}
			acks = append(acks, a)
		}
		under = under[last+1:]
		o.ramp.Acks(now, acks)
	}
}
