package forward_test

import (
	"slices"
	"testing"

	"github.com/bedside-video/bedside/sfu/forward"
)

// arriving is what comes of an encoding: its number, the frame's timestamp, and what it is.
type arriving struct {
	seq        uint16
	ts         uint32
	key, end   bool
	late, fill bool // not the newest; padding
	whole      bool // wanted: with it the key frame is whole
}

func TestKeyFrameIsWhole(t *testing.T) {
	for _, tt := range []struct {
		name    string
		packets []arriving
		left    []uint16 // of Packets at the end
	}{
		{"one packet", []arriving{{seq: 5, ts: 9, key: true, end: true, whole: true}, {seq: 6, ts: 12, end: true}}, []uint16{5, 6}},
		{"nothing but deltas", []arriving{{seq: 5, ts: 9, end: true}, {seq: 6, ts: 12, end: true}}, []uint16{}},
		{"in order, over the wrap", []arriving{
			{seq: 65534, ts: 9, key: true}, {seq: 65535, ts: 9}, {seq: 0, ts: 9, end: true, whole: true},
		}, []uint16{65534, 65535, 0}},
		{"the last overtakes", []arriving{
			{seq: 1, ts: 9, key: true}, {seq: 3, ts: 9, end: true}, {seq: 2, ts: 9, late: true, whole: true},
		}, []uint16{1, 2, 3}},
		{"one is repaired after the next frame", []arriving{
			{seq: 1, ts: 9, key: true}, {seq: 3, ts: 9, end: true}, {seq: 4, ts: 12}, {seq: 6, ts: 15, end: true},
			{seq: 2, ts: 9, late: true, whole: true}, {seq: 5, ts: 12, late: true},
		}, []uint16{1, 2, 3, 4, 5, 6}},
		{"the last is repaired", []arriving{
			{seq: 1, ts: 9, key: true}, {seq: 3, ts: 12, end: true}, {seq: 2, ts: 9, end: true, late: true, whole: true},
		}, []uint16{1, 2, 3}},
		{"an end without a marker", []arriving{
			{seq: 1, ts: 9, key: true}, {seq: 2, ts: 9}, {seq: 3, ts: 12, whole: true},
		}, []uint16{1, 2, 3}},
		{"parameter sets in packets of their own", []arriving{
			{seq: 1, ts: 9, key: true}, {seq: 2, ts: 9, key: true}, {seq: 3, ts: 9, end: true, whole: true},
		}, []uint16{1, 2, 3}},
		{"padding within", []arriving{
			{seq: 1, ts: 9, key: true}, {seq: 2, ts: 9, end: true, fill: true}, {seq: 3, ts: 9, end: true, whole: true},
		}, []uint16{1, 2, 3}},
		{"another takes its place", []arriving{
			{seq: 1, ts: 9, key: true}, {seq: 3, ts: 9, end: true}, {seq: 4, ts: 12, key: true, end: true, whole: true},
			{seq: 2, ts: 9, late: true},
		}, []uint16{4}},
		{"its first packet comes late", []arriving{
			{seq: 2, ts: 9}, {seq: 3, ts: 9, end: true}, {seq: 1, ts: 9, key: true, late: true},
		}, []uint16{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache := forward.NewCache(64, 1<<16)
			var k forward.KeyFrame
			for _, a := range tt.packets {
				p := vp8(a.seq, a.ts, a.key, 1, 1)
				p.Marker = a.end
				p.Payload = append(p.Payload, byte(a.seq))
				if a.fill {
					p.Payload, p.KeyFrame = nil, false
				}
				cache.Put(epoch, p)
				if whole := k.Packet(epoch, p, !a.late, &cache); whole != a.whole {
					t.Errorf("packet %d: whole %t", a.seq, whole)
				}
			}
			var got []uint16
			for _, p := range k.Packets(&cache) {
				got = append(got, p.Seq)
				if n := len(p.Payload); n > 0 && p.Payload[n-1] != byte(p.Seq) {
					t.Errorf("packet %d has another's payload", p.Seq)
				}
			}
			if len(tt.left) > 0 && !slices.Equal(got, tt.left) {
				t.Errorf("packets %d, want %d", got, tt.left)
			}
		})
	}
}
