package redundancy

import (
	"time"

	"github.com/bedside-video/bedside/sfu/twcc"
)

// Meter measures the loss on the way to one subscriber over some seconds: from transport-wide feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions-01), which has every packet, and from receiver
// reports where that does not come. The zero value is ready.
type Meter struct {
	fed      bool // feedback has come: reports are not needed
	received float64
	lost     float64
	runs     float64 // of lost packets
	silent   float64 // ms that the lost packets of a run took to send, in sum
	next     uint16  // the transport-wide number after the last that was told
	started  bool
	run      int           // packets lost since the last that came
	last     time.Duration // when that was, on the subscriber's clock
}

// keep is the share of the past that Age leaves: at one call a second, half of it is from the last
// 2.4 s.
const keep = 0.75

const (
	// longestRun is what a loss may last and be a burst: more is a pause, or an outage.
	longestRun = time.Second
)

// Feedback takes what a subscriber received. A packet that is told again, because it came late, counts
// once; one that was told lost and comes after all stays lost, as for a listener.
func (m *Meter) Feedback(f *twcc.Feedback) {
	m.fed = true
	seq := f.Base
	if m.started && int16(seq-m.next) > 0 {
		m.run = 0 // a feedback was lost: what is between is not known
	}
	at := time.Duration(f.Reference) * twcc.ReferenceUnit
	for _, p := range f.Packets {
		if p.Came {
			at += time.Duration(p.Delta) * twcc.DeltaUnit
		}
		if !m.started || int16(seq-m.next) >= 0 {
			m.packet(p.Came, at)
			m.next, m.started = seq+1, true
		}
		seq++
	}
}

// packet counts one packet, which came at a time on the subscriber's clock, or did not.
func (m *Meter) packet(came bool, at time.Duration) {
	if !came {
		m.lost++
		m.run++
		return
	}
	m.received++
	if gap := at - m.last; m.run > 0 && gap > 0 && gap < longestRun {
		m.runs++
		m.silent += gap.Seconds() * 1000 * float64(m.run) / float64(m.run+1)
	}
	m.run, m.last = 0, at
}

// Came takes one packet of an incoming stream that came as itself, and how many right before it did not,
// each of that length.
func (m *Meter) Came(lost int, each time.Duration) {
	m.received++
	m.lost += float64(lost)
	if silent := time.Duration(lost) * each; lost > 0 && silent < longestRun {
		m.runs++
		m.silent += silent.Seconds() * 1000
	}
}

// Delivered takes what receiver reports told of packets: so many were to come, of which some were lost.
func (m *Meter) Delivered(packets, lost uint64) {
	if m.fed {
		return
	}
	m.received += float64(packets - min(lost, packets))
	m.lost += float64(min(lost, packets))
}

// Age makes room for what is to come. It is to be called once a second.
func (m *Meter) Age() {
	m.received *= keep
	m.lost *= keep
	m.runs *= keep
	m.silent *= keep
}

// fewest packets from which a loss is told.
const fewest = 20

// Loss is the share of packets lost; false while there are too few to tell.
func (m *Meter) Loss() (share float64, ok bool) {
	all := m.received + m.lost
	return m.lost / max(all, 1), all >= fewest
}

// fewestRuns of losses tell how long they are.
const fewestRuns = 5

// severally is how many packets losses have on average that are bursts: of single ones it is 1.25 at 20 % lost, 1.43
// at 30.
const severally = 1.6

// Burst is how long losses are on average, 0 while that is not known. It is a time, not a number of
// packets, because most packets beside the audio are video. One packet that is lost before a pause is no burst.
func (m *Meter) Burst() time.Duration {
	if m.runs < fewestRuns {
		return 0
	}
	mean := time.Duration(m.silent / m.runs * float64(time.Millisecond))
	if m.lost < severally*m.runs {
		return min(mean, frame)
	}
	return mean
}
