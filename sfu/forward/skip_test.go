package forward_test

import (
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
)

// place is what a packet is given in a slot.
type place struct {
	seq, picture uint16
	tl0          uint8
}

// Frames that are left out leave no gap in any number, packets of them that come late fill the place
// that was kept, and packets from before them keep their distance.
func TestSkip(t *testing.T) {
	w := forward.NewRewriter(90000, 100, 0, 200, 50)
	w.Target(1)
	var out forward.Out
	send := func(seq, picture uint16, tl0 uint8, skip, newest bool) (place, forward.Verdict) {
		p := vp8(seq, uint32(picture)*3000, picture == 10, picture, tl0)
		if skip {
			v := w.Skip(1, codec.VP8, p, newest, &out)
			return place{seq: out.Seq}, v
		}
		v := w.Forward(at(int(seq)), 1, codec.VP8, p, newest, &out)
		return place{out.Seq, out.PictureID, out.TL0PICIDX}, v
	}
	for _, c := range []struct {
		name    string
		seq     uint16
		picture uint16
		tl0     uint8
		skip    bool
		newest  bool
		verdict forward.Verdict
		want    place
	}{
		{"key frame", 1000, 10, 5, false, true, forward.Forwarded, place{100, 200, 50}},
		{"left out", 1001, 11, 5, true, true, forward.DropLayer, place{}},
		{"its second packet", 1002, 11, 5, true, true, forward.DropLayer, place{}},
		{"the next frame", 1003, 12, 6, false, true, forward.Forwarded, place{101, 201, 51}},
		{"a loss, then one left out", 1006, 14, 6, true, true, forward.DropLayer, place{}},
		{"the next frame keeps two places", 1007, 15, 7, false, true, forward.Forwarded, place{104, 203, 52}},
		{"the first lost packet is to be left out", 1004, 12, 6, true, false, forward.Forwarded, place{seq: 102}},
		{"but once only", 1004, 12, 6, true, false, forward.DropLayer, place{}},
		{"the second goes out", 1005, 13, 6, false, false, forward.Forwarded, place{103, 202, 51}},
		{"a base frame left out", 1008, 16, 8, true, true, forward.DropLayer, place{}},
		{"takes its index along", 1009, 17, 9, false, true, forward.Forwarded, place{105, 204, 53}},
		{"of another stream's numbering", 9009, 17, 9, true, false, forward.DropOld, place{}},
	} {
		got, v := send(c.seq, c.picture, c.tl0, c.skip, c.newest)
		if v != c.verdict || v == forward.Forwarded && got != c.want {
			t.Errorf("%s: %v %+v, want %v %+v", c.name, v, got, c.verdict, c.want)
		}
	}
	if v := w.Skip(2, codec.VP8, vp8(1, 1, false, 1, 1), true, &out); v != forward.DropNotCurrent {
		t.Errorf("of another encoding: %v", v)
	}
}

// What was left out is forgotten before it seems to lie ahead: a picture id goes round in nine minutes.
func TestSkipIsForgotten(t *testing.T) {
	w := forward.NewRewriter(90000, 0, 0, 0, 0)
	w.Target(1)
	var out forward.Out
	picture, seq := uint16(0), uint16(0)
	next := func(skip bool) {
		p := vp8(seq, uint32(seq)*3000, seq == 0, picture, 0)
		if skip {
			w.Skip(1, codec.VP8, p, true, &out)
		} else {
			w.Forward(epoch, 1, codec.VP8, p, true, &out)
		}
		seq, picture = seq+1, (picture+1)&0x7fff
	}
	next(false)
	for range 40 {
		next(true)
		next(false)
	}
	last := out.PictureID
	for i := range 100_000 {
		next(false)
		if want := (last + 1) & 0x7fff; out.PictureID != want {
			t.Fatalf("picture %d after %d, %d frames later", out.PictureID, last, i)
		}
		last = out.PictureID
	}
}

