package bwe_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

// The cases that are not in RFC 8867.

// randomLoss compares what is sent with the same seed's loss-free run. Every rate has a world of its own.
func randomLoss(t testing.TB, seed uint64) outcome {
	run := func(loss float64) (*media, float64) {
		s := shape(2*link.Mbit, queue300)
		s.Loss = loss
		w := newWorld(t, seed, s, shape(freeRate, queue300))
		m := newMedia(w, 0, oneWay)
		w.run(60 * second)
		sum := 0
		for _, r := range m.rates[50:] {
			sum += r
		}
		return m, float64(sum)
	}
	m, free := run(0)
	out := outcome{flows: []*media{m}, capacity: []step{{0, 2 * link.Mbit}}}
	for _, x := range []struct{ loss, keeps float64 }{{0.02, 95}, {0.05, 90}, {0.1, 75}} {
		lossy, got := run(x.loss)
		out.flows = append(out.flows, lossy)
		out.figures = append(out.figures, atLeast(fmt.Sprintf("%.0f %% lost: of the loss-free rate", 100*x.loss), 100*got/free, x.keeps, "%"))
	}
	return out
}

// limited has a source of 300 kbit/s that would be more: probing may find the link, no more.
func limited(t testing.TB, seed uint64) outcome {
	run := func(want int) *media {
		w := newWorld(t, seed, shape(link.Mbit, queue300), shape(freeRate, queue300))
		m := newMedia(w, 0, oneWay)
		m.limit = 300_000
		m.e.Want(want)
		w.run(60 * second)
		return m
	}
	idle, eager := run(300_000), run(mediaMax)
	return outcome{flows: []*media{idle, eager}, capacity: []step{{0, link.Mbit}}, figures: []figure{
		atMost("nothing more wanted: estimate, most, over 300 kbit/s", float64(slices.Max(idle.rates))/300e3, 2, "times"),
		atMost("3 Mbit/s wanted: estimate, most, of the link", float64(slices.Max(eager.rates))/1e6, 1.05, "times"),
		atLeast("3 Mbit/s wanted: estimate, last 30 s, mean, of the link", mean(eager.rates[300:])/1e6, 0.75, "times"),
		atMost("3 Mbit/s wanted: queueing delay, p95", 1e3*percentile(eager.queues, 0.95), 50, "ms"),
	}}
}

func mean(v []int) float64 {
	sum := 0
	for _, x := range v {
		sum += x
	}
	return float64(sum) / float64(len(v))
}

// rungs are the sets of layers of the camera ladder (design D7), with audio; bit/s on the wire.
var rungs = []int{44_000, 148_000, 308_000, 1_600_000}

// choose is the simplest ladder there is: the highest rung within the estimate.
func choose(estimate int) int {
	best := 0
	for i, r := range rungs {
		if r <= estimate {
			best = i
		}
	}
	return rungs[best]
}

func ladder(t testing.TB, seed uint64) outcome {
	steps := []step{{0, link.Mbit}, {40 * second, 2500 * link.Kbit}, {60 * second, 600 * link.Kbit}, {80 * second, link.Mbit}}
	w := newWorld(t, seed, shape(link.Mbit, queue300), shape(freeRate, queue300))
	w.fwd.follow(steps)
	m := newMedia(w, 0, oneWay)
	m.source = choose
	m.e.Want(rungs[len(rungs)-1])
	w.run(100 * second)
	right, all, over, worst := 0, 0, 0, 0
	for i, estimate := range m.rates {
		at := time.Duration(i) * 100 * time.Millisecond
		var now step
		for _, s := range steps {
			if s.at <= at {
				now = s
			}
		}
		got, best := choose(estimate), choose(int(now.rate)*95/100)
		if over++; got <= int(now.rate) {
			over = 0
		}
		worst = max(worst, over)
		if at-now.at >= 5*second {
			all++
			if got == best {
				right++
			}
		}
	}
	return outcome{flows: []*media{m}, capacity: steps, figures: append([]figure{
		atLeast("highest set that fits 95 %, outside 5 s after steps", 100*float64(right)/float64(all), 90, "%"),
		atMost("a set that does not fit, longest", float64(worst)/10, 1, "s"),
	}, queues(25, 100, m)...)}
}

// moved is a handover to a path that is longer: not a queue.
func moved(t testing.TB, seed uint64) outcome {
	s := shape(2*link.Mbit, queue300)
	w := newWorld(t, seed, s, shape(freeRate, queue300))
	m := newMedia(w, 0, oneWay)
	longer := s
	longer.Delay = 100 * time.Millisecond
	w.fwd.set(20*second, longer)
	w.at(20*second, func() { m.delay += 100 * time.Millisecond }) // for the figures
	w.fwd.owners[m.fwd].delay = oneWay
	w.run(60 * second)
	lost := math.Inf(1)
	for i := 200; i < 300; i++ {
		if m.rate(time.Duration(i)*100*time.Millisecond, time.Duration(i+10)*100*time.Millisecond) > 1.6e6 {
			lost = min(lost, float64(i-200)/10)
		}
		if float64(m.rates[i]) < 1e6 {
			lost = math.Inf(1)
		}
	}
	return outcome{flows: []*media{m}, capacity: []step{{0, 2 * link.Mbit}}, figures: append([]figure{
		atMost("1.6 Mbit/s again after", lost, 5, "s"),
		atLeast("of 2 Mbit/s used, last 20 s", 100*m.rate(40*second, 60*second)/2e6, 90, "%"),
	}, queues(25, 100, m)...)}
}
