package layers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/layers"
)

// film plays 30 frames a second of three temporal layers to a selector: 0 2 1 2, the first of each with
// the bit that says that it needs layer 0 alone where synced says so.
type film struct {
	layers.Selector
	synced bool
	n      int
}

// next plays n frames and returns what of them goes out: the temporal layer, or a dot.
func (f *film) next(n int, key bool) string {
	var b strings.Builder
	for i := range n {
		if f.next1(key && i == 0) {
			fmt.Fprintf(&b, "%d", [...]int{0, 2, 1, 2}[(f.n-1)%4])
		} else {
			b.WriteByte('.')
		}
	}
	return b.String()
}

func (f *film) next1(key bool) bool {
	if key {
		f.n = (f.n + 3) / 4 * 4
	}
	p := f.packet(f.n)
	p.KeyFrame = key
	f.n++
	return f.Keep(at((f.n-1)*33), p, true)
}

func (f *film) packet(n int) *codec.Packet {
	tid := [...]uint8{0, 2, 1, 2}[n%4]
	return &codec.Packet{Timestamp: uint32(n * 3000), VP8: codec.Descriptor{
		TID: tid, HasTID: true, LayerSync: tid > 0 && f.synced, NonReference: tid == 2,
	}}
}

func (f *film) grant(g layers.Grant, down bool) { f.Grant(at(f.n*33), g, down) }

func TestTemporalLayers(t *testing.T) {
	f := film{synced: true}
	f.grant(layers.Grant{Temporal: 2}, false)
	for _, c := range []struct {
		name     string
		temporal uint8
		key      bool
		goes     string
	}{
		{"all, from a key frame on", 2, true, "02120212"},
		{"down at once", 0, false, "0...0..."},
		{"up by one at a time", 1, false, "0.1.0.1."},
		{"and one more", 2, false, "02120212"},
		{"up by two", 0, false, "0..."},
		{"where each needs nothing that was left out", 2, false, "0.120212"},
	} {
		f.grant(layers.Grant{Temporal: c.temporal}, false)
		if got := f.next(len(c.goes), c.key); got != c.goes {
			t.Errorf("%s: %s, want %s", c.name, got, c.goes)
		}
	}
}

// chained is libvpx's longer pattern: the frames of layer 2 refer to the one before, but for the first of four,
// and the last is referred to by none.
func (f *film) chained() *codec.Packet {
	p := f.packet(f.n)
	p.VP8.LayerSync = f.n%8 == 1 || f.n%8 == 2
	p.VP8.NonReference = f.n%8 == 7
	f.n++
	return p
}

// Of the highest layer some parts are left out: the last of each chain, so that what goes out can be decoded.
func TestPartsOfALayer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		chained bool
		skip    uint8
		goes    string // of 16 frames, three times; from the second on
	}{
		{"all", true, 0, "0212021202120212"},
		{"three of four", true, 1, "0212021.0212021."},
		{"half", true, 2, "02120.1.02120.1."},
		{"one of four", true, 3, "021.0.1.021.0.1."},
		{"three of four, each for itself", false, 1, "0212021.0212021."},
		{"one of four, each for itself", false, 3, "021.0.1.021.0.1."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := film{synced: true}
			play := func() string {
				var b strings.Builder
				for range 16 {
					p := f.packet(f.n)
					if tt.chained {
						p = f.chained()
					} else {
						f.n++
					}
					p.KeyFrame = f.n == 1
					b.WriteByte(".012"[map[bool]int{true: int(p.VP8.TID) + 1}[f.Keep(at(f.n*33), p, true)]])
				}
				return b.String()
			}
			f.grant(layers.Grant{Temporal: 2, Skip: tt.skip}, false)
			play()
			for range 2 {
				if got := play(); got != tt.goes {
					t.Errorf("%s, want %s", got, tt.goes)
				}
			}
			f.n += 2 // in the middle of a chain more is granted: it goes on where nothing is missing
			f.grant(layers.Grant{Temporal: 2}, false)
			if got := play(); tt.chained && tt.skip > 1 && !strings.HasPrefix(got[:7], "1.0.1.0") {
				t.Errorf("%s: frames went out that refer to what was left out", got)
			}
			if got := play(); strings.Contains(got, ".") {
				t.Errorf("%s, want all", got)
			}
		})
	}
}

// An encoder that never says where a layer can be joined is joined at a key frame.
func TestUpAtKeyFrame(t *testing.T) {
	var f film
	f.grant(layers.Grant{Temporal: 0}, false)
	f.next(4, true)
	f.grant(layers.Grant{Temporal: 2}, false)
	if got := f.next(8, false); got != "0...0..." {
		t.Errorf("%s, want nothing more yet", got)
	}
	if got := f.next(4, true); got != "0212" {
		t.Errorf("%s from the key frame on, want everything", got)
	}
}

