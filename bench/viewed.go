package bench

import "time"

// A video stands still when the next frame takes longer than three times the mean of the last 30
// intervals, and 150 ms longer than that mean (W3C webrtc-stats, freezeCount). As in libwebrtc's
// VideoStreamDecoder there is no verdict before 5 intervals.
const (
	freezeWindow  = 30
	freezeSamples = 5
	freezeFactor  = 3
	freezeMore    = 150 * time.Millisecond
)

// playout is how much a player keeps in hand at most. It begins with nothing, and each time it runs dry
// goes on that much later, at the pace of the timestamps: then a packet that has to be sent again stops
// nothing, as with a browser, whose jitter buffer adds the round trip once it has to ask again.
const playout = 200 * time.Millisecond

// Silence is told from a gap by timestamps; when nothing comes any more there is none to go by, and
// what is longer than any pause of DTX (400 ms) is a gap.
const silence = time.Second

// The clocks of timestamps: Opus's (RFC 7587), and that of all video.
const (
	audioClock = 48000
	videoClock = 90000
)

// Viewed is what a person saw or heard of one track while a slot was its, and it was not muted. A frame
// is shown when it can be decoded: whole, and with all that it refers to.
type Viewed struct {
	Watched    time.Duration // how long that was
	LongestGap time.Duration // between two frames shown, or two audio packets less what the sender was silent
	Frames     uint64        // shown
	Freezes    uint64
	Frozen     time.Duration
	Switches   uint64    // changes of the layer, from frame to frame
	Layers     [3]uint64 // Frames by layer, lowest first
}

func (v *Viewed) add(o Viewed) {
	v.Watched += o.Watched
	v.LongestGap = max(v.LongestGap, o.LongestGap)
	v.Frames += o.Frames
	v.Freezes += o.Freezes
	v.Frozen += o.Frozen
	v.Switches += o.Switches
	for i, n := range o.Layers {
		v.Layers[i] += n
	}
}

// viewing follows what is Viewed by who has the slot. It is pure.
type viewing struct {
	watching  time.Time // since when the slot is live, or since Mark; zero for not live
	last      time.Time // frame shown or audio packet, zero for none since the slot became live
	timestamp uint32    // of last
	layer     uint8     // of the last frame shown
	intervals [freezeWindow]time.Duration
	count     int // of all intervals
	sum       time.Duration
}

// begin starts a new one: nothing before it counts as an interval.
func (v *viewing) begin(now time.Time, live bool) {
	*v = viewing{}
	if live {
		v.watching = now
	}
}

// mean is that of the last intervals.
func (v *viewing) mean() time.Duration {
	return v.sum / time.Duration(max(1, min(v.count, freezeWindow)))
}

// frozen tells whether an interval is a freeze.
func (v *viewing) frozen(interval time.Duration) bool {
	mean := v.mean()
	return v.count >= freezeSamples && interval > max(freezeFactor*mean, mean+freezeMore)
}

// shown counts a frame that can be decoded from now on.
func (v *viewing) shown(now time.Time, timestamp uint32, layer uint8, into *Viewed) {
	if v.watching.IsZero() { // muted: what still comes is not seen
		return
	}
	into.Frames++
	if int(layer) < len(into.Layers) {
		into.Layers[layer]++
	}
	at := now
	if !v.last.IsZero() {
		if layer != v.layer {
			into.Switches++
		}
		at = v.due(now, timestamp)
		interval := at.Sub(v.last)
		v.stood(at, interval, into)
		v.sum += interval - v.intervals[v.count%freezeWindow]
		v.intervals[v.count%freezeWindow] = interval
		v.count++
	}
	v.last, v.timestamp, v.layer = at, timestamp, layer
}

// due is when a frame is shown: at its pace after the one before, but not before it is there, and not
// so late that more than playout waits.
func (v *viewing) due(now time.Time, timestamp uint32) time.Time {
	at := v.last.Add(time.Duration(int32(timestamp-v.timestamp)) * time.Second / videoClock)
	if latest := now.Add(playout); at.After(latest) {
		at = latest
	}
	if earliest := later(now, v.last); at.Before(earliest) {
		return earliest
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stood counts the interval that ends now; of one that began before Mark only the rest.
func (v *viewing) stood(now time.Time, interval time.Duration, into *Viewed) {
	rest := min(interval, now.Sub(v.watching))
	into.LongestGap = max(into.LongestGap, rest)
	if v.frozen(interval) {
		into.Freezes++
		into.Frozen += rest
	}
}

// heard counts an audio packet that arrived at an instant, lost packets after the one before. What the
// timestamps say that the sender was silent, beyond what the lost packets held, is no gap.
func (v *viewing) heard(at time.Time, timestamp uint32, lost int64, into *Viewed) {
	if v.watching.IsZero() {
		return
	}
	if !v.last.IsZero() {
		gap := min(at.Sub(v.last), at.Sub(v.watching))
		step := time.Duration(int32(timestamp-v.timestamp)) * time.Second / audioClock
		if silent := step - time.Duration(lost+1)*audioFrame; silent > 0 {
			gap -= silent
		}
		into.LongestGap = max(into.LongestGap, gap)
	}
	v.last, v.timestamp = at, timestamp
}

// until is what was Viewed as it stands at an instant, what is still going on included.
func (v *viewing) until(now time.Time, video bool, so Viewed) Viewed {
	if v.watching.IsZero() {
		return so
	}
	so.Watched += now.Sub(v.watching)
	if v.last.IsZero() {
		return so
	}
	interval := now.Sub(v.last)
	if video && v.frozen(interval) {
		v.stood(now, interval, &so)
	}
	if interval > silence {
		so.LongestGap = max(so.LongestGap, min(interval, now.Sub(v.watching)))
	}
	return so
}
