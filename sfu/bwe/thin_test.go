package bwe_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/sfu/bwe"
)

// served is a flow as the server has it: voices that are sent whatever comes, and a camera whose layers have to
// fit for a second before they are added.
func served(w *world, delay time.Duration, voices int) *media {
	m := newFlowOf(w, bwe.Config{Min: 40_000, Max: 20_000_000, Start: 500_000, Open: 2_000_000}, 0, delay, false)
	m.voices = voices
	sets := []int{0, 15_000, 45_000, 65_000, 110_000, 185_000, 285_000, 1_600_000} // of the camera, bit/s
	at, since := 0, time.Duration(0)                                               // the set, and since when the next would fit
	m.e.Want(m.sound() + sets[len(sets)-1])
	m.source = func(estimate int) int {
		for at > 0 && m.sound()+sets[at] > estimate {
			at, since = at-1, 0
		}
		switch {
		case at == len(sets)-1 || m.sound()+sets[at+1] > estimate*95/100:
			since = 0
		case since == 0:
			since = w.now
		case w.now-since > second:
			at, since = at+1, 0
		}
		return m.sound() + sets[at]
	}
	return m
}

// On a thin link sound is most of what is sent, and does not become less with the estimate: what waits before
// the link, or is lost there, is ours all the same.
func TestThinLinks(t *testing.T) {
	const shallow = 30 * time.Millisecond
	for _, tt := range []struct {
		rate   link.Bitrate
		voices int
		queue  time.Duration
		loss   float64
		wait   float64 // ms, of the queue's p95
	}{
		{60 * link.Kbit, 1, queue300, 0, 120},
		{60 * link.Kbit, 2, queue300, 0, 300}, // they do not fit
		{100 * link.Kbit, 1, queue300, 0, 50},
		{100 * link.Kbit, 2, queue300, 0, 100},
		{100 * link.Kbit, 2, second, 0, 100},
		{100 * link.Kbit, 2, queue300, 0.02, 100},
		{180 * link.Kbit, 2, queue300, 0.05, 60},
		{330 * link.Kbit, 2, queue300, 0, 60},
		{330 * link.Kbit, 2, queue300, 0.02, 60},
		{330 * link.Kbit, 2, shallow, 0, 31},
		{500 * link.Kbit, 2, shallow, 0, 31},
		{500 * link.Kbit, 2, shallow, 0.02, 31},
		{link.Mbit, 2, shallow, 0, 31},
	} {
		t.Run(fmt.Sprintf("%v, %d voices, %v, %v lost", tt.rate, tt.voices, tt.queue, tt.loss), func(t *testing.T) {
			for seed := range uint64(seeds()) {
				s := shape(tt.rate, tt.queue)
				s.Loss = tt.loss
				w := newWorld(t, seed+1, s, shape(freeRate, queue300))
				m := served(w, 40*time.Millisecond, tt.voices)
				w.run(120 * second)
				rates := m.rates[100:]
				over := 0
				for _, r := range rates {
					if r > int(tt.rate)*110/100 {
						over++
					}
				}
				share, high, wait := mean(rates)/float64(tt.rate), float64(over)/float64(len(rates)), 1e3*percentile(m.queues, 0.95)
				fits := m.sound() < int(tt.rate)
				if share > 1.08 || fits && share < 0.93 || high > 0.02 || wait > tt.wait {
					t.Errorf("seed %d: the estimate is %.2f of the link, more than 1.1 for %.1f %% of the time, p95 of the queue %.0f ms", seed+1, share, 100*high, wait)
				}
			}
		})
	}
}

// A path that becomes longer is not taken for a queue for long, even where no less can be sent.
func TestThinPathBecomesLonger(t *testing.T) {
	s := shape(2*link.Mbit, queue300)
	w := newWorld(t, 1, s, shape(freeRate, queue300))
	m := served(w, 40*time.Millisecond, 2)
	m.source = func(int) int { return m.sound() }
	longer := s
	longer.Delay = 100 * time.Millisecond
	w.fwd.set(20*second, longer)
	w.run(30 * second)
	if got := m.states[len(m.states)-1]; got.State == bwe.Draining || got.Bitrate < m.sound() {
		t.Errorf("10 s later: %+v", got)
	}
}

// A client that has no time to read for a moment costs nothing: what came meanwhile is told of together, or in
// parts.
func TestBusyClient(t *testing.T) {
	for _, rate := range []link.Bitrate{384 * link.Kbit, 2 * link.Mbit} {
		for _, pause := range []time.Duration{100, 200, 300, 400} {
			w := newWorld(t, 1, shape(rate, queue300), shape(freeRate, queue300))
			m := served(w, 40*time.Millisecond, 1)
			from := 30*second + 7*time.Millisecond
			until := from + pause*time.Millisecond
			m.busy = busy{from, until, until}
			w.run(40 * second)
			before := m.rates[299]
			for i, r := range m.rates[300:350] {
				if r < before*7/10 {
					t.Errorf("%v, %d ms: %d bit/s after %d ms, %d before: %s", rate, int(pause), r, i*100, before, m.states[300+i].Reason)
					break
				}
			}
		}
	}
}
