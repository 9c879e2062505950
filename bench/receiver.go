package bench

import (
	"time"

	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	unverifiedPackets = 256 // wait for a slots message at most; more are wrong
	flowsPerSlot      = 64
	assignmentsKept   = 1024
	pliRepeat         = 300 * time.Millisecond
	// slotsPatience is how long a packet may wait for the message that says whose it is: one trip of a
	// TCP segment that was lost and sent again.
	slotsPatience = 250 * time.Millisecond
)

// Inbound is one RTP packet received in a slot. Payload is valid until Packet returns: a Receiver
// copies what waits behind a hole.
type Inbound struct {
	Sequence  uint16
	Timestamp uint32
	Marker    bool
	Repaired  bool // came as RTX (RFC 4588)
	Redundant bool // came in a later packet (RED)
	Opaque    bool // was not decrypted: there is no Payload, and only the header tells
	Size      int  // bytes of the RTP packet
	Payload   []byte
}

// Receiver accounts for what arrives in one slot, and asks for what is missing. It is pure, and not
// safe for concurrent use.
type Receiver struct {
	video       bool
	assignments []seat
	fixed       bool // the one assignment holds whatever the timestamp
	unverified  []owned
	order       reorder
	frames      frames
	flows       []Flow
	viewing     viewing
	stats       SlotReport
	progress    progress
	lastPLI     time.Time
	seen        Tag    // of the last packet in order, guessed where it was not decrypted
	seenAt      uint32 // its timestamp
}

// progress is what a Receiver counts for who looks every second; Mark does not touch it.
type progress struct {
	lost   uint64
	delays hist.Histogram // since they were last asked for
}

// seat is an assignment with its participant's SenderHash.
type seat struct {
	wire.Assignment
	sender uint64
}

// owned is a packet whose slot was not known to be its sender's when it came.
type owned struct {
	at        time.Time
	timestamp uint32
	tag       Tag
}

// NewReceiver returns the Receiver of one slot. Holes in audio are not asked for: no browser
// negotiates NACK for Opus by itself.
func NewReceiver(video bool) *Receiver { return &Receiver{video: video, order: newReorder(video)} }

