package bench

import (
	"cmp"
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
	// Constant makes every frame five packets of 1000 bytes, key frames too, whatever the layers'
	// bitrates say: the shape in which servers are compared.
	Constant bool
	// Key is how many times as large as a frame of average size a key frame is; 0 is 3. Chromium's are 4 to 8 times.
	Key int
	// Libvpx makes a key frame that is asked of one encoding one of all, and gives the lowest of three temporal
	// layers two fifths of the bits, as libwebrtc's encoder does (libvpx_vp8_encoder.cc, kLayerRateAllocation).
	Libvpx bool
}

// Audio is a synthetic voice: Opus-like packets of 20 ms.
type Audio struct {
	Bitrate int     // bit/s while talking
	Level   uint8   // RFC 6464, while talking: 0 is loudest, 127 silence
	Talks   float64 // share of the time, in spurts and pauses; 0 and 1: always
	DTX     bool    // one small packet each 400 ms in the pauses, else one every 20 ms
	// Redundancy is how many earlier packets each carries (RED, RFC 2198), where the server takes it; 0
	// is plain Opus. Chromium carries one.
	Redundancy int
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

	constantPackets = 5
	constantBytes   = 1000 // of each

	talkSpurt    = 1004 * time.Millisecond // on average (ITU-T P.59, table 1)
	dtxInterval  = 400 * time.Millisecond  // libopus: a packet after at most 400 ms
	silenceLevel = 127
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
	constant bool
	key      int  // Video.Key
	libvpx   bool // Video.Libvpx
	layer    Layer
	rng      *rand.Rand
	buffers  *buffers
	packets  []payload // of the frame made last

	frames  uint32
	bounds  bounds
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
		constant: v.Constant, key: cmp.Or(v.Key, 3), libvpx: v.Libvpx, layer: v.Layers[index], rng: rng, buffers: newBuffers(rng), keyDue: true,
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

// frame makes the next frame. What it returns is valid until the next call; the data is the caller's,
// until given back with buffers.put.
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
	size := e.bitrate() / 8 / e.fps
	size = size*7/10 + e.rng.IntN(size*6/10+1)
	switch {
	case key:
		size *= e.key
	case e.libvpx && e.temporal >= 3:
		size = size * [...]int{16, 8, 8}[tid] / 10 // 40, 20 and 40 % of the bits; in 1, 1 and 2 of 4 frames
	}
	size = max(size, 64+TagBytes)
	e.frames++
	n := (size + maxPayload - 1) / maxPayload
	if e.constant {
		n, size = constantPackets, constantPackets*constantBytes
	}
	return e.packetise(now, key, tid, size, n)
}

func (e *encoder) bitrate() int {
	rate := e.layer.Bitrate
	for _, least := range [...]int{e.bounds.asked, e.bounds.room} {
		if least > 0 {
			rate = min(rate, least)
		}
	}
	return rate
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

// packetise cuts a frame of size bytes into n packets of equal length.
func (e *encoder) packetise(now time.Time, key bool, tid uint8, size, n int) []payload {
	e.packets = e.packets[:0]
	for i := range n {
		d := vp8Descriptor{start: i == 0, picture: e.picture, hasLayers: e.temporal >= 3, tl0: e.tl0, tid: tid}
		b := e.buffers.get(max(size/n, 16+TagBytes))
		at := d.put(b, tid == 2, tid > 0)
		if i == 0 {
			putVP8Frame(b[at:], key, e.layer.Width, e.layer.Height, size)
		}
		Tag{
			Sender: e.sender, Source: e.source, Layer: e.index, Key: key, Frame: e.frames,
			Packet: uint16(i), Count: uint16(n), Sent: now,
		}.put(b)
		e.packets = append(e.packets, payload{data: b, marker: i == n-1})
	}
	return e.packets
}

// voice makes Opus-like packets, as of somebody who talks and listens. It is pure.
type voice struct {
	sender  uint64
	source  uint8
	audio   Audio
	rng     *rand.Rand
	buffers *buffers
	frames  uint32
	begun   bool
	pausing bool
	bound   int       // bit/s that the server has asked for; 0: none
	until   time.Time // of the spurt or the pause
	packet  time.Time // when the next one of a pause with DTX is due
}

// frame makes the packet of the 20 ms that begin at now, and its audio level; false where none is sent.
func (v *voice) frame(now time.Time) (p payload, level uint8, sent bool) {
	first := v.turn(now)
	bitrate := v.audio.Bitrate
	if v.bound > 0 {
		bitrate = min(bitrate, v.bound)
	}
	size := int(int64(bitrate) * int64(audioFrame) / int64(time.Second) / 8)
	level = v.audio.Level
	if v.pausing {
		size, level = 0, silenceLevel
		if v.audio.DTX {
			if now.Before(v.packet) {
				return payload{}, level, false
			}
			v.packet = now.Add(dtxInterval)
		}
	}
	b := v.buffers.get(max(size, 3+voiceTagBytes))
	b[0] = 0x78 // RFC 6716 section 3.1: CELT, full band, 20 ms, mono, one frame
	v.frames++
	Tag{Sender: v.sender, Source: v.source, Frame: v.frames, Sent: now}.putVoice(b)
	return payload{data: b, marker: first}, level, true
}

// turn begins a spurt or a pause when the one before is over, and tells whether it is a spurt that
// begins (RFC 3551 section 4.1 wants a marker there).
func (v *voice) turn(now time.Time) bool {
	share := v.audio.Talks
	always := share <= 0 || share >= 1
	if v.begun && (always || now.Before(v.until)) {
		return false
	}
	mean := float64(talkSpurt)
	switch {
	case always:
	case !v.begun:
		v.pausing = v.rng.Float64() >= share
	default:
		v.pausing = !v.pausing
	}
	if v.pausing {
		mean *= (1 - share) / share
		v.packet = now
	}
	v.until = now.Add(time.Duration(mean * v.rng.ExpFloat64()))
	v.begun = true
	return !v.pausing
}

// buffers hands out the memory of payloads, filled with bytes that no parser should mistake for a tag.
type buffers struct {
	free [][]byte
}

// bufferBytes is the longest payload.
const bufferBytes = maxPayload

func newBuffers(rng *rand.Rand) *buffers {
	b := make([]byte, bufferBytes)
	fill(b, rng)
	return &buffers{free: [][]byte{b}}
}

// get returns n bytes. What is new in them is the caller's to write: the rest is that of a payload
// before, as good as any other.
func (b *buffers) get(n int) []byte {
	if n > bufferBytes {
		n = bufferBytes
	}
	if len(b.free) == 1 { // the last one stays, to copy from
		return append(make([]byte, 0, bufferBytes), b.free[0][:n]...)
	}
	last := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	return last[:n]
}

// put takes back what get returned. Its tag is wiped out.
func (b *buffers) put(data []byte) {
	if cap(data) == bufferBytes {
		tag := max(0, len(data)-TagBytes)
		copy(data[tag:], b.free[0][tag:])
		b.free = append(b.free, data)
	}
}

// fill writes bytes that no parser should mistake for a tag.
func fill(b []byte, rng *rand.Rand) {
	x := byte(rng.Uint32()) | 1
	for i := range b {
		b[i] = x
		x = x*5 + 3
	}
}
