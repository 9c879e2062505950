package sim

import (
	"maps"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Delays are kept to a tenth of a millisecond.
const (
	delayStep = 100 * time.Microsecond
	maxDelay  = 10 * time.Second
)

// timing accounts for when packets arrived. The witness guards it.
type timing struct {
	packets uint64
	delays  [maxDelay / delayStep]uint64 // packets by delay; the last holds all longer ones
	voices  map[voice]time.Time          // the last audio packet, since the subscriber's slots changed
	gap     time.Duration                // the longest between two
	heard   bool
}

// voice is one person's microphone as another hears it.
type voice struct {
	subscriber string // ref
	sender     uint64 // bench.SenderHash
}

// packet notes an arrival. The gap between two audio packets is taken here, because a Receiver's
// LongestGap is no measure of silence: it waits a second for a hole that nobody repairs.
func (x *timing) packet(subscriber string, now time.Time, a bench.Arrival) {
	x.packets++
	x.delays[max(0, min(int(now.Sub(a.Tag.Sent)/delayStep), len(x.delays)-1))]++
	if a.Tag.SourceOf() != wire.SourceMic {
		return
	}
	v := voice{subscriber, a.Tag.Sender}
	if last, ok := x.voices[v]; ok {
		x.gap, x.heard = max(x.gap, now.Sub(last)), true
	}
	x.voices[v] = now
}

// reseated notes that somebody's slots changed: what was silent may have been so for a reason.
func (x *timing) reseated(subscriber string) {
	maps.DeleteFunc(x.voices, func(v voice, _ time.Time) bool { return v.subscriber == subscriber })
}

// delay returns what a share of all packets did not exceed, links included; false before any arrived.
func (x *timing) delay(share float64) (time.Duration, bool) {
	var seen uint64
	for i, n := range x.delays {
		if seen += n; n > 0 && float64(seen) >= share*float64(x.packets) {
			return time.Duration(i+1) * delayStep, true
		}
	}
	return 0, false
}
