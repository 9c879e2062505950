package capacity_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/capacity"
)

// TestRampFindsTheRate: what a path carries is found to a few hundredths, whatever its way, queue and loss.
func TestRampFindsTheRate(t *testing.T) {
	worst := 0.0
	var longest time.Duration
	for _, rate := range []int{60_000, 90_000, 162_000, 200_000, 300_000, 370_000, 700_000, 1_500_000} {
		for _, delay := range []time.Duration{5 * time.Millisecond, 100 * time.Millisecond} {
			for _, queue := range []time.Duration{60 * time.Millisecond, 200 * time.Millisecond, 2 * time.Second} {
				if float64(rate)/8*queue.Seconds() < 4*packetBytes {
					continue // a queue of less than four packets is none
				}
				for _, loss := range []float64{0, 0.02} {
					for seed := range uint64(5) {
						w := way{rate: rate, queue: queue, delay: delay, loss: loss, seed: seed}
						o := w.fill()
						off := float64(o.found)/(float64(rate)*(1-loss)) - 1
						worst, longest = max(worst, off, -off), max(longest, o.took)
						if off < -0.1 || off > 0.08 || !o.full || o.took > 3300*time.Millisecond {
							t.Errorf("%+v: found %d, full %v, in %v", w, o.found, o.full, o.took)
						}
					}
				}
			}
		}
	}
	t.Logf("figure: off by %.1f %% at most, %v at most", 100*worst, longest)
}

func TestRamp(t *testing.T) {
	for _, tt := range []struct {
		name             string
		way              way
		low, high        int // found
		full             bool
		most             int           // bytes sent
		took, queue, end time.Duration // at most; end: at least
	}{
		{"a fast path", way{delay: 10 * time.Millisecond}, 1_900_000, 2_100_000, false, 300_000, 2 * time.Second, 0, 0},
		{"a fast path around the world", way{delay: 120 * time.Millisecond}, 1_900_000, 2_100_000, false, 700_000, 3200 * time.Millisecond, 0, 0},
		{"who does not answer gets 8 kB", way{delay: 10 * time.Millisecond, deaf: true}, 0, 0, false, 8_000, 620 * time.Millisecond, 0, 0},
		{"a client that had no time for 80 ms", way{delay: 10 * time.Millisecond, stalls: 80 * time.Millisecond}, 1_900_000, 2_100_000, false, 500_000, 3 * time.Second, 0, 0},
		{"5 % lost by a radio", way{rate: 5_000_000, delay: 20 * time.Millisecond, loss: 0.05, seed: 3}, 1_800_000, 2_100_000, false, 300_000, 2 * time.Second, time.Second, 0},
		{"a queue without end", way{rate: 64_000, queue: 20 * time.Second, delay: 40 * time.Millisecond}, 60_000, 66_000, true, 40_000, 3 * time.Second, 700 * time.Millisecond, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.way.fill()
			t.Logf("%d bit/s, full %v, after %v, %d bytes, %v of queue", o.found, o.full, o.took, o.sent, o.queue)
			if o.found < tt.low || o.found > tt.high || o.full != tt.full || o.sent > tt.most || o.took > tt.took || tt.queue > 0 && o.queue > tt.queue {
				t.Errorf("want %d to %d, full %v, after %v, %d bytes, %v of queue", tt.low, tt.high, tt.full, tt.took, tt.most, tt.queue)
			}
		})
	}
}

// TestLossesOfTheRampAreNotThePaths: what overflowed while a path was full is left out of what it lost.
func TestLossesOfTheRampAreNotThePaths(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	var l capacity.Losses
	for i := range 100 {
		a := bwe.Ack{Sent: start.Add(time.Duration(i) * time.Second / 10), Fate: bwe.Received}
		if i >= 50 && i < 60 || i == 3 {
			a.Fate = bwe.Lost
		}
		l.Add([]bwe.Ack{a})
	}
	l.Add([]bwe.Ack{{Sent: start.Add(300 * time.Millisecond), Fate: bwe.Received, Was: bwe.Lost}, {Sent: start, Fate: bwe.Skipped}})
	if lost, of := l.Except(func(time.Time) bool { return false }); lost != 10 || of != 100 {
		t.Errorf("%d of %d lost, want 10 of 100: one came after all", lost, of)
	}
	full := func(at time.Time) bool { s := at.Sub(start); return s >= 5*time.Second && s < 6*time.Second }
	if lost, of := l.Except(full); lost != 0 || of != 90 {
		t.Errorf("%d of %d lost, want 0 of 90", lost, of)
	}
	o := way{rate: 300_000, delay: 10 * time.Millisecond}.fill()
	if begin := start.Add(100 * time.Millisecond); o.ramp.Filled(begin) || !o.ramp.Filled(start.Add(o.took)) || o.ramp.Filled(start.Add(o.took+time.Second)) {
		t.Error("it is not known when the path was full")
	}
}