// A subscription that must go down sends the base layer until the key frame of the lower encoding, and
// nothing when that does not come.
func TestDown(t *testing.T) {
	f := film{synced: true}
	f.grant(layers.Grant{Temporal: 2}, false)
	f.next(4, true)
	f.grant(layers.Grant{Temporal: 2}, true)
	if got := f.next(28, false); got != "0...0...0...0...0...0......." {
		t.Errorf("%s, want the base layer for 700 ms", got)
	}
	f.grant(layers.Grant{Temporal: 2}, false)
	if got := f.next(8, false); got != "........" || !f.NeedsKeyFrame(at(f.n*33)) {
		t.Errorf("%s after a gap, want nothing before a key frame, asked for: %v", got, f.NeedsKeyFrame(at(f.n*33)))
	}
	if got := f.next(4, true); got != "0212" || f.NeedsKeyFrame(at(f.n*33)) {
		t.Errorf("%s from the key frame on", got)
	}
	f.grant(layers.Grant{Temporal: 2}, true)
	f.next(4, false)
	f.Switched(at(f.n*33), f.packet(f.n))
	f.n++
	if got := f.next(7, false); got != "2120212" {
		t.Errorf("%s after the switch, want everything", got)
	}
}

// Below the lowest layer there is a key frame every two seconds, however many come.
func TestSlideShow(t *testing.T) {
	f := film{synced: true}
	f.grant(layers.Grant{Temporal: 2}, false)
	f.next(4, true)
	f.grant(layers.Grant{Mode: layers.KeyFrames}, false)
	shown := 0
	for range 300 / 12 { // 10 s, a key frame each 400 ms
		shown += len(strings.ReplaceAll(f.next(12, true), ".", ""))
	}
	if shown < 5 || shown > 7 {
		t.Errorf("%d frames in 10 s, want a key frame every 1.5 to 2 s", shown)
	}
	f.grant(layers.Grant{Mode: layers.Nothing}, false)
	if got := f.next(4, true) + f.next(4, false); got != "........" {
		t.Errorf("%s with audio alone", got)
	}
	f.grant(layers.Grant{Temporal: 1}, false)
	if got := f.next(4, false) + f.next(4, true); got != "....0.1." {
		t.Errorf("%s when there is room again, want to begin with a key frame", got)
	}
}

// A frame goes out whole or not at all, whatever changes in the middle of it and comes late.
func TestWholeFrames(t *testing.T) {
	f := film{synced: true}
	f.grant(layers.Grant{Temporal: 2}, false)
	f.next(4, true)
	p := f.packet(5) // of layer 2
	if !f.Keep(at(200), p, true) {
		t.Fatal("the first packet of a frame is left out")
	}
	f.grant(layers.Grant{Temporal: 0}, false)
	if !f.Keep(at(200), p, true) || !f.Keep(at(200), p, false) {
		t.Error("the rest of a frame that has begun is left out")
	}
	if first, rest := f.Keep(at(233), f.packet(7), true), f.Keep(at(233), f.packet(7), true); first || rest {
		t.Error("a frame of layer 2 goes out")
	}
	f.Keep(at(266), f.packet(8), true)
	if f.Keep(at(300), f.packet(7), false) {
		t.Error("a late packet of a frame that was left out goes out")
	}
	if !f.Keep(at(300), f.packet(4), false) {
		t.Error("a late packet of the base layer is left out")
	}
	if f.Keep(at(300), f.packet(6), false) {
		t.Error("a late packet of a higher layer goes out")
	}
}

// Who goes down to a smaller picture is not sent a key frame of the larger one, which comes with it.
func TestNoKeyFrameOnTheWayDown(t *testing.T) {
	f := film{synced: true}
	f.grant(layers.Grant{Temporal: 2}, false)
	if got := f.next(8, true); got != "02120212" {
		t.Fatalf("before: %s", got)
	}
	f.grant(layers.Grant{Temporal: 2}, true)
	if got := f.next(4, false) + f.next(8, true); got != "0..."+"........" {
		t.Errorf("on the way down: %s", got)
	}
	if f.NeedsKeyFrame(at(f.n * 33)) {
		t.Error("a key frame is asked for of what is being left")
	}
	f.grant(layers.Grant{Temporal: 2}, false)
	if !f.NeedsKeyFrame(at(f.n * 33)) {
		t.Error("who stays after all needs a key frame, and does not ask")
	}
	if got := f.next(4, false) + f.next(4, true); got != "...."+"0212" {
		t.Errorf("when it is not left after all: %s", got)
	}
}
