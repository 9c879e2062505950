package recording_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/recording/clip"
	"github.com/bedside-video/bedside/sfu/codec"
)

// BenchmarkTrack is what a packet that is recorded costs the packet path.
func BenchmarkTrack(b *testing.B) {
	s := open(b, options(b, newHospital(b), b.TempDir()))
	x := start(b, s, nil)
	track, media := x.Tap("a", codec.Camera, nil), clip.New(codec.VP8, 0, 0)
	p := media.Next()
	now := time.Now()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%1000 == 999 { // or its inbox would be full, which costs less
			track.End("full")
			track = x.Tap("a", codec.Camera, nil)
		}
		track.RTP(now, codec.VP8, &p.RTP)
	}
	stop(b, x)
}
