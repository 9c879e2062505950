package bench

import (
	"math/rand/v2"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Layer is one encoding of a video track.
type Layer struct {
	RID           string // "" for a track without simulcast
	Width, Height int    // pixels
	Bitrate       int    // bit/s on average, key frames apart
}

// Video is a synthetic video track.
type Video struct {
	FPS      int     // frames a second
	Temporal int     // temporal layers: 1 or 3
	Layers   []Layer // lowest first
}

// Audio is a synthetic voice: Opus-like packets of 20 ms.
type Audio struct {
	Bitrate int   // bit/s
	Level   uint8 // RFC 6464: 0 is loudest, 127 silence
}

// Camera returns the camera of a small room: 15 frames a second in one encoding of 1 to 3 packets a
// frame, modest enough for simulations.
func Camera() *Video {
	return &Video{FPS: 15, Temporal: 1, Layers: []Layer{{Width: 640, Height: 360, Bitrate: 200_000}}}
}

// SimulcastCamera returns a camera in three encodings of three temporal layers each, with the sizes
// of bedside.js at a tenth of its bitrates.
func SimulcastCamera() *Video {
	return &Video{FPS: 15, Temporal: 3, Layers: []Layer{
		{RID: "q", Width: 320, Height: 180, Bitrate: 60_000},
		{RID: "h", Width: 640, Height: 360, Bitrate: 120_000},
		{RID: "f", Width: 1280, Height: 720, Bitrate: 240_000},
	}}
}

// Screen returns a shared screen: 5 frames a second in one encoding.
func Screen() *Video {
	return &Video{FPS: 5, Temporal: 1, Layers: []Layer{{Width: 1280, Height: 720, Bitrate: 100_000}}}
}

// Microphone returns somebody talking at -30 dBov.
func Microphone() *Audio { return &Audio{Bitrate: 24_000, Level: 30} }

const (
	maxPayload  = 1100 // bytes, TURN and SRTP overhead fit below 1200
	keyDeafness = 300 * time.Millisecond
	audioFrame  = 20 * time.Millisecond
)

// payload is one packet of a frame.
type payload struct {
	data   []byte
	marker bool
}

// encoder makes the frames of one video encoding. It is pure: seeded, and stepped by frame.
type encoder struct {
	sender   uint64
	source   uint8
	index    uint8
	fps      int
	temporal int
	layer    Layer
	rng      *rand.Rand

	frames  uint32
	pattern int // position in the temporal pattern
	picture uint16
	tl0     uint8
	keyDue  bool
	keyed   bool      // at least one key frame was made
	lastKey time.Time // of the last key frame
}

func newEncoder(v *Video, source wire.Source, index int, rng *rand.Rand) *encoder {
	return &encoder{
		source: sourceNumber(source), index: uint8(index), fps: v.FPS, temporal: v.Temporal,
		layer: v.Layers[index], rng: rng, keyDue: true,
		picture: uint16(rng.Uint32()) & 0x7fff, tl0: uint8(rng.Uint32()),
	}
}

// requestKey asks for a key frame. Within 300 ms of the last one it does nothing, as Chromium and
// Firefox do (measured 2026-11-22: a second PLI within 300 to 500 ms is not answered).
func (e *encoder) requestKey(now time.Time) {
	if e.keyed && now.Sub(e.lastKey) < keyDeafness {
		return
	}
	e.keyDue = true
}

// restart makes the next frame a key frame, as an encoder does that was stopped.
func (e *encoder) restart() { e.keyDue = true }

// frame makes the next frame.
func (e *encoder) frame(now time.Time) []payload {
	key := e.keyDue
	if key {
		e.keyDue, e.keyed, e.lastKey, e.pattern = false, true, now, 0
	}
	tid := e.nextTemporal()
	e.picture = (e.picture + 1) & 0x7fff
	if tid == 0 {
		e.tl0++
	}
	size := e.layer.Bitrate / 8 / e.fps
	size = size*7/10 + e.rng.IntN(size*6/10+1)
	if key {
		size *= 3
	}
	size = max(size, 64+TagBytes)
	e.frames++
	return e.packetise(now, key, tid, size)
}

// nextTemporal is the L1T3 pattern 0 2 1 2 of libvpx.
func (e *encoder) nextTemporal() uint8 {
	if e.temporal < 3 {
		return 0
	}
	tid := [...]uint8{0, 2, 1, 2}[e.pattern]
	e.pattern = (e.pattern + 1) % 4
	return tid
}

// packetise cuts a frame of size bytes into packets of nearly equal length.
func (e *encoder) packetise(now time.Time, key bool, tid uint8, size int) []payload {
	n := (size + maxPayload - 1) / maxPayload
	out := make([]payload, n)
	for i := range out {
		d := vp8Descriptor{start: i == 0, picture: e.picture, hasLayers: e.temporal >= 3, tl0: e.tl0, tid: tid}
		b := make([]byte, max(size/n, 16+TagBytes))
		at := d.put(b, tid == 2, tid > 0)
		if i == 0 {
			at += putVP8Frame(b[at:], key, e.layer.Width, e.layer.Height, size)
		}
		fill(b[at:], e.rng)
		Tag{
			Sender: e.sender, Source: e.source, Layer: e.index, Key: key, Frame: e.frames,
			Packet: uint16(i), Count: uint16(n), Sent: now,
		}.put(b)
		out[i] = payload{data: b, marker: i == n-1}
	}
	return out
}

// voice makes Opus-like packets. It is pure.
type voice struct {
	sender uint64
	source uint8
	audio  Audio
	rng    *rand.Rand
	frames uint32
}

func (v *voice) frame(now time.Time) payload {
	size := int(int64(v.audio.Bitrate) * int64(audioFrame) / int64(time.Second) / 8)
	b := make([]byte, max(size, 3+TagBytes))
	b[0] = 0x78 // RFC 6716 section 3.1: CELT, full band, 20 ms, mono, one frame
	fill(b[1:], v.rng)
	v.frames++
	Tag{Sender: v.sender, Source: v.source, Frame: v.frames, Count: 1, Sent: now}.put(b)
	return payload{data: b, marker: v.frames == 1}
}

// fill writes bytes that no parser should mistake for a tag.
func fill(b []byte, rng *rand.Rand) {
	x := byte(rng.Uint32()) | 1
	for i := range b {
		b[i] = x
		x = x*5 + 3
	}
}