// Assign notes whose the slot is from now on.
func (r *Receiver) Assign(now time.Time, a wire.Assignment) {
	prev := r.current()
	another := prev.Participant != a.Participant || prev.Source != a.Source
	if another {
		r.frames.handOver()
		r.stats.Handovers++
	}
	if another || prev.State != a.State {
		r.settle(now)
		r.viewing.begin(now, a.State == wire.SlotLive && a.Participant != "")
	}
	if len(r.assignments) == assignmentsKept {
		r.assignments = r.assignments[1:]
	}
	r.assignments = append(r.assignments, seat{a, SenderHash(a.Participant)})
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

// settle books what the current assignment's view came to.
func (r *Receiver) settle(now time.Time) {
	if f := r.seated(); f != nil {
		f.Viewed = r.viewing.until(now, r.video, f.Viewed)
	}
}

// End notes that the connection is over: nobody watches any more.
func (r *Receiver) End(now time.Time) {
	r.settle(now)
	r.viewing.begin(now, false)
}

// Mark forgets what was counted so far, not what the Receiver knows: what comes next is accounted for
// as before.
func (r *Receiver) Mark(now time.Time) {
	r.stats, r.flows = SlotReport{}, nil
	r.order.duplicates, r.order.repaired, r.order.lost = 0, 0, 0
	r.frames.mark()
	if !r.viewing.watching.IsZero() {
		r.viewing.watching = now
	}
}

// Packet takes one packet and reports its tag, false where it has none.
func (r *Receiver) Packet(now time.Time, p Inbound) (Tag, bool) {
	switch {
	case p.Redundant:
		r.stats.Redundant++
	case p.Repaired:
		r.stats.Packets++
		r.stats.RTX++
	default:
		r.stats.Packets++
	}
	tag, ok := ParseTag(p.Payload)
	if ok {
		r.verify(owned{at: now, timestamp: p.Timestamp, tag: tag})
	} else if !p.Opaque {
		r.stats.Untagged++
	}
	duplicates, repaired := r.order.duplicates, r.order.repaired
	packets := r.order.put(now, p)
	if r.order.duplicates == duplicates {
		r.arrived(now, p, tag, ok, r.order.repaired-repaired)
	}
	r.releaseAll(now, packets)
	return tag, ok
}

// arrived books what is known of a packet when it comes, duplicates apart.
func (r *Receiver) arrived(now time.Time, p Inbound, tag Tag, tagged bool, repaired uint64) {
	f := r.seated()
	if tagged {
		f = r.flow(tag.Sender, tag.SourceOf())
	}
	if f == nil {
		return
	}
	f.Bytes += uint64(p.Size)
	f.Repaired += repaired
	if tagged {
		delay := now.Sub(tag.Sent)
		r.progress.delays.Add(delay)
		if f.Delay == nil {
			f.Delay = new(hist.Histogram)
		}
		f.Delay.Add(delay)
	}
}

// releaseAll takes packets in the order of their sequence numbers.
func (r *Receiver) releaseAll(now time.Time, packets []held) {
	for _, h := range packets {
		tag, ok := ParseTag(h.packet.Payload)
		if !ok && h.packet.Opaque {
			tag, ok = r.guess(h.packet.Timestamp)
		}
		if ok {
			r.account(now, tag, h.lost)
			if !r.video {
				r.joined(h.packet.Payload)
			}
			r.seen, r.seenAt = tag, h.packet.Timestamp
		}
		r.progress.lost += uint64(h.lost)
		seat := r.seated()
		if !r.video {
			if seat != nil {
				r.viewing.heard(h.at, h.packet.Timestamp, h.lost, &seat.Viewed)
			}
			continue
		}
		before := r.frames.decodable
		r.frames.packet(now, h)
		if r.frames.decodable != before && seat != nil {
			r.viewing.shown(now, h.packet.Timestamp, r.seen.Layer, &seat.Viewed)
		}
	}
}

// guess is the tag of a packet that was not decrypted: that of the one before, of the next frame if it
// has another timestamp. What was guessed wrong is put right by the next packet that is decrypted.
func (r *Receiver) guess(timestamp uint32) (Tag, bool) {
	t := r.seen
	if timestamp != r.seenAt {
		t.Frame++
	}
	return t, t.Source != 0
}

// Wants tells whether the payload of the next packet must be seen: nothing can be shown before a key
// frame, or something is missing, behind which a key frame may come, or what was seen last is not of
// whom the slot should be.
func (r *Receiver) Wants(sequence uint16) bool {
	a := r.current()
	if a.Participant != "" && (r.seen.Sender != a.sender || r.seen.Source != sourceNumber(a.Source)) {
		return true
	}
	return r.video && (!r.frames.have || r.frames.waitKey || !r.order.follows(sequence))
}

// verify checks that the slot is the sender's at the packet's timestamp. A slots message and the
// media it announces travel on different paths, so a mismatch may still be cured by the next one.
func (r *Receiver) verify(o owned) {
	for i := len(r.assignments) - 1; i >= 0; i-- {
		a := r.assignments[i]
		if !r.fixed && int32(o.timestamp-a.RTP) < 0 {
			continue
		}
		if a.Participant != "" && a.sender == o.tag.Sender && sourceNumber(a.Source) == o.tag.Source {
			return
		}
		break
	}
	if len(r.unverified) == unverifiedPackets {
		r.stats.Wrong++
		if f := r.flow(o.tag.Sender, o.tag.SourceOf()); f != nil {
			f.Wrong++
		}
		return
	}
	r.unverified = append(r.unverified, o)
}

// account adds an in-order packet to its flow.
func (r *Receiver) account(now time.Time, t Tag, lost int64) {
	f := r.flow(t.Sender, t.SourceOf())
	if f == nil {
		return
	}
	if f.Packets == 0 {
		f.First, f.frame = now, t.Frame-1
	}
	if f.layer != t.Layer || f.frame != t.Frame {
		f.Frames++
		f.layer, f.frame = t.Layer, t.Frame
	}
	f.count(t)
	f.Lost += uint64(lost)
	f.Last = now
}

// joined counts the frames of a voice's packet in order beside the one whose tag ends it.
func (r *Receiver) joined(payload []byte) {
	var buf [maxVoiceFrames]Tag
	if tags := voiceTags(buf[:0], payload); len(tags) > 1 {
		if f := r.flow(tags[0].Sender, tags[0].SourceOf()); f != nil {
			f.Frames += uint64(len(tags) - 1)
		}
	}
}

// flow finds the accounts of a track, or opens them; nil when there are too many already.
func (r *Receiver) flow(sender uint64, source wire.Source) *Flow {
	for i := range r.flows {
		if f := &r.flows[i]; f.Sender == sender && f.Source == source {
			return f
		}
	}
	if len(r.flows) == flowsPerSlot {
		return nil
	}
	r.flows = append(r.flows, Flow{Sender: sender, Source: source})
	return &r.flows[len(r.flows)-1]
}

// seated is the flow of whose the slot is, nil for nobody.
func (r *Receiver) seated() *Flow {
	a := r.current()
	if a.Participant == "" || a.State == wire.SlotEmpty {
		return nil
	}
	return r.flow(a.sender, a.Source)
}

// current is the latest assignment; the zero value before the first.
func (r *Receiver) current() seat {
	if len(r.assignments) == 0 {
		return seat{}
	}
	return r.assignments[len(r.assignments)-1]
}

// SetRTT tells how long an answer takes at least: what was asked for is not asked for again before.
func (r *Receiver) SetRTT(rtt time.Duration) { r.order.rtt = rtt }

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
