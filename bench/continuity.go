package bench

import (
	"fmt"
	"strings"
	"time"
)

// Continuity counts breaks in the numbers that a VP8 decoder goes by. A server that rewrites them
// right leaves all at zero, whatever it switches.
type Continuity struct {
	Malformed uint64 // payloads that are no VP8
	Picture   uint64 // PictureID did not grow by one with the frame, or changed within it
	TL0       uint64 // TL0PICIDX did not grow by one with each base-layer frame
	Timestamp uint64 // the RTP timestamp of a new frame was not later, or 10 s later than time had passed
	Reference uint64 // a delta frame did not follow the frame that its sender made before it
}

// String names what was broken.
func (c Continuity) String() string {
	var parts []string
	for _, b := range []struct {
		what  string
		times uint64
	}{
		{"malformed", c.Malformed}, {"picture id", c.Picture}, {"TL0PICIDX", c.TL0}, {"timestamp", c.Timestamp}, {"reference", c.Reference},
	} {
		if b.times > 0 {
			parts = append(parts, fmt.Sprintf("%s %d times", b.what, b.times))
		}
	}
	return strings.Join(parts, ", ")
}

// frames assembles video frames from packets in sequence order and checks their numbering. It is
// pure.
type frames struct {
	breaks Continuity

	have    bool // previous is set
	prev    vp8Descriptor
	prevTS  uint32
	prevAt  time.Time
	intact  bool // every packet of the current frame so far
	key     bool // the current frame
	padded  bool // padding came since the frame before
	waitKey bool // nothing can be decoded before the next key frame
	// stuck tells that waitKey has cost a frame and no key frame is on the way: only then is one
	// asked for. While its first packets arrive, asking again would be noise that depends on timing.
	stuck bool

	whole     uint64 // frames received with all their packets
	broken    uint64 // frames with a packet missing for good
	decodable uint64 // whole frames with everything they refer to
	keys      uint64
	lastTag   Tag       // of the last frame begun
	base      Tag       // of the last one of the lowest temporal layer; zero for not known
	blind     bool      // the packet before was not decrypted
	unknown   bool      // the start of the frame before was not decrypted: lastTag is older
	first     time.Time // first decodable frame
	firstTS   uint32
}

// packet takes the next packet in order; lost tells how many before it never came.
func (f *frames) packet(now time.Time, h held) {
	if h.packet.Opaque {
		f.opaque(now, h)
		return
	}
	if len(h.packet.Payload) == 0 { // padding in the place of something that was left out
		if h.lost > 0 {
			f.loss(h.packet.Timestamp)
		}
		f.padded = true
		return
	}
	d, err := parseVP8(h.packet.Payload)
	if err != nil {
		f.breaks.Malformed++
		return
	}
	if h.lost > 0 {
		f.loss(h.packet.Timestamp)
	}
	if !f.have || h.packet.Timestamp != f.prevTS {
		f.reference(d, h)
		f.begin(d, h.packet.Timestamp, h.lost > 0 || f.padded, now.Sub(f.prevAt))
		f.padded = false
	} else if !f.blind && (d.hasPic != f.prev.hasPic || d.picture != f.prev.picture || d.tl0 != f.prev.tl0) {
		f.breaks.Picture++
	}
	f.have, f.prev, f.prevTS, f.prevAt, f.blind = true, d, h.packet.Timestamp, now, false
	if h.packet.Marker {
		f.end(now)
	}
}

// opaque takes a packet that was not decrypted: frames are told apart by their timestamps and ended by
// the marker, and what a decoder goes by is not checked.
func (f *frames) opaque(now time.Time, h held) {
	ts := h.packet.Timestamp
	if h.lost > 0 {
		f.loss(ts)
	}
	if !f.have || ts != f.prevTS {
		f.begin(vp8Descriptor{start: h.lost == 0}, ts, true, now.Sub(f.prevAt))
		f.unknown, f.base = true, Tag{}
	}
	f.have, f.prev, f.prevTS, f.prevAt, f.blind = true, vp8Descriptor{}, ts, now, true
	if h.packet.Marker {
		f.end(now)
	}
}

// loss notes that packets before one with timestamp ts are gone for good.
func (f *frames) loss(ts uint32) {
	if f.have && ts == f.prevTS && f.intact {
		f.intact = false
		f.broken++
	}
	f.waitKey, f.stuck = true, true
}

// reference checks with the tags of two frames what renumbering would hide: that a delta frame comes
// right after its predecessor, of the same person and the same encoding.
func (f *frames) reference(d vp8Descriptor, h held) {
	tag, ok := ParseTag(h.packet.Payload)
	if !ok {
		return
	}
	last, known := f.lastTag, !f.unknown
	if d.hasLayers {
		last, known = f.base, f.base.Source != 0
	}
	f.lastTag, f.unknown = tag, false
	if d.tid == 0 {
		f.base = tag
	}
	if !f.have || !known || d.key || h.lost > 0 || f.waitKey {
		return
	}
	if !f.follows(d, tag, last) {
		f.breaks.Reference++
		if d.tid != 0 {
			f.base = Tag{} // one break is enough for all that refer to it
		}
	}
}

// follows tells whether the frame of a tag has what it refers to: the one before, or with temporal layers
// the base frame that its place in the pattern 0 2 1 2 is counted from.
func (f *frames) follows(d vp8Descriptor, tag, last Tag) bool {
	if tag.Sender != last.Sender || tag.Source != last.Source || tag.Layer != last.Layer {
		return false
	}
	step := tag.Frame - last.Frame
	switch {
	case !d.hasLayers:
		return step == 1
	case d.tid == 0:
		return step == 4
	case d.tid == 1:
		return step == 2
	}
	return step == 1 || step == 3
}

// begin starts a frame.
func (f *frames) begin(d vp8Descriptor, ts uint32, afterLoss bool, passed time.Duration) {
	f.key = d.key
	f.intact = d.start
	if d.key {
		f.stuck = false
	}
	if !d.start {
		f.broken++
		f.waitKey, f.stuck = true, true
	}
	if !f.have {
		f.waitKey = true
		return
	}
	if step := int32(ts - f.prevTS); step <= 0 || float64(step) > (passed.Seconds()+10)*90000 {
		f.breaks.Timestamp++
	}
	if afterLoss {
		return
	}
	if d.hasPic && f.prev.hasPic && d.picture != (f.prev.picture+1)&0x7fff {
		f.breaks.Picture++
	}
	if d.hasLayers && f.prev.hasLayers {
		want := f.prev.tl0
		if d.tid == 0 {
			want++
		}
		if d.tl0 != want {
			f.breaks.TL0++
		}
	}
}

// end finishes the current frame.
func (f *frames) end(now time.Time) {
	if !f.intact {
		return
	}
	f.intact = false
	f.whole++
	if f.key {
		f.keys++
		f.waitKey = false
	}
	if f.waitKey {
		f.stuck = true
		return
	}
	f.decodable++
	if f.first.IsZero() {
		f.first, f.firstTS = now, f.prevTS
	}
}

// handOver makes the next frame the first of somebody else's.
func (f *frames) handOver() {
	f.waitKey, f.stuck = true, false
	f.first = time.Time{}
}

// mark forgets what was counted.
func (f *frames) mark() {
	f.breaks, f.whole, f.broken, f.decodable, f.keys = Continuity{}, 0, 0, 0, 0
}
