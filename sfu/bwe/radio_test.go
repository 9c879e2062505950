package bwe_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/sfu/bwe"
)

// radios are 2 Mbit/s whose packets do not come as evenly as they were sent: two kinds of Wi-Fi, a cell that sends 25
// of each 50 ms, losses of 3 % in bursts of three on average, and what emulators call jitter: each packet is delayed
// by itself by 20 ms more or less (a standard deviation, so up to 60), and who would overtake waits.
func radios(t testing.TB, seed uint64) outcome {
	const rate = 2 * link.Mbit
	out := outcome{capacity: []step{{0, rate}}}
	for _, r := range []struct {
		name  string
		least float64 // of the estimate, its mean and all but a twentieth; 0: docs/bandwidth.md says what is known
		most  float64
		air   wifi
		make  func(*link.Shape)
	}{
		{name: "Wi-Fi", least: 0.8, most: 1.15, air: wifi{median: 3 * time.Millisecond, spread: 1.48}},
		{name: "busy Wi-Fi", air: wifi{median: 10 * time.Millisecond, spread: 1.25}},
		{name: "cell", least: 0.8, most: 1.05, make: func(s *link.Shape) {
			s.Rate = link.Trace{{Rate: 2 * rate, For: 25 * time.Millisecond}, {Rate: 0, For: 25 * time.Millisecond}}
		}},
		{name: "bursts", make: func(s *link.Shape) { s.Loss, s.Burst = 0.03, 3 }},
		{name: "each by itself", make: func(s *link.Shape) { s.Delay, s.Jitter = 60*time.Millisecond, 20*time.Millisecond }},
	} {
		s := shape(rate, queue300)
		if r.make != nil {
			r.make(&s)
		}
		w := newWorld(t, seed, s, shape(freeRate, queue300))
		m := newMedia(w, 0, oneWay)
		r.air.bothWays(m)
		w.run(70 * second)
		var rates []float64
		for _, v := range m.rates[100:] {
			rates = append(rates, float64(v)/float64(rate))
		}
		out.flows = append(out.flows, m)
		out.figures = append(out.figures,
			atLeast(r.name+": estimate, mean, of the link", mean(m.rates[100:])/float64(rate), r.least, "times"),
			atLeast(r.name+": estimate, least but for a twentieth", percentile(rates, 0.05), r.least, "times"),
			atMost(r.name+": estimate, most but for a twentieth", percentile(rates, 0.95), r.most, "times"),
			only(r.name+": changes of state a minute", float64(changes(m.states[100:])), ""),
		)
		if r.air.median > 0 {
			out.figures = append(out.figures,
				only(r.name+": on the way beyond 50 ms, median", 1e3*percentile(m.queues, 0.5), "ms"),
				only(r.name+": on the way beyond 50 ms, p95", 1e3*percentile(m.queues, 0.95), "ms"))
		}
	}
	return out
}

// changes counts how often the state becomes another.
func changes(states []bwe.Estimate) int {
	n := 0
	for i := 1; i < len(states); i++ {
		if states[i].State != states[i-1].State {
			n++
		}
	}
	return n
}