// After a switch pictures are as far apart as they were taken, unless the sender reports are nonsense.
func TestAlign(t *testing.T) {
	for _, c := range []struct {
		name  string
		align uint32 // on the clock of the first encoding, whose last frame had 9000
		want  uint32 // units after that frame
		next  uint32 // of a frame 3000 units later
		third uint32
	}{
		{"of the next frame", 12_000, 3000, 6000, 9000},
		{"of the same frame", 9000, 1, 3000, 6000},
		{"of a frame before", 6000, 1, 1493, 3000}, // the frame between leaves in between, and then all is as it was taken
		{"from before four frames", 1<<32 - 3000, 1, 596, 1191},
		{"a little ahead of time", 9000 + 9000 + 40_000, 49_000, 52_000, 55_000},
		{"far ahead", 9000 + 9000 + 50_000, 9000, 12_000, 15_000},
		{"far behind", 1<<32 - 82_000, 9000, 12_000, 15_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := forward.NewRewriter(90000, 0, 5000, 0, 0)
			var out forward.Out
			w.Target(1)
			w.Forward(at(0), 1, codec.VP8, vp8(1, 6000, true, 1, 1), true, &out)
			w.Forward(at(33), 1, codec.VP8, vp8(2, 9000, false, 2, 2), true, &out)
			last := out.Timestamp
			w.Target(2)
			w.Align(c.align)
			// It arrives 100 ms after the frame before.
			if v := w.Forward(at(133), 2, codec.VP8, vp8(1, 777, true, 1, 1), true, &out); v != forward.Forwarded || !out.Switched {
				t.Fatalf("%v", v)
			}
			if got := out.Timestamp - last; got != c.want {
				t.Errorf("%d units after the frame before, want %d", got, c.want)
			}
			w.Forward(at(166), 2, codec.VP8, vp8(2, 777+3000, false, 2, 2), true, &out)
			if got := out.Timestamp - last; got != c.next {
				t.Errorf("the next one %d units, want %d", got, c.next)
			}
			w.Forward(at(200), 2, codec.VP8, vp8(3, 777+6000, false, 3, 3), true, &out)
			if got := out.Timestamp - last; got != c.third {
				t.Errorf("the third %d units, want %d", got, c.third)
			}
		})
	}
	t.Run("told for a packet that did not switch", func(t *testing.T) {
		w := forward.NewRewriter(90000, 0, 5000, 0, 0)
		var out forward.Out
		w.Target(1)
		w.Forward(at(0), 1, codec.VP8, vp8(1, 6000, true, 1, 1), true, &out)
		last := out.Timestamp
		w.Target(2)
		w.Align(6300)
		w.Forward(at(10), 2, codec.VP8, vp8(1, 1, true, 1, 1), false, &out)
		w.Forward(at(100), 2, codec.VP8, vp8(9, 1, true, 1, 1), true, &out)
		if got := time.Duration(out.Timestamp-last) * time.Second / 90000; got != 100*time.Millisecond {
			t.Errorf("%v after the frame before, want the time that has passed", got)
		}
	})
}

// Packets of pictures that were dated closer together keep their place when they come late, and hours
// later nothing is left of it.
func TestSqueezedPicturesStayInOrder(t *testing.T) {
	w := forward.NewRewriter(90000, 0, 5000, 0, 0)
	var out forward.Out
	w.Target(1)
	w.Forward(at(0), 1, codec.VP8, vp8(1, 1000, true, 1, 1), true, &out)
	w.Forward(at(133), 1, codec.VP8, vp8(2, 13_000, false, 2, 2), true, &out)
	last := out.Timestamp
	w.Target(2)
	w.Align(1000)
	var left []uint32
	for i, seq := range []uint16{1, 2, 5, 3, 4, 6} { // two packets a frame
		p := vp8(seq, uint32(seq-1)/2*6000, seq == 1, seq, 1)
		if v := w.Forward(at(140), 2, codec.VP8, p, i < 3 || i == 5, &out); v != forward.Forwarded {
			t.Fatalf("packet %d: %v", seq, v)
		}
		left = append(left, out.Timestamp-last)
	}
	if want := []uint32{1, 1, 2381, 1191, 1191, 2381}; !slices.Equal(left, want) {
		t.Errorf("dated %d after the frame before, want %d", left, want)
	}
	for i := range 30 { // of an hour each
		ts := uint32(18_000 + i*3600*90_000)
		w.Forward(at(200+i*3_600_000), 2, codec.VP8, vp8(uint16(7+i), ts, false, uint16(7+i), 1), true, &out)
		if got, want := out.Timestamp-last, ts-12_000; got != want {
			t.Fatalf("after %d h dated %d, want %d", i, got, want)
		}
	}
}
