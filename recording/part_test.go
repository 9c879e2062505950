package recording_test

import (
	"errors"
	"math"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/sfu/codec"
)

// TestPartsAreLimited: what has lasted long enough, or is large enough, is followed by another part that a
// player can begin with; nothing is lost between them, and all make one film.
func TestPartsAreLimited(t *testing.T) {
	for name, tt := range map[string]struct {
		time  time.Duration
		size  int64
		codec codec.Name // of the camera; 0 is none
		parts int
	}{
		"by time":             {4 * time.Second, 0, codec.VP8, 3},
		"by time, H.264":      {4 * time.Second, 0, codec.H264, 3},
		"by size":             {0, 600_000, codec.VP8, 2},
		"sound alone":         {4 * time.Second, 0, codec.Opus, 3},
		"no limit is reached": {0, 0, codec.VP8, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h, dir := newHospital(t), t.TempDir()
			var m recording.Manifest
			keys := 0
			synctest.Test(t, func(t *testing.T) {
				o := options(t, h, dir)
				o.PartTime, o.PartSize = tt.time, tt.size
				x := start(t, open(t, o), nil)
				all := []*sender{newSender(x, "a", codec.Mic, codec.Opus, time.Now())}
				if tt.codec != codec.Opus {
					all = append(all, newSender(x, "a", codec.Camera, tt.codec, time.Now()))
				}
				play(12*time.Second, all...)
				m = stop(t, x)
				keys = all[len(all)-1].keys
			})
			if len(m.Parts) != tt.parts || tt.codec != codec.Opus && keys != tt.parts-1 {
				t.Fatalf("%d parts, %d key frames asked for: %+v", len(m.Parts), keys, m.Parts)
			}
			mic, camera := 0, 0
			for n := range m.Parts {
				plain, err := unsealed(t, dir, m.ID, n, h)
				if err != nil {
					t.Fatal(err)
				}
				for title, d := range ffprobe(t, plain) {
					if title == "mic" {
						mic += d.Frames
					} else {
						camera += d.Frames // decoded: each part begins with a key frame
					}
				}
			}
			checkFilm(t, dir, m, h, mic, camera)
			if mic != 601 || tt.codec != codec.Opus && (camera < 360 || camera > 361) {
				t.Errorf("%d packets of sound and %d pictures in all parts", mic, camera)
			}
		})
	}
}

// checkFilm makes one film of all parts.
func checkFilm(t *testing.T, dir string, m recording.Manifest, h hospital, mic, camera int) {
	t.Helper()
	src := source(t, dir, m.ID)
	if _, found, err := recording.Verify(t.Context(), src, recording.Check{Identities: []age.Identity{h.records}}); err != nil || len(found) > 0 {
		t.Errorf("verify: %v, %v", found, err)
	}
	name, found := film(t, src, h.escrow)
	b, err := os.ReadFile(name)
	if err != nil || len(found) > 0 {
		t.Fatal(errors.Join(err), found)
	}
	got := ffprobe(t, b)
	if got["a mic"].Frames != mic || got["a camera"].Frames != camera || math.Abs(got["a mic"].End-12) > 0.05 {
		t.Errorf("the film: %+v, want %d and %d frames", got, mic, camera)
	}
}

// TestPartWithoutPictures: a camera that is switched off does not keep a part from ending.
func TestPartWithoutPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		o := options(t, h, dir)
		o.PartTime = 4 * time.Second
		x := start(t, open(t, o), nil)
		mic := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		camera := newSender(x, "a", codec.Camera, codec.VP8, time.Now())
		play(2*time.Second, mic, camera)
		play(10*time.Second, mic)
		m := stop(t, x)
		// 4 s, and 5 s more for a picture.
		if len(m.Parts) != 2 || m.Parts[0].Ended.Sub(m.Created).Round(time.Second) != 9*time.Second {
			t.Errorf("%+v", m.Parts)
		}
	})
}