func TestTrace(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var x capacity.Trace
	for ms := 0; ms <= 3000; ms += 10 { // 1,000 bytes each 10 ms in the second second, 100 else
		size := 100
		if ms > 1000 && ms <= 2000 {
			size = 1000
		}
		x.Add(at(ms), size)
	}
	for _, tt := range []struct {
		window time.Duration
		want   int
	}{{time.Second, 800_000}, {500 * time.Millisecond, 800_000}, {2 * time.Second, 440_000}, {4 * time.Second, 0}} {
		if got := x.Most(tt.window); got != tt.want {
			t.Errorf("most of %v: %d, want %d", tt.window, got, tt.want)
		}
	}
	if got := x.Last(at(3000), 100*time.Millisecond); got != 80_000 {
		t.Errorf("the last 100 ms: %d, want 80,000", got)
	}
	for range 2 * capacity.MaxArrivals {
		x.Add(at(4000), 1)
	}
	if x.Add(at(4000), 1) || x.Bytes() > 110_000+20_100+capacity.MaxArrivals {
		t.Error("it is not bounded")
	}
}

func TestQueue(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		name string
		took []time.Duration // ms, of packets that came 20 ms apart, with 500 bytes between them
		full bool
		busy time.Duration
	}{
		{"nothing came", nil, false, 0},
		{"no queue", []time.Duration{0, 1, 2, 1, 0, 3, 1, 2, 1, 0}, false, 0},
		{"two of ten were late", []time.Duration{0, 1, 2, 100, 0, 80, 1, 2, 1, 0}, false, 40 * time.Millisecond},
		{"a queue that grows", []time.Duration{0, 10, 20, 30, 40, 50, 60, 70, 80, 90}, true, 140 * time.Millisecond},
		{"it was there from the beginning", []time.Duration{200, 200, 205, 210, 200}, true, 80 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var q capacity.Queue
			if len(tt.took) > 0 {
				q.Base(0)
			}
			for i, ms := range tt.took {
				q.Add(start.Add(time.Duration(i)*20*time.Millisecond), ms*time.Millisecond, 500*i)
			}
			if got := q.Full(30*time.Millisecond, 30); got != tt.full {
				t.Errorf("full: %v, want %v", got, tt.full)
			}
			rate, busy := q.Busy()
			if busy != tt.busy || busy > 0 && (rate < 199_990 || rate > 200_000) {
				t.Errorf("%d bit/s while it was busy, %v; want 200,000 and %v", rate, busy, tt.busy)
			}
		})
	}
}

// FuzzRamp: whatever a client tells, and says it took, what is sent stays within its bounds and ends.
func FuzzRamp(f *testing.F) {
	f.Add([]byte{1, 2, 3}, int64(1))
	f.Add([]byte("a client that tells anything at all"), int64(-1))
	f.Add([]byte{0, 255, 0, 255, 128, 7}, int64(1)<<62)
	f.Fuzz(func(t *testing.T, told []byte, scale int64) {
		start := time.Unix(1_800_000_000, 0)
		r := capacity.NewRamp(start)
		now, over := start, false
		for i, b := range told {
			now = now.Add(time.Duration(b) * time.Millisecond)
			rate := r.Rate(now, time.Time{})
			if rate < 0 || rate > capacity.RampMost || over && rate != 0 {
				t.Fatalf("%d bit/s", rate)
			}
			over = rate == 0
			var acks []bwe.Ack
			for j := range int(b) {
				acks = append(acks, bwe.Ack{
					Sent: now.Add(-time.Duration(j) * time.Millisecond), Arrived: time.Duration(int64(i*j) * scale),
					Size: int(b), Fate: bwe.Fate(j % 4), Was: bwe.Fate(i % 4),
				})
			}
			r.Acks(now, acks)
		}
		if r.Rate(start.Add(4*time.Second), time.Time{}) != 0 {
			t.Fatal("it does not end")
		}
	})
}

func ExampleRamp() {
	o := way{rate: 250_000, delay: 30 * time.Millisecond}.fill()
	fmt.Println(o.found > 235_000 && o.found < 260_000, o.full)
	// Output: true true
}
