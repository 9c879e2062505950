package bwe_test

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

const (
	queue300 = 300 * time.Millisecond
	oneWay   = 50 * time.Millisecond
	second   = time.Second
	freeRate = 100 * link.Mbit // of the way back, where a case says nothing of it
)

// figure is one thing measured, with its bar.
type figure struct {
	name  string
	value float64
	unit  string
	bar   float64 // 0: none
	most  bool    // the bar is not to be exceeded
}

func (f figure) met() bool { return f.bar == 0 || f.most == (f.value <= f.bar) || f.value == f.bar }

func atLeast(name string, v, bar float64, unit string) figure {
	return figure{name, v, unit, bar, false}
}
func atMost(name string, v, bar float64, unit string) figure { return figure{name, v, unit, bar, true} }
func only(name string, v float64, unit string) figure {
	return figure{name: name, value: v, unit: unit}
}

// outcome of one run of a case.
type outcome struct {
	figures  []figure
	flows    []*media
	capacity []step
}

// aCase is one of the table's. Its name is a file's, too.
type aCase struct {
	name, title string
	run         func(t testing.TB, seed uint64) outcome
}

func cases() []aCase {
	return []aCase{
		{"5.1", "variable capacity, one flow", variableCapacity(oneWay)},
		{"5.1-100ms", "the same over 100 ms each way", variableCapacity(2 * oneWay)},
		{"5.2", "variable capacity, two flows", twoFlows},
		{"5.3", "congested feedback, a flow each way", bothWays},
		{"5.4", "three flows, one after the other", threeFlows},
		{"5.5", "five round trips", roundTrips},
		{"5.6", "beside a long TCP, queue 300 ms", besideTCP(queue300, 25)},
		{"5.6-1s", "beside a long TCP, queue 1,000 ms", besideTCP(time.Second, 0)},
		{"5.7", "two flows beside ten short TCPs", shortTCPs},
		{"5.8", "three flows, one pauses", pause},
		{"loss", "random loss at 2 Mbit/s", randomLoss},
		{"limited", "60 s of 300 kbit/s on 1 Mbit/s", limited},
		{"ladder", "three layers over the capacities of 5.1", ladder},
		{"moved", "the path becomes 100 ms longer", moved},
		{"radios", "Wi-Fi, a cell, losses in bursts", radios},
	}
}

// seeds of every case; SOAK=1 adds to them.
func seeds() int {
	if os.Getenv("SOAK") != "" {
		return 30
	}
	if raceEnabled {
		return 1 // seven times slower, and there are no goroutines
	}
	return 3
}

// TestRFC8867 holds every case against its bars, and the table of docs/bandwidth.md against the cases.
func TestRFC8867(t *testing.T) {
	var table strings.Builder
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			var worst []figure
			for seed := range uint64(seeds()) {
				o := c.run(t, seed+1)
				if seed == 0 && *update {
					plot(t, c, o)
				}
				for i, f := range o.figures {
					if !f.met() {
						t.Errorf("seed %d: %s: %.4g %s, the bar is %.4g", seed+1, f.name, f.value, f.unit, f.bar)
					}
					if seed == 0 {
						worst = append(worst, f)
					} else if f.most && f.value > worst[i].value || !f.most && f.value < worst[i].value {
						worst[i] = f
					}
				}
			}
			writeRows(&table, c, worst)
		})
	}
	compareTable(t, table.String())
}

func shape(rate link.Bitrate, queue time.Duration) link.Shape {
	return link.Shape{Rate: link.Constant(rate), Queue: queue}
}

// step of a capacity.
type step struct {
	at   time.Duration
	rate link.Bitrate
}

func (b *bottleneck) follow(steps []step) {
	for _, s := range steps {
		b.set(s.at, shape(s.rate, queue300))
	}
}

func percentile(v []float64, p float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return 0
	}
	return s[min(len(s)-1, int(p*float64(len(s))))]
}

// jain is Jain's index of fairness: 1 when all are alike.
func jain(ms []*media, from, to time.Duration) float64 {
	sum, squares := 0.0, 0.0
	for _, m := range ms {
		x := m.rate(from, to)
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(ms)) * squares)
}

// queues are the two figures of every case: of all packets of all flows over the whole run.
func queues(median, high float64, ms ...*media) []figure {
	var all []float64
	for _, m := range ms {
		all = append(all, m.queues...)
	}
	return []figure{
		{"queueing delay, median", 1e3 * percentile(all, 0.5), "ms", median, true},
		{"queueing delay, p95", 1e3 * percentile(all, 0.95), "ms", high, true},
	}
}

func total(ms []*media, from, to time.Duration) float64 {
	sum := 0.0
	for _, m := range ms {
		sum += m.rate(from, to)
	}
	return sum
}

