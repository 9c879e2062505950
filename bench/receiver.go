package bench

import (
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	unverifiedPackets = 256 // wait for a slots message at most; more are wrong
	flowsPerSlot      = 64
	assignmentsKept   = 1024
	pliRepeat         = 300 * time.Millisecond
)

// Inbound is one RTP packet received in a slot. Payload is valid until Packet returns, except that a
// Receiver keeps it while it waits behind a hole.
type Inbound struct {
	Sequence  uint16
	Timestamp uint32
	Marker    bool
	Repaired  bool // came as RTX (RFC 4588)
	Payload   []byte
}

// Flow is what one slot received of one participant's track.
type Flow struct {
	Sender  uint64 // SenderHash
	Source  wire.Source
	Packets uint64
	Frames  uint64 // distinct frame numbers, per layer, in the order of arrival
	// Layers counts Packets by encoding, lowest first.
	Layers [3]uint64
	First  time.Time
	Last   time.Time

	layer uint8 // of the last packet
	frame uint32
}

func (f *Flow) count(t Tag) {
	f.Packets++
	if int(t.Layer) < len(f.Layers) {
		f.Layers[t.Layer]++
	}
}

// Receiver accounts for what arrives in one slot, and asks for what is missing. It is pure, and not
// safe for concurrent use.
type Receiver struct {
	video       bool
	assignments []wire.Assignment
	fixed       bool // the one assignment holds whatever the timestamp
	unverified  []owned
	order       reorder
	frames      frames
	flows       []Flow
	stats       SlotReport
	lastPLI     time.Time
	since       time.Time // of the current assignment
	lastPacket  time.Time
}

// owned is a packet whose slot was not known to be its sender's when it came.
type owned struct {
	timestamp uint32
	tag       Tag
}

// NewReceiver returns the Receiver of one slot. Holes in audio are not asked for: no browser
// negotiates NACK for Opus.
func NewReceiver(video bool) *Receiver { return &Receiver{video: video, order: reorder{nack: video}} }

// Assign notes whose the slot is from now on.
func (r *Receiver) Assign(now time.Time, a wire.Assignment) {
	prev := r.current()
	if prev.Participant != a.Participant || prev.Source != a.Source {
		r.frames.handOver()
		r.since, r.lastPacket = now, time.Time{}
		r.stats.Handovers++
	}
	if len(r.assignments) == assignmentsKept {
		r.assignments = r.assignments[1:]
	}
	r.assignments = append(r.assignments, a)
	waiting := r.unverified
	r.unverified = nil
	for _, o := range waiting {
		r.verify(o)
	}
}

// Fix notes whose the slot is for good, where a server has no slots messages.
func (r *Receiver) Fix(now time.Time, a wire.Assignment) {
	r.fixed = true
	r.Assign(now, a)
}

// Packet takes one packet and reports its tag, false where it has none.
func (r *Receiver) Packet(now time.Time, p Inbound) (Tag, bool) {
	r.stats.Packets++
	if p.Repaired {
		r.stats.RTX++
	}
	tag, ok := ParseTag(p.Payload)
	if ok {
		r.verify(owned{timestamp: p.Timestamp, tag: tag})
	} else {
		r.stats.Untagged++
	}
	r.releaseAll(now, r.order.put(now, p))
	return tag, ok
}

// releaseAll takes packets in the order of their sequence numbers.
func (r *Receiver) releaseAll(now time.Time, packets []held) {
	for _, h := range packets {
		if tag, ok := ParseTag(h.packet.Payload); ok {
			r.account(now, tag)
		}
		if r.video {
			r.frames.packet(now, h)
		} else if !r.lastPacket.IsZero() {
			r.stats.LongestGap = max(r.stats.LongestGap, now.Sub(r.lastPacket))
		}
		r.lastPacket = now
	}
}

// verify checks that the slot is the sender's at the packet's timestamp. A slots message and the
// media it announces travel on different paths, so a mismatch may still be cured by the next one.
func (r *Receiver) verify(o owned) {
	for i := len(r.assignments) - 1; i >= 0; i-- {
		a := r.assignments[i]
		if !r.fixed && int32(o.timestamp-a.RTP) < 0 {
			continue
		}
		if a.Participant != "" && SenderHash(a.Participant) == o.tag.Sender && sourceNumber(a.Source) == o.tag.Source {
			return
		}
		break
	}
	if len(r.unverified) == unverifiedPackets {
		r.stats.Wrong++
		return
	}
	r.unverified = append(r.unverified, o)
}

// account adds an in-order packet to its flow.
func (r *Receiver) account(now time.Time, t Tag) {
	source := t.SourceOf()
	for i := range r.flows {
		f := &r.flows[i]
		if f.Sender != t.Sender || f.Source != source {
			continue
		}
		if f.layer != t.Layer || f.frame != t.Frame {
			f.Frames++
			f.layer, f.frame = t.Layer, t.Frame
		}
		f.count(t)
		f.Last = now
		return
	}
	if len(r.flows) < flowsPerSlot {
		f := Flow{Sender: t.Sender, Source: source, Frames: 1, First: now, Last: now, layer: t.Layer, frame: t.Frame}
		f.count(t)
		r.flows = append(r.flows, f)
	}
}

// current is the latest assignment; the zero value before the first.
func (r *Receiver) current() wire.Assignment {
	if len(r.assignments) == 0 {
		return wire.Assignment{}
	}
	return r.assignments[len(r.assignments)-1]
}

// Feedback returns what to ask the sender for now: sequence numbers to send again, and whether a key
// frame is needed.
func (r *Receiver) Feedback(now time.Time) (nacks []uint16, keyframe bool) {
	r.releaseAll(now, r.order.release(now))
	nacks = r.order.nacks(now)
	if !r.video || !r.frames.stuck || now.Sub(r.lastPLI) < pliRepeat {
		return nacks, false
	}
	if a := r.current(); a.State != wire.SlotLive {
		return nacks, false
	}
	r.lastPLI = now
	r.stats.KeyframeRequests++
	return nacks, true
}

// Deadline returns when Feedback has something to do next, zero for not before the next packet.
func (r *Receiver) Deadline() time.Time {
	due := r.order.deadline()
	if r.video && r.frames.stuck && r.current().State == wire.SlotLive {
		if pli := r.lastPLI.Add(pliRepeat); due.IsZero() || pli.Before(due) {
			due = pli
		}
	}
	return due
}
