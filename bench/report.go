package bench

import (
	"slices"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// SlotReport is what one slot received.
type SlotReport struct {
	Mid              string
	Video            bool
	Packets          uint64 // all that arrived, duplicates and RTX included
	RTX              uint64 // of these, as RTX
	Untagged         uint64 // without a tag: padding, or damaged
	Wrong            uint64 // not of whom slots names for their timestamp
	Duplicates       uint64
	Repaired         uint64 // holes filled by RTX
	Lost             uint64 // holes never filled
	Handovers        uint64 // assignments to another participant or source
	KeyframeRequests uint64
	Frames           uint64 // whole frames
	Broken           uint64 // frames with a packet missing for good
	Decodable        uint64
	Continuity       Continuity
	FirstFrame       time.Time     // since the last handover, zero for none
	FirstFrameRTP    uint32        // its timestamp
	LongestGap       time.Duration // between decodable frames, or audio packets, of one assignment
	Flows            []Flow        // by first arrival
}

// Report returns the accounts so far. Packets that no slots message explained count as wrong.
func (r *Receiver) Report() SlotReport {
	out := r.stats
	out.Video = r.video
	out.Wrong += uint64(len(r.unverified))
	out.Duplicates, out.Repaired, out.Lost = r.order.duplicates, r.order.repaired, r.order.lost
	out.Frames, out.Broken, out.Decodable = r.frames.whole, r.frames.broken, r.frames.decodable
	out.Continuity = r.frames.breaks
	out.FirstFrame, out.FirstFrameRTP = r.frames.first, r.frames.firstTS
	if r.video {
		out.LongestGap = r.frames.gap
	}
	out.Flows = slices.Clone(r.flows)
	return out
}

// SentReport is what one encoding sent.
type SentReport struct {
	Source      wire.Source
	Mid         string
	RID         string
	SSRC        uint32
	Packets     uint64
	Frames      uint64
	KeyRequests uint64 // PLI and FIR received
	Nacked      uint64 // sequence numbers asked for
	Resent      uint64 // RTX packets sent, probes apart
	Probes      uint64 // RTX packets that nobody asked for
}

// Report is everything a Client knows of its own call.
type Report struct {
	Participant string
	State       wire.State
	Sent        []SentReport
	Slots       []SlotReport // in the order of the m-lines
	Ended       string       // reason of the ended message, "" while it lasts
	EpochGaps   uint64       // slots messages whose epoch did not follow the one before
}

// Received adds up the packets, in sequence order and without duplicates, that came of one
// participant's track, in whatever slots.
func (r Report) Received(participant string, source wire.Source) Flow {
	sum := Flow{Sender: SenderHash(participant), Source: source}
	for _, s := range r.Slots {
		for _, f := range s.Flows {
			if f.Sender != sum.Sender || f.Source != source {
				continue
			}
			sum.Packets += f.Packets
			sum.Frames += f.Frames
			for i, n := range f.Layers {
				sum.Layers[i] += n
			}
			if sum.First.IsZero() || f.First.Before(sum.First) {
				sum.First = f.First
			}
			if f.Last.After(sum.Last) {
				sum.Last = f.Last
			}
		}
	}
	return sum
}

// Total adds up one figure over all slots.
func (r Report) Total(figure func(SlotReport) uint64) uint64 {
	var sum uint64
	for _, s := range r.Slots {
		sum += figure(s)
	}
	return sum
}
