package recording_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/clip"
	"github.com/bedside-video/bedside/sfu/codec"
)

// TestRecording records three people for ten seconds of virtual time: everything is there, in a part
// for each, readable by stock age and ffmpeg, with the right hashes and a signature.
func TestRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		s := open(t, options(t, h, dir))
		x := start(t, s, nil)
		now := time.Now()
		var all []*sender
		for i, c := range []codec.Name{codec.VP8, codec.H264, codec.VP8} {
			id := string(rune('a' + i))
			all = append(all, newSender(x, id, codec.Mic, codec.Opus, now), newSender(x, id, codec.Camera, c, now))
		}
		x.Consent(recording.Consent{At: now, Participant: "a", Decision: "granted", Notice: "n1"})
		play(10*time.Second, all...)
		m := stop(t, x)
		if m.State != recording.Complete || m.Tenant != "t1" || len(m.Parts) != 3 || len(m.Gaps) != 0 || len(m.Consent) != 1 || m.Node != "node-1" {
			t.Fatalf("manifest %+v", m)
		}
		stored, err := s.Manifest(x.ID())
		if err != nil {
			t.Fatal(err)
		}
		if err := stored.Verify(nil); err != nil {
			t.Error(err)
		}
		for n, p := range m.Parts {
			checkPart(t, dir, m, p)
			plain, err := unsealed(t, dir, m.ID, n, h)
			if err != nil {
				t.Fatal(err)
			}
			got := ffprobe(t, plain)
			// The last picture may still miss the mark of the next.
			if mic, cam := got["mic"], got["camera"]; mic.Frames != 501 || cam.Frames < 300 || cam.Frames > 301 || math.Abs(mic.End-10) > 0.03 {
				t.Errorf("part %d: %+v", n, got)
			}
		}
	})
}

func checkPart(t *testing.T, dir string, m recording.Manifest, p recording.Part) {
	t.Helper()
	name := filepath.Join(dir, m.ID, partName(m.ID, p.N))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != p.SHA256 || int64(len(b)) != p.Size {
		t.Errorf("part %d is not what the manifest says", p.N)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("part %d: %v, %v", p.N, info.Mode(), err)
	}
}

// TestParts: whoever begins to share a screen, or changes codec, has a new part; nothing is lost.
func TestParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		s := open(t, options(t, h, dir))
		x := start(t, s, nil)
		mic := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		camera := newSender(x, "a", codec.Camera, codec.VP8, time.Now())
		play(2*time.Second, mic, camera)
		screen := newSender(x, "a", codec.Screen, codec.VP8, time.Now())
		play(2*time.Second, mic, camera, screen)
		screen.track.End("stopped")
		// In mid-stream, as a publisher may after a new offer: the numbers go on.
		camera.codec, camera.begun = codec.H264, time.Now()
		camera.clip = clip.New(codec.H264, camera.next.RTP.Seq, camera.next.RTP.Timestamp)
		camera.next = camera.clip.Next()
		play(2*time.Second, mic, camera)
		m := stop(t, x)
		if len(m.Parts) != 3 {
			t.Fatalf("%d parts: %+v", len(m.Parts), m.Parts)
		}
		frames := map[string]int{}
		for n := range m.Parts {
			plain, err := unsealed(t, dir, m.ID, n, h)
			if err != nil {
				t.Fatal(err)
			}
			for title, d := range ffprobe(t, plain) {
				frames[title+d.Codec] += d.Frames
			}
		}
		// Of VP8 60 pictures are lost to a decoder that sees each part alone: those until the next key frame.
		if frames["micopus"] != 301 || frames["screenvp8"] < 60 || frames["screenvp8"] > 61 || frames["camerah264"] < 60 || frames["cameravp8"] < 90 {
			t.Errorf("frames %v", frames)
		}
	})
}

// TestPause: between two captures nothing is written, and the time goes on.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		s := open(t, options(t, h, dir))
		x := start(t, s, nil)
		mic := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		play(2*time.Second, mic)
		mic.track.End("paused")
		x.Mark(recording.Mark{At: time.Now(), Kind: "paused", Reason: "joined"})
		play(3*time.Second, mic) // nobody may send any more, and if they did
		again := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		play(2*time.Second, again)
		m := stop(t, x)
		plain, err := unsealed(t, dir, m.ID, 0, h)
		if err != nil {
			t.Fatal(err)
		}
		if d := ffprobe(t, plain)["mic"]; len(m.Parts) != 1 || d.Frames != 202 || math.Abs(d.End-7) > 0.05 {
			t.Errorf("%d parts, %+v", len(m.Parts), d)
		}
	})
}

