package forward_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
)

// epoch is when every test starts.
var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// TestSwitchIsContinuous: pitfalls 2 and 5.
func TestSwitchIsContinuous(t *testing.T) {
	w := forward.NewRewriter(90000, 1000, 5000, 77, 200)
	w.Target(1)
	var out forward.Out
	p := vp8(40000, 900000, true, 12, 3)
	if v := w.Forward(epoch, 1, codec.VP8, p, true, &out); v != forward.Forwarded {
		t.Fatalf("first packet: %v", v)
	}
	if out.Seq != 1000 || out.Timestamp != 5000 || out.PictureID != 77 || out.TL0PICIDX != 200 || !out.Switched {
		t.Fatalf("first packet leaves as %+v", out)
	}
	w.Target(2)
	p = vp8(7, 333, true, 32000, 250)
	if v := w.Forward(epoch.Add(100*time.Millisecond), 2, codec.VP8, p, true, &out); v != forward.Forwarded {
		t.Fatalf("switch: %v", v)
	}
	if out.Seq != 1001 || out.Timestamp != 5000+9000 || out.PictureID != 78 || out.TL0PICIDX != 201 || !out.Switched {
		t.Fatalf("after the switch: %+v", out)
	}
}

// vp8 returns a parsed packet with a PictureID of 15 bits and a TL0PICIDX.
func vp8(seq uint16, ts uint32, key bool, pictureID uint16, tl0 uint8) *codec.Packet {
	inverse := byte(1)
	if key {
		inverse = 0
	}
	b := []byte{
		0x80, 96, byte(seq >> 8), byte(seq), byte(ts >> 24), byte(ts >> 16), byte(ts >> 8), byte(ts), 0, 0, 0, 1,
		0x90, 0xE0, 0x80 | byte(pictureID>>8), byte(pictureID), tl0, 0, inverse, 0xAA,
	}
	return parse(b, codec.VP8)
}

func parse(b []byte, name codec.Name) *codec.Packet {
	p := new(codec.Packet)
	if err := p.Parse(b); err != nil {
		panic("forward_test: " + err.Error())
	}
	if err := p.ParsePayload(name); err != nil {
		panic("forward_test: " + err.Error())
	}
	return p
}
