package forward

import "time"

const (
	// maxMissing bounds the packets asked for. More are missing at once only after an outage,
	// which a key frame mends sooner; the oldest are given up.
	maxMissing = 256
	maxTries   = 10
	maxWait    = time.Second
	minRTT     = 20 * time.Millisecond
)

// missing lists the packets that have not come, oldest first. Times are since the Receiver's epoch.
type missing struct {
	list []gap
	next time.Duration // nothing is to be done before
	// within is how long after it was found missing a packet is of use; 0: until it is given up.
	within time.Duration
}

type gap struct {
	seq   uint16
	tries uint8
	found time.Duration
	next  time.Duration
}

// add lists the packets from first to before end.
func (m *missing) add(now time.Duration, first, end uint16) {
	n := int(end - first)
	if n == 0 {
		return
	}
	if n > maxMissing {
		first, n = end-maxMissing, maxMissing
	}
	if m.list == nil {
		m.list = make([]gap, 0, maxMissing)
	}
	if over := len(m.list) + n - maxMissing; over > 0 {
		m.list = m.list[:copy(m.list, m.list[over:])]
	}
	for s := first; s != end; s++ {
		m.list = append(m.list, gap{seq: s, found: now, next: now})
	}
	m.next = now
}

// found takes a packet off the list. It tells whether the packet is the answer to having been asked for,
// where that comes as itself: what was only overtaken comes sooner.
func (m *missing) found(now time.Duration, seq uint16) (answer bool) {
	for i, g := range m.list {
		if g.seq == seq {
			m.list = append(m.list[:i], m.list[i+1:]...)
			return m.within > 0 && g.tries > 0 && now-g.found >= minRTT
		}
	}
	return false
}

// due appends what is to be asked for now, and gives up what was asked for long enough.
func (m *missing) due(now, rtt time.Duration, out []uint16) []uint16 {
	if len(m.list) == 0 || now < m.next {
		return out
	}
	pause := max(rtt, minRTT) * 3 / 2
	kept := m.list[:0]
	for _, g := range m.list {
		if now >= g.next {
			if g.tries == maxTries || now-g.found >= maxWait || m.within > 0 && now-g.found+rtt > m.within {
				continue
			}
			out = append(out, g.seq)
			g.tries++
			g.next = now + pause
		}
		if len(kept) == 0 || g.next < m.next {
			m.next = g.next
		}
		kept = append(kept, g)
	}
	m.list = kept
	return out
}
