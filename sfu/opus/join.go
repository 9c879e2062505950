package opus

import (
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// maxBytes of a packet that is put together: what fits into a block of RED, so that a later one can carry it.
// Three frames of a voice have 90 to 200.
const maxBytes = codec.MaxREDLength

// silence is the longest packet that stands for a pause (DTX). Joined, NetEq would not take it for one, and
// conceal what follows (WebRtcOpus_Decode in opus_interface.cc).
const silence = 2

// maxJoined bounds the frames of a packet that is put together: 120 ms of 20 ms, or 15 of 2.5.
const maxJoined = 6

// Joiner collects packets of one stream that follow each other without a hole, to be sent as one. What it
// holds is bounded: maxJoined frames, maxBytes. The zero value is empty. Packets are copied.
type Joiner struct {
	parsed    Packet
	first     codec.Packet // without its payload
	toc       byte
	packets   uint16 // taken
	frames    int
	sizes     [maxJoined]int
	body      []byte // of the frames, one behind the other
	timestamp uint32 // of what follows
	joined    []byte // by Packet
}

// Empty tells that nothing is held.
func (j *Joiner) Empty() bool { return j.packets == 0 }

// Duration of what is held.
func (j *Joiner) Duration() time.Duration { return time.Duration(j.frames) * frameDuration(j.toc) }

// Clear forgets what is held.
func (j *Joiner) Clear() { j.packets, j.frames, j.body = 0, 0, j.body[:0] }

// Take adds a packet. It does not take what is no Opus, what does not follow right behind what is held, what is of
// another configuration (mode, bandwidth, length of frames, channels), what stands for a pause, and what would make the packet too long.
func (j *Joiner) Take(p *codec.Packet) bool {
	x := &j.parsed
	if len(p.Payload) <= silence || x.Parse(p.Payload) != nil || x.n > maxJoined-j.frames {
		return false
	}
	size := len(j.body)
	for _, f := range x.Frames() {
		size += len(f) + 2
	}
	switch {
	case size+2 > maxBytes:
		return false
	case j.Empty():
		j.toc = x.toc
		j.first = codec.Packet{Seq: p.Seq, Timestamp: p.Timestamp, Marker: p.Marker, KeyFrame: true, FrameStart: true}
	case x.toc != j.toc || p.Timestamp != j.timestamp || p.Seq != j.first.Seq+j.packets || p.Marker:
		return false // a marker begins a spurt of talk, where the receiver may make its buffer longer
	case j.Duration()+x.Duration() > maxDuration:
		return false
	}
	for _, f := range x.Frames() {
		j.sizes[j.frames] = len(f)
		j.frames++
		j.body = append(j.body, f...)
	}
	j.packets++
	j.timestamp = p.Timestamp + units(x.Duration())
	return true
}

// units of the RTP clock, which is that of 48 kHz whatever is coded (RFC 7587 section 4.1).
func units(d time.Duration) uint32 {
	return uint32(d * time.Duration(codec.Opus.ClockRate()) / time.Second)
}

// Packet is what is held as one packet, with the number, the timestamp and the marker of the first, and how many
// packets it was. Its payload is valid until the next call.
func (j *Joiner) Packet() (p codec.Packet, packets int) {
	p = j.first
	j.joined = j.write(j.joined[:0])
	p.Payload = j.joined
	return p, int(j.packets)
}

// write appends the packet in its shortest form.
func (j *Joiner) write(b []byte) []byte {
	equal := true
	for _, size := range j.sizes[1:j.frames] {
		equal = equal && size == j.sizes[0]
	}
	sized := j.sizes[:j.frames-1] // whose lengths are written
	switch {
	case j.frames == 1:
		b = append(b, j.toc)
	case j.frames == 2 && equal:
		b = append(b, j.toc|1)
	case j.frames == 2:
		b = appendLength(append(b, j.toc|2), sized[0])
	case equal:
		b = append(b, j.toc|3, byte(j.frames))
	default:
		b = append(b, j.toc|3, 0x80|byte(j.frames))
		for _, size := range sized {
			b = appendLength(b, size)
		}
	}
	return append(b, j.body...)
}

// appendLength writes what frameLength reads.
func appendLength(b []byte, size int) []byte {
	if size < 252 {
		return append(b, byte(size))
	}
	return append(b, 252+byte(size&3), byte((size-252-size&3)>>2))
}
