package bench

import (
	"time"

	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Flow is what one slot received of one participant's track since the last Mark.
type Flow struct {
	Sender  uint64 // SenderHash
	Source  wire.Source
	Packets uint64 // in sequence order, without duplicates
	Bytes   uint64 // of these
	Frames  uint64 // distinct frame numbers, per layer, in the order of arrival
	// Layers counts Packets by encoding, lowest first.
	Layers   [3]uint64
	First    time.Time
	Last     time.Time
	Lost     uint64          // holes right before its packets that were never filled
	Repaired uint64          // holes filled by RTX
	Wrong    uint64          // packets that came while the slot was not the sender's
	Delay    *hist.Histogram // from sending to arrival, duplicates apart; nil before the first packet
	Viewed   Viewed

	layer uint8 // of the last packet
	frame uint32
}

func (f *Flow) count(t Tag) {
	f.Packets++
	if int(t.Layer) < len(f.Layers) {
		f.Layers[t.Layer]++
	}
}

// clone is a copy that shares nothing.
func (f Flow) clone() Flow {
	if f.Delay != nil {
		f.Delay = f.Delay.Clone()
	}
	return f
}

// add adds what another slot, or the same one on another connection, received of the same track.
func (f *Flow) add(o Flow) {
	f.Packets += o.Packets
	f.Bytes += o.Bytes
	f.Frames += o.Frames
	for i, n := range o.Layers {
		f.Layers[i] += n
	}
	if f.First.IsZero() || !o.First.IsZero() && o.First.Before(f.First) {
		f.First = o.First
	}
	if o.Last.After(f.Last) {
		f.Last = o.Last
	}
	f.Lost += o.Lost
	f.Repaired += o.Repaired
	f.Wrong += o.Wrong
	if o.Delay != nil {
		if f.Delay == nil {
			f.Delay = new(hist.Histogram)
		}
		f.Delay.Merge(o.Delay)
	}
	f.Viewed.add(o.Viewed)
}
