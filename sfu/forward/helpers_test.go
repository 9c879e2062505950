package forward_test

import (
	"encoding/binary"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// epoch is when every test starts.
var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// at is so many milliseconds into a test.
func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// rtpHeader is that of a packet without extensions.
func rtpHeader(seq uint16, ts uint32) []byte {
	b := []byte{0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	return b
}

// vp8 returns a packet with a PictureID of 15 bits and a TL0PICIDX.
func vp8(seq uint16, ts uint32, key bool, pictureID uint16, tl0 uint8) *codec.Packet {
	inverse := byte(1)
	if key {
		inverse = 0
	}
	return parse(codec.VP8, append(rtpHeader(seq, ts),
		0x90, 0xE0, 0x80|byte(pictureID>>8), byte(pictureID), tl0, 0, inverse, 0xAA))
}

// vp8Short returns a packet with a PictureID of 7 bits.
func vp8Short(seq uint16, ts uint32, key bool, pictureID uint8) *codec.Packet {
	inverse := byte(1)
	if key {
		inverse = 0
	}
	return parse(codec.VP8, append(rtpHeader(seq, ts), 0x90, 0x80, pictureID, inverse))
}

func opus(seq uint16, ts uint32) *codec.Packet {
	return parse(codec.Opus, append(rtpHeader(seq, ts), 0x78, 1, 2))
}

func h264(seq uint16, ts uint32, key bool) *codec.Packet {
	nal := byte(0x61)
	if key {
		nal = 0x67
	}
	return parse(codec.H264, append(rtpHeader(seq, ts), nal, 0x9A))
}

// padding returns a packet without payload.
func padding(seq uint16, ts uint32) *codec.Packet {
	b := append(rtpHeader(seq, ts), 0, 0, 0, 4)
	b[0] |= 0x20
	return parse(codec.VP8, b)
}

func parse(name codec.Name, b []byte) *codec.Packet {
	p := new(codec.Packet)
	if err := p.Parse(b); err != nil {
		panic("forward_test: " + err.Error())
	}
	if err := p.ParsePayload(name); err != nil {
		panic("forward_test: " + err.Error())
	}
	return p
}
