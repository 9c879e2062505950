package shapes_test

import (
	"testing"

	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/bench/yardstick/shapes"
)

// TestTraffic adds up what each shape is said to be.
func TestTraffic(t *testing.T) {
	want := map[string]struct{ people, in, out int }{
		"a": {40, 8000, 24000}, "b": {101, 200, 20000}, "c": {120, 24000, 24000}, "d": {48, 8000, 40000},
		"e": {80, 16000, 48000}, "f": {200, 200, 39800}, "g": {56, 11200, 33600},
	}
	for _, name := range shapes.Names() {
		b, err := shapes.File(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := scenario.Parse(name+".yaml", b)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		people, in, out := 0, 0, 0
		room := 0
		for _, g := range s.People {
			room += g.Count
		}
		for _, g := range s.People {
			people += s.Rooms.Count * g.Count
			rate := 0
			if v := g.Camera; v != nil {
				const packets = 5
				rate += v.FPS * packets
				if got := v.Layers[0].Bitrate; !v.Constant || got != v.FPS*packets*1000*8 {
					t.Errorf("%s: %d bit/s, constant: %v", name, got, v.Constant)
				}
			}
			if a := g.Mic; a != nil {
				rate += 50
				if a.Bitrate != 50*80*8 || a.DTX {
					t.Errorf("%s: mic of %d bit/s, DTX: %v", name, a.Bitrate, a.DTX)
				}
			}
			in += s.Rooms.Count * g.Count * rate
			out += s.Rooms.Count * g.Count * rate * (room - 1)
		}
		if w := want[name]; people != w.people || in != w.in || out != w.out {
			t.Errorf("%s: %d people, %d packets a second in, %d out, want %+v", name, people, in, out, w)
		}
	}
	if _, err := shapes.File("z"); err == nil {
		t.Error("there is a shape z")
	}
}