// afterDrop returns how long after a drop the estimate is within the capacity, and the queue below 50 ms.
func afterDrop(m *media, at time.Duration, capacity float64) (rate, queue float64) {
	first := int(at / (100 * time.Millisecond))
	rate, queue = math.Inf(1), math.Inf(1)
	grew := false
	for i := first; i < first+100; i++ {
		since := float64(i-first) / 10
		if float64(m.rates[i]) <= capacity && math.IsInf(rate, 1) {
			rate = since
		}
		q := m.queueSum[i] / float64(max(m.queueN[i], 1))
		grew = grew || q > 0.05
		if grew && q < 0.05 && m.queueN[i] > 0 && math.IsInf(queue, 1) {
			queue = since
		}
	}
	if !grew {
		queue = 0
	}
	return rate, queue
}

// reaches returns how long after a rise the estimate is at a rate.
func reaches(m *media, at time.Duration, rate float64) float64 {
	first := int(at / (100 * time.Millisecond))
	for i := first; i < len(m.rates); i++ {
		if float64(m.rates[i]) >= rate {
			return float64(i-first) / 10
		}
	}
	return math.Inf(1)
}

func variableCapacity(delay time.Duration) func(testing.TB, uint64) outcome {
	return func(t testing.TB, seed uint64) outcome {
		steps := []step{{0, link.Mbit}, {40 * second, 2500 * link.Kbit}, {60 * second, 600 * link.Kbit}, {80 * second, link.Mbit}}
		w := newWorld(t, seed, shape(link.Mbit, queue300), shape(freeRate, queue300))
		w.fwd.follow(steps)
		m := newMedia(w, 0, delay)
		w.run(100 * second)
		slow, long := afterDrop(m, 60*second, 600e3)
		return outcome{capacity: steps, flows: []*media{m}, figures: append([]figure{
			atLeast("of 1 Mbit/s used, from 10 s on", 100*m.rate(10*second, 40*second)/1e6, 90, "%"),
			atLeast("of 2.5 Mbit/s, from 10 s after the rise", 100*m.rate(50*second, 60*second)/2.5e6, 90, "%"),
			atLeast("of 0.6 Mbit/s, from 3 s after the drop", 100*m.rate(63*second, 80*second)/0.6e6, 85, "%"),
			atMost("rise: 90 % of 2.5 Mbit/s after", reaches(m, 40*second, 2.25e6), 10, "s"),
			atMost("drop: rate within capacity after", slow, 1, "s"),
			atMost("drop: queue below 50 ms after", long, 2, "s"),
		}, queues(25, 100, m)...)}
	}
}

func twoFlows(t testing.TB, seed uint64) outcome {
	steps := []step{{0, 4 * link.Mbit}, {25 * second, 2 * link.Mbit}, {50 * second, 3500 * link.Kbit}, {75 * second, link.Mbit}, {100 * second, 2 * link.Mbit}}
	w := newWorld(t, seed, shape(4*link.Mbit, queue300), shape(freeRate, queue300))
	w.fwd.follow(steps)
	ms := []*media{newMedia(w, 0, oneWay), newMedia(w, 0, oneWay)}
	w.run(125 * second)
	return outcome{capacity: steps, flows: ms, figures: append([]figure{
		atLeast("Jain, last 20 s", jain(ms, 105*second, 125*second), 0.95, ""),
		atLeast("Jain, 60 to 75 s", jain(ms, 60*second, 75*second), 0.95, ""),
		atLeast("of 2 Mbit/s used, last 15 s", 100*total(ms, 110*second, 125*second)/2e6, 90, "%"),
		atLeast("of 1 Mbit/s used, 80 to 100 s", 100*total(ms, 80*second, 100*second)/1e6, 90, "%"),
	}, queues(0, 100, ms...)...)}
}

func bothWays(t testing.TB, seed uint64) outcome {
	steps := []step{{0, 2 * link.Mbit}, {20 * second, link.Mbit}, {40 * second, 500 * link.Kbit}, {60 * second, 2 * link.Mbit}}
	w := newWorld(t, seed, shape(2*link.Mbit, queue300), shape(2*link.Mbit, queue300))
	w.fwd.follow(steps)
	w.back.follow([]step{{35 * second, 800 * link.Kbit}, {70 * second, 2 * link.Mbit}})
	a, b := newMedia(w, 0, oneWay), newFlow(w, 0, oneWay, true)
	w.run(100 * second)
	return outcome{capacity: steps, flows: []*media{a, b}, figures: append([]figure{
		atLeast("forward: of 1 Mbit/s used, 25 to 40 s", 100*a.rate(25*second, 40*second)/1e6, 85, "%"),
		atLeast("forward: of 0.5 Mbit/s, 45 to 60 s", 100*a.rate(45*second, 60*second)/0.5e6, 85, "%"),
		atLeast("forward: of 2 Mbit/s, last 30 s", 100*a.rate(70*second, 100*second)/2e6, 85, "%"),
		atLeast("backward: of 0.8 Mbit/s, 40 to 70 s", 100*b.rate(40*second, 70*second)/0.8e6, 85, "%"),
	}, queues(0, 100, a, b)...)}
}

