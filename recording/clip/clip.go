// Package clip is a picture and a voice as RTP packets, for the tests of what records them.
package clip

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Four seconds each, made with ffmpeg 5.1:
//
//	-f lavfi -i testsrc2=size=320x240:rate=30:duration=4 -c:v libvpx -b:v 250k -g 30 -error-resilient 1
//	  -auto-alt-ref 0 -lag-in-frames 0 -deadline realtime -cpu-used 5 face.ivf
//	-f lavfi -i testsrc2=… -c:v libx264 -profile:v baseline -tune zerolatency -b:v 250k -g 30
//	  -x264-params aud=1:repeat-headers=1 face.h264
//	-f lavfi -i sine=frequency=440:duration=4 -ac 1 -ar 48000 -c:a libopus -b:a 24k voice.ogg
var (
	//go:embed media/face.ivf
	faceVP8 []byte
	//go:embed media/face.h264
	faceH264 []byte
	//go:embed media/voice.ogg
	voice []byte
)

// Of the pictures.
const (
	Width, Height = 320, 240
	FPS           = 30
	KeyEvery      = 30 // frames
)

// Packet is one packet and when it is due after the stream's beginning.
type Packet struct {
	At  time.Duration
	RTP codec.Packet
}

// Stream is an endless clip. The frames repeat, the numbers go on.
type Stream struct {
	name    codec.Name
	frames  [][]byte
	every   time.Duration
	payload interface {
		Payload(mtu uint16, payload []byte) [][]byte
	}

	frame int
	seq   uint16
	ts    uint32
	ready []Packet
}

// mtu of a payload, as in browsers.
const mtu = 1100

// New starts a clip of that codec, numbered from seq and ts.
func New(name codec.Name, seq uint16, ts uint32) *Stream {
	s := &Stream{name: name, every: time.Second / FPS, seq: seq, ts: ts}
	switch name {
	case codec.VP8:
		s.frames, s.payload = splitIVF(faceVP8), &codecs.VP8Payloader{EnablePictureID: true}
	case codec.H264:
		s.frames, s.payload = splitH264(faceH264), &codecs.H264Payloader{}
	default:
		s.frames, s.payload, s.every = splitOgg(voice), &codecs.OpusPayloader{}, 20*time.Millisecond
	}
	return s
}

// Next returns the next packet. Its payload is not written to again.
func (s *Stream) Next() Packet {
	for len(s.ready) == 0 {
		s.packetize()
	}
	p := s.ready[0]
	s.ready = s.ready[1:]
	return p
}

func (s *Stream) packetize() {
	at := time.Duration(s.frame) * s.every
	if s.name.Kind() == codec.Video {
		at = time.Duration(s.frame) * time.Second / FPS
	}
	ts := s.ts + uint32(int64(at)*int64(s.name.ClockRate())/int64(time.Second))
	payloads := s.payload.Payload(mtu, s.frames[s.frame%len(s.frames)])
	s.frame++
	for i, b := range payloads {
		raw := rtp.Packet{Header: rtp.Header{
			Version: 2, SequenceNumber: s.seq, Timestamp: ts, SSRC: 1, PayloadType: 96,
			Marker: s.name.Kind() == codec.Video && i == len(payloads)-1,
		}, Payload: b}
		s.seq++
		wire, err := raw.Marshal()
		if err != nil {
			panic("clip: " + err.Error())
		}
		p := Packet{At: at}
		if err := p.RTP.Parse(wire); err != nil {
			panic("clip: " + err.Error())
		}
		if err := p.RTP.ParsePayload(s.name); err != nil {
			panic("clip: " + err.Error())
		}
		s.ready = append(s.ready, p)
	}
}

// splitIVF returns the frames of an IVF file: a header of 32 bytes, and 12 before each frame.
func splitIVF(b []byte) [][]byte {
	var frames [][]byte
	for b = b[32:]; len(b) > 0; {
		n := binary.LittleEndian.Uint32(b)
		frames = append(frames, b[12:12+n])
		b = b[12+n:]
	}
	return frames
}

// splitH264 returns the access units of a byte stream in which each begins with a delimiter.
func splitH264(b []byte) [][]byte {
	delimiter := []byte{0, 0, 0, 1, 9}
	var frames [][]byte
	for _, unit := range bytes.Split(b, delimiter)[1:] {
		frames = append(frames, append(bytes.Clone(delimiter), unit...))
	}
	return frames
}

// splitOgg returns the packets of an Ogg file (RFC 3533 section 6) behind the two headers of Opus.
func splitOgg(b []byte) [][]byte {
	var packets [][]byte
	var packet []byte
	for len(b) > 0 {
		segments := b[27 : 27+int(b[26])]
		b = b[27+len(segments):]
		for _, n := range segments {
			packet = append(packet, b[:n]...)
			b = b[n:]
			if n < 255 {
				packets = append(packets, packet)
				packet = nil
			}
		}
	}
	return packets[2:]
}