// TestLoss: gaps are in the manifest and told, and a key frame is asked for.
func TestLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		s := open(t, options(t, h, dir))
		var told []recording.Event
		x := start(t, s, func(e recording.Event) { told = append(told, e) })
		mic := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		camera := newSender(x, "a", codec.Camera, codec.VP8, time.Now())
		mic.drop = func(n int) bool { return n == 100 || n == 101 }
		camera.drop = func(n int) bool { return n == 50 }
		play(6*time.Second, mic, camera)
		m := stop(t, x)
		packets := map[codec.Source]int{}
		for _, g := range m.Gaps {
			packets[g.Source] += g.Packets
		}
		if packets[codec.Mic] != 2 || packets[codec.Camera] != 1 || len(told) != len(m.Gaps) || told[0].Kind != recording.Lossy {
			t.Errorf("gaps %+v, told %+v", m.Gaps, told)
		}
		if camera.keys == 0 || mic.keys != 0 {
			t.Errorf("key frames asked for: camera %d, microphone %d times", camera.keys, mic.keys)
		}
	})
}

// TestLips: sound and picture that were taken at the same time are at the same time in the file, although
// the picture comes 150 ms later.
func TestLips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		s := open(t, options(t, h, dir))
		x := start(t, s, nil)
		taken := time.Now()
		mic := newSender(x, "a", codec.Mic, codec.Opus, taken)
		camera := newSender(x, "a", codec.Camera, codec.VP8, taken.Add(150*time.Millisecond))
		mic.track.Clock(codec.Clock{At: taken, Timestamp: 5000, Rate: 48000})
		camera.track.Clock(codec.Clock{At: taken, Timestamp: 5000, Rate: 90000})
		play(3*time.Second, mic, camera)
		m := stop(t, x)
		plain, err := unsealed(t, dir, m.ID, 0, h)
		if err != nil {
			t.Fatal(err)
		}
		got := ffprobe(t, plain)
		if skew := math.Abs(got["mic"].Start - got["camera"].Start); skew > 0.002 {
			t.Errorf("the picture is %.3f s beside the sound", skew)
		}
		t.Logf("figure: skew of lips with sender reports: %.0f ms", 1000*math.Abs(got["mic"].Start-got["camera"].Start))
	})
}

// TestKeptIsBounded: a recorder that does not come round loses, and tells.
func TestKeptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, options(t, newHospital(t), t.TempDir()))
		x := start(t, s, nil)
		mic := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		kept, lost := 0, 0
		for range 30_000 {
			if kept > recording.MaxKept {
				lost++
			}
			kept += recording.FrameCost + len(mic.next.RTP.Payload)
			mic.track.RTP(time.Now(), codec.Opus, &mic.next.RTP)
			mic.track.Clock(codec.Clock{})
			mic.next = mic.clip.Next()
		}
		m := stop(t, x)
		if lost == 0 || len(m.Gaps) != 1 || m.Gaps[0].Packets != lost {
			t.Errorf("gaps %+v, want %d packets", m.Gaps, lost)
		}
	})
}

// TestKeptPicturesAreBounded: pictures for which there is no room are lost and told of, none of them twice, and a
// picture follows with which a decoder can begin.
func TestKeptPicturesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		s := open(t, options(t, h, dir))
		x := start(t, s, nil)
		camera := newSender(x, "a", codec.Camera, codec.VP8, time.Now())
		sent := 0
		feed := func(packets int) {
			for range packets {
				if camera.next.RTP.Marker {
					sent++
				}
				camera.track.RTP(time.Now(), codec.VP8, &camera.next.RTP)
				camera.next = camera.clip.Next()
			}
		}
		feed(5000)
		play(300 * time.Millisecond)
		if camera.keys != 1 {
			t.Errorf("a key frame was asked for %d times", camera.keys)
		}
		for !camera.next.RTP.FrameStart {
			feed(1)
		}
		feed(1000)
		m := stop(t, x)
		plain, err := unsealed(t, dir, m.ID, 0, h)
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		for _, g := range m.Gaps {
			lost += g.Frames
		}
		if got := ffprobe(t, plain)["camera"].Frames; lost == 0 || got+lost != sent || len(m.Parts) != 1 {
			t.Errorf("%d pictures sent, %d there, %d lost: %+v", sent, got, lost, m.Gaps)
		}
	})
}
