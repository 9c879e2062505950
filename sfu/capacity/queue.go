package capacity

import "time"

// Queue follows how much longer than at best packets take that are sent by a clock, as sound is, to tell whether the
// path is full. The zero value is empty. It is not safe for use by several goroutines.
type Queue struct {
	known   bool
	least   time.Duration
	took    [queueSteps]int // packets by how much longer they took, in queueStep; the last: or more
	packets int

	last      time.Time // when the last packet came, and
	lastBytes int       // what had come by then
	busy      time.Duration
	busyBytes int
}

const (
	queueStep  = 5 * time.Millisecond
	queueSteps = 20
)

// Base takes a packet that tells only how long it takes at best: what it took by clocks that need not agree.
func (q *Queue) Base(took time.Duration) {
	if !q.known || took < q.least {
		q.known, q.least = true, took
	}
}

// Add takes a packet that counts: when it came, what it took, and how much had come by then of whatever kind. If it waited
// for longer than it is since the one before it came, the path was busy all the time between.
func (q *Queue) Add(at time.Time, took time.Duration, bytes int) {
	q.Base(took)
	waited := took - q.least
	q.took[min(int(waited/queueStep), queueSteps-1)]++
	q.packets++
	if since := at.Sub(q.last); !q.last.IsZero() && waited >= queueBusy && since <= waited {
		q.busy += since
		q.busyBytes += bytes - q.lastBytes
	}
	q.last, q.lastBytes = at, bytes
}

// queueBusy is a queue that no jitter is.
const queueBusy = 30 * time.Millisecond

// Busy returns the rate, in bit/s, at which everything came while the path was busy, and for how long it was. That is the
// path's: an encoder that is out of breath for a moment leaves it empty, and then nothing is counted.
func (q *Queue) Busy() (bitrate int, d time.Duration) {
	if q.busy == 0 {
		return 0, 0
	}
	return int(rate(q.busyBytes, q.busy)), q.busy
}

// Full tells whether so many percent of the packets took so much longer than at best.
func (q *Queue) Full(longer time.Duration, percent int) bool {
	n := 0
	for i := min(int(longer/queueStep), queueSteps-1); i < queueSteps; i++ {
		n += q.took[i]
	}
	return n > 0 && 100*n >= percent*q.packets
}
