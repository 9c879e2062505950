package bench

import (
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// SlotReport is what one slot received since the last Mark.
type SlotReport struct {
	Mid              string
	Video            bool
	Packets          uint64 // all that arrived, duplicates and RTX included
	RTX              uint64 // of these, as RTX
	Redundant        uint64 // packets that came in later ones alone (RED); not among Packets
	Untagged         uint64 // without a tag: padding, or damaged
	Wrong            uint64 // not of whom slots names for their timestamp
	Duplicates       uint64
	Repaired         uint64 // holes filled by RTX, or by RED
	Lost             uint64 // holes never filled
	Handovers        uint64 // assignments to another participant or source
	KeyframeRequests uint64
	Frames           uint64 // whole frames
	Broken           uint64 // frames with a packet missing for good
	Decodable        uint64
	Continuity       Continuity
	FirstFrame       time.Time     // since the last handover, zero for none
	FirstFrameRTP    uint32        // its timestamp
	LongestGap       time.Duration // of the Flows' Viewed
	Flows            []Flow        // by first arrival
}

// Report returns the accounts as they stand at now. Packets that no slots message explained in time
// count as wrong; a video that stands still does so up to now.
func (r *Receiver) Report(now time.Time) SlotReport {
	out := r.stats
	out.Video = r.video
	out.Duplicates, out.Repaired, out.Lost = r.order.duplicates, r.order.repaired, r.order.lost
	out.Frames, out.Broken, out.Decodable = r.frames.whole, r.frames.broken, r.frames.decodable
	out.Continuity = r.frames.breaks
	out.FirstFrame, out.FirstFrameRTP = r.frames.first, r.frames.firstTS
	seat := r.seated()
	for i := range r.flows {
		f := r.flows[i].clone()
		if &r.flows[i] == seat {
			f.Viewed = r.viewing.until(now, r.video, f.Viewed)
		}
		out.LongestGap = max(out.LongestGap, f.Viewed.LongestGap)
		out.Flows = append(out.Flows, f)
	}
	for _, o := range r.unverified {
		if now.Sub(o.at) >= slotsPatience {
			out.wrong(o.tag)
		}
	}
	return out
}

// wrong counts a packet of somebody whose the slot is not.
func (s *SlotReport) wrong(t Tag) {
	s.Wrong++
	source := t.SourceOf()
	for i := range s.Flows {
		if f := &s.Flows[i]; f.Sender == t.Sender && f.Source == source {
			f.Wrong++
			return
		}
	}
	s.Flows = append(s.Flows, Flow{Sender: t.Sender, Source: source, Wrong: 1})
}

// SentReport is what one encoding sent since the last Mark.
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

// since is what was added after a mark.
func (r SentReport) since(mark SentReport) SentReport {
	r.Packets -= mark.Packets
	r.Frames -= mark.Frames
	r.KeyRequests -= mark.KeyRequests
	r.Nacked -= mark.Nacked
	r.Resent -= mark.Resent
	r.Probes -= mark.Probes
	return r
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
			sum.add(f)
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
