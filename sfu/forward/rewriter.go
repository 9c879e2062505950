package forward

import (
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Rewriter renumbers everything that leaves one slot, for as long as the slot exists: sequence
// number, timestamp, VP8 PictureID and TL0PICIDX go on without a break over every change of
// encoding, person and codec. Without the last two, one switch in ten between simulcast layers
// stopped after five frames (Chromium 156, 2026-11-22). SSRC and payload type are the caller's.
//
// What comes in must have been through a Receiver: duplicates are not to be given to it. It must not be copied.
//
// Of a hundred subscribers none is in the processor's caches when a packet comes: what every packet needs is
// together.
type Rewriter struct {
	current   Stream // what is forwarded
	pending   Stream // what is to be, from its next key frame on
	timestamp uint32 // the highest that left
	floor     uint32 // nothing leaves with a timestamp before this one
	stamps    uint32 // the slot's timestamps minus the encoding's
	clockRate uint32
	newest    time.Time // when the packet with the slot's highest number left; zero before any
	squeeze   squeeze
	aligned   bool
	align     uint32 // what Align told
	pictures  counter
	tl0s      counter
	seq       sequence
}

// longestPause bounds how far a pause moves the timestamps. A slot may stay empty for hours, and a
// step of 2^31 (6.6 h at 90 kHz) would be one backwards.
const longestPause = time.Hour

// NewRewriter returns a Rewriter of an empty slot. The first packet leaves with the given numbers,
// which ought to be random where RFC 3550 section 5.1 wants them so.
func NewRewriter(clockRate uint32, seq uint16, ts uint32, pictureID uint16, tl0 uint8) Rewriter {
	return Rewriter{
		clockRate: clockRate,
		seq:       sequence{last: seq - 1},
		timestamp: ts - 1,
		floor:     ts,
		pictures:  counter{last: pictureID - 1},
		tl0s:      counter{last: uint16(tl0) - 1},
	}
}

// Current is the encoding that is forwarded, 0 for none.
func (w *Rewriter) Current() Stream { return w.current }

// Pending is the encoding whose key frame is waited for; false for none.
func (w *Rewriter) Pending() (Stream, bool) { return w.pending, w.pending != 0 }

// Reassign empties the slot because it changes hands. Every packet that left before has a
// timestamp before boundary, every later one has boundary or one after it (RFC 3550 order, modulo
// 2^32): what a page needs to never show a person's last picture under another's name.
func (w *Rewriter) Reassign(now time.Time) (boundary uint32) {
	w.current, w.pending = 0, 0
	w.floor = w.nextTimestamp(now)
	return w.floor
}

// Target makes s the encoding to forward from its next key frame on; until then the current one
// goes on. The current one as target, or 0, only ends the waiting.
func (w *Rewriter) Target(s Stream) {
	if s == w.current {
		s = 0
	}
	w.pending = s
}

// Resync makes the current encoding wait for a key frame: it is to be called when packets of it
// were kept from Forward, after a mute for instance, so that they leave no hole in the slot's
// numbers. It does nothing while another encoding is pending or none is current.
func (w *Rewriter) Resync() {
	if w.pending == 0 {
		w.pending = w.current
	}
	w.current = 0
}

// maxAhead is how far beyond the time that has passed an aligned timestamp may be: sender reports are
// right to some milliseconds, and a picture dated into the future would be shown late.
const maxAhead = 500 * time.Millisecond

// maxBehind is how far before the last picture that left one may have been taken that follows it: longer
// than caches keep it.
const maxBehind = time.Second

// Align tells of the next packet given to Forward, one of the pending encoding of the same source, what
// its timestamp is on the clock of the current one, by the sender reports of both. Then pictures
// are as far apart after the switch as they were taken, and not as they arrived. Those that were taken
// before the last one that left follow it closely.
func (w *Rewriter) Align(timestamp uint32) { w.aligned, w.align = true, timestamp }

// Skip takes a packet of s that is not to be forwarded because its whole frame is left out, and closes
// the gap in every number. Only a packet that comes after others have been placed behind it has a
// place already: Skip returns Forwarded then, and what is to leave in that place is padding.
func (w *Rewriter) Skip(s Stream, c codec.Name, p *codec.Packet, newest bool, out *Out) Verdict {
	*out = Out{}
	switch {
	case s == 0 || s != w.current:
		return DropNotCurrent
	case w.seq.jumped(p.Seq):
		if newest {
			w.Resync()
		}
		return DropOld
	case w.seq.ahead(p.Seq):
		w.seq.cut(p.Seq)
		if c == codec.VP8 {
			w.omit(p.VP8)
		}
		return DropLayer
	}
	var v Verdict
	if out.Seq, v = w.seq.placeLate(p.Seq); v == Forwarded {
		out.Timestamp = w.stamped(p)
		return Forwarded
	}
	return DropLayer
}

// Forward decides about one packet of s, on which Parse and ParsePayload(c) have succeeded. Newest
// is what s's Receiver said of it. Only when it returns Forwarded is out of use. A forwarded
// packet may be without payload: padding that comes late fills the place that was kept for it.
func (w *Rewriter) Forward(now time.Time, s Stream, c codec.Name, p *codec.Packet, newest bool, out *Out) Verdict {
	*out = Out{}
	switch {
	case s == 0:
		return DropNotCurrent
	case s == w.pending:
		// A key frame that is not the newest is a probe: Chromium probes with RTX of old packets,
		// and a switch to one of those lost 140 packets and 2.5 s (2026-11-22).
		if !newest || !p.KeyFrame {
			w.aligned = false
			return DropWaitKeyFrame
		}
		w.begin(now, s, p)
		w.aligned = false
		out.Switched = true
	case s != w.current:
		return DropNotCurrent
	case w.seq.jumped(p.Seq):
		if !newest {
			return DropOld
		}
		// The publisher numbers anew. Its old frames have nothing to do with what follows.
		w.Resync()
		return w.Forward(now, s, c, p, newest, out)
	default:
		if v := w.advance(now, p, out); v != Forwarded {
			return v
		}
	}
	if out.Switched {
		out.Seq = w.seq.last
	}
	out.Timestamp = w.stamped(p)
	if c == codec.VP8 {
		w.renumber(p.VP8, out)
	}
	return Forwarded
}

// begin makes s the current encoding, p being its first packet.
func (w *Rewriter) begin(now time.Time, s Stream, p *codec.Packet) {
	same := w.current != 0
	w.current, w.pending = s, 0
	w.seq.restart(p.Seq)
	if at, ok := w.alignedTimestamp(now); ok && same {
		w.stampAt(now, at, p)
	} else {
		w.stamp(now, p)
	}
	w.pictures.open, w.tl0s.open = false, false
}

// advance finds the place of a packet of the current encoding.
func (w *Rewriter) advance(now time.Time, p *codec.Packet, out *Out) (v Verdict) {
	ts := w.stamped(p)
	if !w.seq.ahead(p.Seq) {
		if int32(ts-w.floor) < 0 {
			return DropOld
		}
		if out.Seq, v = w.seq.placeLate(p.Seq); v == Forwarded {
			w.note(now, ts)
		}
		return v
	}
	if len(p.Payload) == 0 {
		w.seq.cut(p.Seq)
		return DropPadding
	}
	out.Seq = w.seq.place(p.Seq)
	if int32(ts-w.floor) < 0 || int32(ts-w.timestamp) < -int32(w.clockRate) {
		// The publisher's clock has gone back, further than frames sent out of order ever are.
		w.stamp(now, p)
		return Forwarded
	}
	w.note(now, ts)
	return Forwarded
}

// note keeps the highest timestamp, and the time at which the first packet with it left: a pause
// is counted from the start of a frame to the start of the next.
func (w *Rewriter) note(now time.Time, ts uint32) {
	if int32(ts-w.timestamp) <= 0 {
		return
	}
	w.timestamp, w.newest = ts, now
	// The floor follows, lest after 2^31 units everything seems to be below it.
	w.squeeze.forget(ts)
	if w.timestamp-w.floor > 1<<30 {
		w.floor = w.timestamp - 1<<30
	}
}

// alignedTimestamp is the slot's timestamp of a packet that Align was told of; false where it is too far
// from the time that has passed.
func (w *Rewriter) alignedTimestamp(now time.Time) (uint32, bool) {
	if !w.aligned {
		return 0, false
	}
	at := w.align + w.stamps
	behind, ahead := int32(w.timestamp+1-at), int32(at-w.nextTimestamp(now))
	return at, behind <= int32(units(maxBehind, w.clockRate)) && ahead <= int32(units(maxAhead, w.clockRate))
}

// stamped is the slot's timestamp of a packet of the current encoding.
func (w *Rewriter) stamped(p *codec.Packet) uint32 { return w.squeeze.apply(p.Timestamp + w.stamps) }

// stamp gives p the next timestamp, and everything after it the same distance.
func (w *Rewriter) stamp(now time.Time, p *codec.Packet) { w.stampAt(now, w.nextTimestamp(now), p) }

// stampAt gives p the timestamp at, or the next one where that is not later than the last.
func (w *Rewriter) stampAt(now time.Time, at uint32, p *codec.Packet) {
	w.stamps = at - p.Timestamp
	w.squeeze = newSqueeze(at, w.timestamp+1, w.clockRate)
	w.timestamp = w.squeeze.apply(at)
	w.floor = w.timestamp
	w.newest = now
}

// nextTimestamp is the last one plus the time since, at least 1: receivers play what they get at
// the pace that timestamps tell.
func (w *Rewriter) nextTimestamp(now time.Time) uint32 {
	var pause time.Duration
	if !w.newest.IsZero() {
		pause = min(max(now.Sub(w.newest), 0), longestPause)
	}
	ts := w.timestamp + max(units(pause, w.clockRate), 1)
	if int32(ts-w.floor) < 0 {
		return w.floor
	}
	return ts
}

// SlotTimestamp converts a timestamp of the current encoding, such as its sender report's, to the
// slot's; false while there is none.
func (w *Rewriter) SlotTimestamp(ts uint32) (uint32, bool) {
	return ts + w.stamps, w.current != 0
}

// renumber fills in the VP8 numbers of a packet.
func (w *Rewriter) renumber(d codec.Descriptor, out *Out) {
	out.describe(d)
	if d.PictureIDBits > 0 {
		out.PictureID = w.pictures.next(d.PictureID, d.PictureIDBits)
	}
	if d.HasTL0PICIDX {
		out.TL0PICIDX = uint8(w.tl0s.next(uint16(d.TL0PICIDX), 8))
	}
}

// omit leaves the VP8 numbers of a packet's frame out.
func (w *Rewriter) omit(d codec.Descriptor) {
	if d.PictureIDBits > 0 {
		w.pictures.omit(d.PictureID, d.PictureIDBits)
	}
	if d.HasTL0PICIDX && d.TID == 0 {
		w.tl0s.omit(uint16(d.TL0PICIDX), 8)
	}
}
