package codec_test

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/bedside-video/bedside/sfu/codec"
)

// FuzzParse: what is accepted, pion's parser reads alike. It accepts more.
func FuzzParse(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.packet)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p codec.Packet
		if p.Parse(b) != nil {
			return
		}
		var want rtp.Packet
		if err := want.Unmarshal(b); err != nil {
			t.Fatalf("accepted what pion refuses: %v", err)
		}
		if p.Seq != want.SequenceNumber || p.Timestamp != want.Timestamp || p.SSRC != want.SSRC ||
			p.PayloadType != want.PayloadType || p.Marker != want.Marker || !bytes.Equal(p.Payload, want.Payload) {
			t.Fatalf("%+v\npion: %v", p, want)
		}
		// pion knows the two-byte profile only with application bits of 0.
		if want.ExtensionProfile == rtp.ExtensionProfileOneByte || want.ExtensionProfile == rtp.ExtensionProfileTwoByte {
			for id := range 256 {
				if got, pions := p.Extension(uint8(id)), want.GetExtension(uint8(id)); !bytes.Equal(got, pions) {
					t.Fatalf("extension %d: %v, pion: %v", id, got, pions)
				}
			}
		}
	})
}

// FuzzParseVP8: what is accepted, pion's parser reads alike.
func FuzzParseVP8(f *testing.F) {
	f.Add([]byte{0x90, 0xF0, 0x92, 0x34, 7, 0x7F, 0x01})
	f.Add([]byte{0x10, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := codec.Packet{Payload: b}
		if p.ParsePayload(codec.VP8) != nil || len(b) == 0 {
			return
		}
		var want codecs.VP8Packet
		rest, err := want.Unmarshal(b)
		if err != nil {
			t.Fatalf("accepted what pion refuses: %v", err)
		}
		d := p.VP8
		if d.PictureID != want.PictureID || d.TL0PICIDX != want.TL0PICIDX || d.TID != want.TID || d.LayerSync != (want.Y == 1) ||
			d.NonReference != (want.N == 1) || (d.PictureIDBits > 0) != (want.I == 1) || d.HasTL0PICIDX != (want.L == 1) {
			t.Fatalf("%+v\npion: %+v", d, want)
		}
		if key := want.S == 1 && want.PID == 0 && rest[0]&1 == 0; p.KeyFrame != key {
			t.Fatalf("key frame %t, pion: %t", p.KeyFrame, key)
		}
	})
}

// FuzzParseH264: never panics, and nothing is a key frame that does not start a frame.
func FuzzParseH264(f *testing.F) {
	f.Add([]byte{0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68})
	f.Add([]byte{0x7C, 0x87, 0x42})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := codec.Packet{Payload: b}
		if err := p.ParsePayload(codec.H264); p.KeyFrame && (err != nil || !p.FrameStart) {
			t.Fatalf("key frame with %v, start %t", err, p.FrameStart)
		}
	})
}
