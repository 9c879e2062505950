package capacity

import "time"

// MaxArrivals bounds what a Trace remembers: 4 s of 2.5 Mbit/s in packets of 300 bytes.
const MaxArrivals = 4096

// Trace notes what came of a client that sends as much as it dares. The zero value is empty. It is not safe for use by
// several goroutines.
type Trace struct {
	arrivals []arrival
	bytes    int
}

type arrival struct {
	at    time.Time
	bytes int
}

// Add notes a packet; times do not go back. false when no more are noted.
func (t *Trace) Add(at time.Time, bytes int) bool {
	if len(t.arrivals) == MaxArrivals {
		return false
	}
	t.arrivals = append(t.arrivals, arrival{at, bytes})
	t.bytes += bytes
	return true
}

// Bytes returns how much has come.
func (t *Trace) Bytes() int { return t.bytes }

// Most returns the largest rate, in bit/s, at which packets came for as long as window; 0 while it is not over.
func (t *Trace) Most(window time.Duration) int {
	most, sum, first := 0.0, 0, 0
	for _, a := range t.arrivals {
		// What came after the first of the window, in the time from it on.
		for a.at.Sub(t.arrivals[first].at) >= window {
			took := a.at.Sub(t.arrivals[first].at)
			sum -= t.arrivals[first].bytes
			most = max(most, rate(sum+a.bytes, took))
			first++
		}
		sum += a.bytes
	}
	return int(most)
}

// Last returns the rate, in bit/s, of the last so much time.
func (t *Trace) Last(now time.Time, d time.Duration) int {
	sum := 0
	for i := len(t.arrivals) - 1; i >= 0 && now.Sub(t.arrivals[i].at) < d; i-- {
		sum += t.arrivals[i].bytes
	}
	return int(rate(sum, d))
}
