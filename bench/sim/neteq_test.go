package sim_test

import (
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Chromium's buffer for sound waits for what 95 of 100 half seconds were late by at most, of the last while, each
// against the fastest packet of two seconds (libwebrtc, underrun_optimizer.cc and packet_arrival_history.cc with their
// defaults). At first it forgets quickly, so that each half second counts for more.
const (
	delayBucket   = 20 * time.Millisecond
	delayBuckets  = 100
	delayQuantile = 0.95
	delayInterval = 500 * time.Millisecond
	delayHistory  = 2 * time.Second
	forgets       = 0.983
	forgetsFirst  = 2.0
)

// buffer is a jitter buffer like that of Chromium, as far as how long it waits goes. What comes after it was to be
// played counts as not heard.
type buffer struct {
	came    []transit // of the last delayHistory
	newest  uint32    // frame
	most    time.Duration
	since   time.Time
	weights [delayBuckets]float64
	adds    int
	waits   time.Duration

	heard, first uint32          // frames, since take was last called
	waited       time.Duration   // of all of them
	due          map[uint32]bool // frames that came in time, of the last while
}

type transit struct {
	at   time.Time
	took time.Duration
}

// packet takes a frame.
func (b *buffer) packet(now time.Time, a bench.Arrival) {
	if a.Tag.SourceOf() != wire.SourceMic {
		return
	}
	took := now.Sub(a.Tag.Sent)
	if b.due == nil {
		b.due, b.since, b.waits, b.first = map[uint32]bool{}, now, 80*time.Millisecond, a.Tag.Frame
	}
	if a.Tag.Frame > b.newest {
		b.newest = a.Tag.Frame
		b.late(now, took)
	}
	if took-b.fastest() <= b.waits && !b.due[a.Tag.Frame] {
		b.due[a.Tag.Frame] = true
		b.heard++
		b.waited += b.waits
	}
}

// fastest is the least that a packet took lately.
func (b *buffer) fastest() time.Duration {
	least := time.Hour
	for _, t := range b.came {
		least = min(least, t.took)
	}
	return least
}

func (b *buffer) late(now time.Time, took time.Duration) {
	b.came = append(b.came, transit{now, took})
	for now.Sub(b.came[0].at) > delayHistory {
		b.came = b.came[1:]
	}
	if now.Sub(b.since) > delayInterval {
		b.add(b.most)
		b.since, b.most = now, 0
	}
	b.most = max(b.most, took-b.fastest())
}

func (b *buffer) add(late time.Duration) {
	keep := min(forgets, 1-forgetsFirst/float64(b.adds+2))
	b.adds++
	for i := range b.weights {
		b.weights[i] *= keep
	}
	b.weights[min(int(late/delayBucket), delayBuckets-1)] += 1 - keep
	sum := 0.0
	for i, w := range b.weights {
		if sum += w; sum >= delayQuantile {
			b.waits = time.Duration(i+1) * delayBucket
			return
		}
	}
}

// take returns what share was not heard and how long the rest waited, since it was last asked.
func (b *buffer) take() (missing float64, waited time.Duration) {
	if all := b.newest - b.first; all > 0 && b.heard > 0 {
		missing, waited = max(0, 1-float64(b.heard)/float64(all)), b.waited/time.Duration(b.heard)
	}
	b.first, b.heard, b.waited = b.newest, 0, 0
	clear(b.due)
	return missing, waited
}

// hearsay is what a minute of a voice was like.
type hearsay struct {
	missing float64
	waited  time.Duration
	mos     float64
}

func (b *buffer) minute(path time.Duration) hearsay {
	missing, waited := b.take()
	return hearsay{missing, waited, result.Score(missing, path+waited)}
}