func threeFlows(t testing.TB, seed uint64) outcome {
	w := newWorld(t, seed, shape(3500*link.Kbit, queue300), shape(freeRate, queue300))
	ms := []*media{newMedia(w, 0, oneWay), newMedia(w, 20*second, oneWay), newMedia(w, 40*second, oneWay)}
	w.run(120 * second)
	return outcome{capacity: []step{{0, 3500 * link.Kbit}}, flows: ms, figures: append([]figure{
		atLeast("Jain, last 20 s", jain(ms, 100*second, 120*second), 0.95, ""),
		atLeast("of 3.5 Mbit/s used, last 20 s", 100*total(ms, 100*second, 120*second)/3.5e6, 90, "%"),
	}, queues(0, 100, ms...)...)}
}

func roundTrips(t testing.TB, seed uint64) outcome {
	w := newWorld(t, seed, shape(4*link.Mbit, queue300), shape(freeRate, queue300))
	var ms []*media
	for i, d := range []time.Duration{10, 25, 50, 100, 150} {
		ms = append(ms, newMedia(w, time.Duration(i)*10*second, d*time.Millisecond))
	}
	w.run(300 * second)
	return outcome{capacity: []step{{0, 4 * link.Mbit}}, flows: ms, figures: append([]figure{
		atLeast("Jain, last 20 s", jain(ms, 280*second, 300*second), 0.85, ""),
		atLeast("of 4 Mbit/s used, last 20 s", 100*total(ms, 280*second, 300*second)/4e6, 90, "%"),
	}, queues(0, 100, ms...)...)}
}

// besideTCP has no bar for the queue: it is the TCP's.
func besideTCP(queue time.Duration, share float64) func(testing.TB, uint64) outcome {
	return func(t testing.TB, seed uint64) outcome {
		w := newWorld(t, seed, shape(2*link.Mbit, queue), shape(freeRate, queue300))
		c := newTCP(w, 0, oneWay, -1, nil)
		m := newMedia(w, 5*second, oneWay)
		w.run(120 * second)
		return outcome{capacity: []step{{0, 2 * link.Mbit}}, flows: []*media{m}, figures: append([]figure{
			atLeast("share, 5 to 120 s", 100*m.rate(5*second, 120*second)/2e6, share, "%"),
			only("TCP's, from 0 s", 100*float64(w.fwd.owners[c.fwd].bytes)*8/120/2e6, "%"),
		}, queues(0, 0, m)...)}
	}
}

func shortTCPs(t testing.TB, seed uint64) outcome {
	w := newWorld(t, seed, shape(2*link.Mbit, queue300), shape(freeRate, queue300))
	ms := []*media{newMedia(w, 5*second, oneWay), newMedia(w, 5*second, oneWay)}
	for i := range 10 {
		var again func()
		again = func() { // 100 kB to 1 MB, then 10 s of nothing, in the mean
			wait := time.Duration(w.random.ExpFloat64() * 10 * float64(second))
			newTCP(w, w.now+wait, oneWay, (100+w.random.IntN(900))*1000/tcpPacket, again)
		}
		if i < 2 {
			newTCP(w, 0, oneWay, 300, again)
		} else {
			again()
		}
	}
	w.run(300 * second)
	return outcome{capacity: []step{{0, 2 * link.Mbit}}, flows: ms, figures: append([]figure{
		only("both flows of 2 Mbit/s, 10 to 300 s", 100*total(ms, 10*second, 300*second)/2e6, "%"),
		only("Jain, 10 to 300 s", jain(ms, 10*second, 300*second), ""),
	}, queues(0, 0, ms...)...)}
}

func pause(t testing.TB, seed uint64) outcome {
	w := newWorld(t, seed, shape(3500*link.Kbit, queue300), shape(freeRate, queue300))
	ms := []*media{newMedia(w, 0, oneWay), newMedia(w, 0, oneWay), newMedia(w, 0, oneWay)}
	w.at(40*second, func() { ms[0].paused = true })
	w.at(60*second, func() { ms[0].paused = false })
	w.run(120 * second)
	return outcome{capacity: []step{{0, 3500 * link.Kbit}}, flows: ms, figures: append([]figure{
		atLeast("Jain, last 20 s", jain(ms, 100*second, 120*second), 0.95, ""),
		atLeast("the other two of 3.5 Mbit/s, 45 to 60 s", 100*total(ms[1:], 45*second, 60*second)/3.5e6, 85, "%"),
		atLeast("all of 3.5 Mbit/s, 70 to 120 s", 100*total(ms, 70*second, 120*second)/3.5e6, 90, "%"),
	}, queues(0, 100, ms...)...)}
}
