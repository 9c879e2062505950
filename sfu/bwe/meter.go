package bwe

import "time"

// meterSize bounds what a meter remembers: 0.5 s of 25 Mbit/s. A power of two.
const meterSize = 1024

// meter measures a rate over the times that its packets have: of sending or of arrival. What the rate is
// made of is kept up to date: adding it up anew with each feedback took 8 % of the processor time from
// one to 100 (profile, 2026-11-22).
type meter struct {
	passed [meterSize]passage
	count  uint
	last   time.Duration // the latest

	oldest uint // the first that is in sum
	sum    int  // bytes of the passages from oldest on
}

// passage of one packet.
type passage struct {
	at    time.Duration
	bytes int
}

func (m *meter) add(at time.Duration, size int) {
	if m.count-m.oldest == meterSize {
		m.forget()
	}
	m.passed[m.count%meterSize] = passage{at, size}
	m.sum += size
	m.count++
	if m.count == 1 || at > m.last {
		m.last = at
	}
}

func (m *meter) forget() {
	m.sum -= m.passed[m.oldest%meterSize].bytes
	m.oldest++
}

// rate over the last window, in bit/s; over what there is while that is less, but for a fifth of it. The
// window is the same in every call. A packet that was overtaken counts for as long as those around it.
func (m *meter) rate(window time.Duration) float64 {
	if m.count == 0 {
		return 0
	}
	if early := m.last - m.passed[0].at; m.count < meterSize && early < window {
		window = max(early, window/5)
		return float64(m.within(window)) * 8 / window.Seconds()
	}
	for m.oldest != m.count && m.last-m.passed[m.oldest%meterSize].at >= window {
		m.forget() // all of them if a client's clock goes back
	}
	return float64(m.sum) * 8 / window.Seconds()
}

// within adds up what passed in the last window, of the first packets.
func (m *meter) within(window time.Duration) (bytes int) {
	for _, p := range m.passed[:m.count] {
		if m.last-p.at < window {
			bytes += p.bytes
		}
	}
	return bytes
}

// departures is the rate at which packets leave a queue that is not empty: what came after the first
// of the window over the time it took. false when that is too little to tell.
func (m *meter) departures(window time.Duration) (float64, bool) {
	sum, n := 0, 0
	first, last := m.last, time.Duration(-1<<63)
	firstBytes := 0
	for i := range min(m.count, meterSize) {
		p := &m.passed[(m.count-1-i)%meterSize]
		if m.last-p.at >= window {
			break
		}
		n++
		sum += p.bytes
		last = max(last, p.at)
		if p.at <= first {
			first, firstBytes = p.at, p.bytes
		}
	}
	if n < 5 || last-first < window/3 {
		return 0, false
	}
	return float64(sum-firstBytes) * 8 / (last - first).Seconds(), true
}
