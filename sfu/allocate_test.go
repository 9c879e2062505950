package sfu

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// film sends a frame of each of the named encodings every 33 ms, key frames in front.
func (s *stage) film(a *actor, d time.Duration, rids ...string) {
	s.t.Helper()
	for i := range int(d / (33 * time.Millisecond)) {
		for _, rid := range rids {
			frame := delta + rid
			if i%5 == 0 {
				frame = keyFrame + rid
			}
			a.publish("c", rid, frame)
		}
		s.advance(33 * time.Millisecond)
	}
}

func (a *actor) shows(t *testing.T, peer string, height int) {
	t.Helper()
	tiles := []Tile{{Peer: peer, Source: codec.Camera, Width: height * 16 / 9, Height: height}}
	if err := a.SetLayout(context.Background(), tiles); err != nil {
		t.Fatal(err)
	}
}

// encodings tells which encodings packets are of, without repetitions.
func encodings(d []delivery) (out []string) {
	for _, x := range d {
		out = append(out, x.payload[len(x.payload)-1:])
	}
	return slices.Compact(out)
}

// What nobody has a use for is stopped after a while, and asked for again when somebody has: after a second here, where
// 1.5 Mbit/s by its name, of which less than ten seconds were seen, do not fit beside the voices at once.
func TestUnwantedLayersAreStopped(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b", "c")
		b.shows(t, "a", 180)
		c.shows(t, "a", 360)
		s.film(a, time.Second, "q", "h", "f")
		b.got("v0")
		c.got("v0")
		a.heard()
		s.film(a, 3*time.Second, "q", "h", "f")
		if got := encodings(b.got("v0")); !slices.Equal(got, []string{"q"}) {
			t.Errorf("a small tile is sent %q", got)
		}
		if got := encodings(c.got("v0")); !slices.Equal(got, []string{"h"}) {
			t.Errorf("a medium tile is sent %q", got)
		}
		wantHeard(t, a)
		s.film(a, 3*time.Second, "q", "h", "f")
		wantHeard(t, a, `layers c ["q" "h"]`)
		s.film(a, time.Second, "q", "h")
		b.shows(t, "a", 720)
		s.film(a, 1500*time.Millisecond, "q", "h")
		wantHeard(t, a, `layers c ["q" "h" "f"]`)
		s.film(a, 500*time.Millisecond, "q", "h")
		b.got("v0")
		a.publish("c", "f", keyFrame+"f")
		if got := encodings(b.got("v0")); !slices.Equal(got, []string{"f"}) {
			t.Errorf("the large tile is sent %q of the encoding that begins, want its key frame", got)
		}
		s.film(a, time.Second, "q", "h", "f")
		if got := encodings(b.got("v0")); !slices.Equal(got, []string{"f"}) {
			t.Errorf("and then %q", got)
		}
	})
}

// When all have gone only the lowest encoding is sent, so that whoever comes has a picture.
func TestLowestLayerStays(t *testing.T) {
	onStage(t, func(s *stage) {
		a, _ := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		s.film(a, time.Second, "q", "h", "f")
		s.admit("a")
		a.heard()
		s.film(a, 6*time.Second, "q", "h", "f")
		wantHeard(t, a, `layers c ["q" "f"]`, `layers c ["q"]`)
	})
}

// Who is not in a layout is sent the least; who comes after it is not judged by it.
func TestNotInTheLayout(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b")
		s.film(a, time.Second, "q", "h", "f")
		b.shows(t, "c", 720)
		s.film(a, time.Second, "q", "h", "f")
		b.got("v0")
		s.film(a, time.Second, "q", "h", "f")
		if got := encodings(b.got("v0")); !slices.Equal(got, []string{"q"}) {
			t.Errorf("who is not shown is sent as %q", got)
		}
		b.shows(t, "a", 720)
		s.admit("a", "b", "c")
		s.film(c, time.Second, "q", "h", "f")
		if got := encodings(b.got("v1")); got[len(got)-1] != "f" {
			t.Errorf("who came after the layout is sent as %q", got)
		}
	})
}
