package quality

import "time"

// Totals are what has been counted of one direction since its connection began.
type Totals struct {
	Packets  uint64        // that were sent, as far as their numbers tell
	Lost     uint64        // of them, on the way
	Repaired uint64        // retransmissions: that arrived from a publisher, that went out to a subscriber
	Jitter   time.Duration // as last measured (RFC 3550 section 6.4.1)
}

// Sample is what is known of one participant's connection at one moment.
type Sample struct {
	Up, Down  Totals
	Dropped   uint64        // packets for this participant that the server could not send
	RoundTrip time.Duration // 0: not known yet
	Connected bool
}

// Link is what one direction did in an interval.
type Link struct {
	Packets  uint64        `json:"p,omitempty"`
	Lost     uint64        `json:"l,omitempty"`
	Repaired uint64        `json:"r,omitempty"`
	Jitter   time.Duration `json:"j,omitempty"` // the largest
}

// Loss is the share of packets that were lost, 0 to 1.
func (l Link) Loss() float64 {
	if l.Packets == 0 {
		return 0
	}
	return min(1, float64(l.Lost)/float64(l.Packets))
}

// rating of the direction, as if nothing repaired it and the rest of the way were perfect: half a round
// trip, and a jitter buffer of twice the jitter.
func (l Link) rating(roundTrip time.Duration) float64 {
	return rating(l.Loss(), roundTrip/2+2*l.Jitter)
}

// Score is the mean opinion score of speech over this link alone, 1 to 4.5; see Score.
func (l Link) Score(roundTrip time.Duration) float64 {
	return Score(l.Loss(), roundTrip/2+2*l.Jitter)
}

func (l *Link) add(o Link) {
	l.Packets += o.Packets
	l.Lost += o.Lost
	l.Repaired += o.Repaired
	l.Jitter = max(l.Jitter, o.Jitter)
}

// since is what t adds to before. A counter that has gone back is a new connection's.
func (t Totals) since(before Totals) Link {
	if t.Packets < before.Packets || t.Repaired < before.Repaired {
		before = Totals{}
	}
	l := Link{Packets: t.Packets - before.Packets, Repaired: t.Repaired - before.Repaired, Jitter: t.Jitter}
	if t.Lost > before.Lost { // reordered packets are lost for a moment
		l.Lost = min(t.Lost-before.Lost, l.Packets)
	}
	if l.Packets == 0 {
		l.Jitter = 0 // an old one
	}
	return l
}

// Interval is what a connection did between two samples.
type Interval struct {
	Up, Down  Link
	Dropped   uint64
	RoundTrip time.Duration
}

// samples is how many intervals a level looks back over: with one in two seconds long enough for the
// receiver reports of speech, which browsers send every 5 s.
const samples = 3

// Meter follows one participant's connection. The zero value has seen nothing.
type Meter struct {
	last     Sample
	recent   [samples]Interval
	next     int
	up, down dial
	was      bool // connected, ever
}

// Take takes a sample and returns what happened since the one before.
func (m *Meter) Take(now time.Time, s Sample) Interval {
	i := Interval{Up: s.Up.since(m.last.Up), Down: s.Down.since(m.last.Down), RoundTrip: s.RoundTrip}
	if s.Dropped > m.last.Dropped {
		i.Dropped = s.Dropped - m.last.Dropped
	}
	// Lost packets that turned up late are not to be counted as lost when the next ones are.
	if s.Up.Packets >= m.last.Up.Packets {
		s.Up.Lost = max(s.Up.Lost, m.last.Up.Lost)
	}
	if s.Down.Packets >= m.last.Down.Packets {
		s.Down.Lost = max(s.Down.Lost, m.last.Down.Lost)
	}
	m.last = s
	m.recent[m.next] = i
	m.next = (m.next + 1) % samples
	m.was = m.was || s.Connected
	if m.was && !s.Connected {
		m.up.force(Poor)
		m.down.force(Poor)
		return i
	}
	w := m.Recent()
	if w.Up.Packets >= enough {
		m.up.judge(now, w.Up.rating(w.RoundTrip))
	}
	if w.Down.Packets >= enough {
		m.down.judge(now, w.Down.rating(w.RoundTrip))
	}
	return i
}

// Recent is what the connection did in the last few intervals, with the last known round trip.
func (m *Meter) Recent() Interval {
	w := Interval{RoundTrip: m.last.RoundTrip}
	for _, i := range m.recent {
		w.Up.add(i.Up)
		w.Down.add(i.Down)
		w.Dropped += i.Dropped
	}
	return w
}

// Levels of the two directions, with hysteresis: they fall as soon as it shows and rise after ten
// seconds of doing better.
func (m *Meter) Levels() (up, down Level) { return m.up.level, m.down.level }
