package bwe

import "time"

// meterSize bounds what a meter remembers: 0.5 s of 25 Mbit/s.
const meterSize = 1024

// meter measures a rate over the times that its packets have: of sending or of arrival.
type meter struct {
	at    [meterSize]time.Duration
	bytes [meterSize]int32
	count int
	last  time.Duration
}

func (m *meter) add(at time.Duration, size int) {
	m.at[m.count%meterSize], m.bytes[m.count%meterSize] = at, int32(size)
	m.count++
	if m.count == 1 || at > m.last {
		m.last = at
	}
}

// rate over the last window, in bit/s; over what there is while that is less, but for a fifth of it.
func (m *meter) rate(window time.Duration) float64 {
	if m.count < meterSize && m.count > 0 {
		window = min(window, max(m.last-m.at[0], window/5))
	}
	sum := 0
	for i := range min(m.count, meterSize) {
		k := (m.count - 1 - i) % meterSize
		if m.last-m.at[k] >= 2*window {
			break // reordered packets are close to their place
		}
		if m.last-m.at[k] < window {
			sum += int(m.bytes[k])
		}
	}
	return float64(sum) * 8 / window.Seconds()
}

// departures is the rate at which packets leave a queue that is not empty: what came after the first
// of the window over the time it took. false when that is too little to tell.
func (m *meter) departures(window time.Duration) (float64, bool) {
	sum, n := 0, 0
	first, last := m.last, time.Duration(-1<<63)
	firstBytes := 0
	for i := range min(m.count, meterSize) {
		k := (m.count - 1 - i) % meterSize
		if m.last-m.at[k] >= window {
			break
		}
		n++
		sum += int(m.bytes[k])
		last = max(last, m.at[k])
		if m.at[k] <= first {
			first, firstBytes = m.at[k], int(m.bytes[k])
		}
	}
	if n < 5 || last-first < window/3 {
		return 0, false
	}
	return float64(sum-firstBytes) * 8 / (last - first).Seconds(), true
}
