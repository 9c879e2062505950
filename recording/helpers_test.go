package recording_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/clip"
	"github.com/bedside-video/bedside/sfu/codec"
)

// hospital has the keys that no server has.
type hospital struct{ records, escrow *age.HybridIdentity }

func newHospital(t testing.TB) hospital {
	t.Helper()
	a, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	b, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return hospital{a, b}
}

func (h hospital) recipients() []string {
	return []string{h.records.Recipient().String(), h.escrow.Recipient().String()}
}

func nodeKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) }

func options(t testing.TB, h hospital, dir string) recording.Options {
	t.Helper()
	return recording.Options{
		Dir: dir, Recipients: h.recipients(), Node: "node-1", Key: nodeKey(), Clock: time.Now, Rand: rand.Reader,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func open(t testing.TB, o recording.Options) *recording.Store {
	t.Helper()
	s, err := recording.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func start(t testing.TB, s *recording.Store, notify func(recording.Event)) *recording.Session {
	t.Helper()
	x, err := s.Start(t.Context(), recording.Start{Tenant: "t1", Consultation: "c1", Notify: notify})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func stop(t testing.TB, x *recording.Session) recording.Manifest {
	t.Helper()
	m, err := x.Stop(t.Context(), "stopped")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sender plays a clip into a track.
type sender struct {
	track *recording.Track
	codec codec.Name
	clip  *clip.Stream
	next  clip.Packet
	begun time.Time
	drop  func(n int) bool // packets that are lost
	n     int
	keys  int // how often a key frame was asked for
}

func newSender(x *recording.Session, participant string, source codec.Source, c codec.Name, now time.Time) *sender {
	s := &sender{codec: c, clip: clip.New(c, 1000, 5000), begun: now}
	s.track = x.Tap(participant, source, func() { s.keys++ })
	s.next = s.clip.Next()
	return s
}

// send hands over what is due until now.
func (s *sender) send(now time.Time) {
	for s.begun.Add(s.next.At).Compare(now) <= 0 {
		s.n++
		if s.drop == nil || !s.drop(s.n) {
			s.track.RTP(s.begun.Add(s.next.At), s.codec, &s.next.RTP)
		}
		s.next = s.clip.Next()
	}
}

// play lets everybody send for a while.
func play(d time.Duration, all ...*sender) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		<-tick.C
		for _, s := range all {
			s.send(time.Now())
		}
	}
}

// unsealed is what stock age gives of a part, with the key that the hospital opens.
func unsealed(t testing.TB, dir, id string, n int, h hospital) ([]byte, error) {
	t.Helper()
	key := age1(t, filepath.Join(dir, id, id+".key.age"), h.escrow)
	secret, err := age.ParseHybridIdentity(string(bytes.TrimSpace(key)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, id, partName(id, n)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, err := age.Decrypt(f, secret)
	if err != nil {
		t.Fatal(err)
	}
	return io.ReadAll(r)
}

func age1(t testing.TB, name string, id age.Identity) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(b), id)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func partName(id string, n int) string {
	digits := strconv.Itoa(n)
	return id + ".p" + "000"[len(digits):] + digits + ".mkv.age"
}

// decoded is what ffmpeg makes of a Matroska file, by title of the track.
type decoded struct {
	Frames     int
	Codec      string
	Start, End float64 // seconds, of packets
}

// opusDelay is by how much FFmpeg dates a packet of sound earlier than its block, in s: Matroska's CodecDelay of 6.5 ms, in
// its units of 1 ms. A decoder gives the sound so much later, and leaves out the beginning.
const opusDelay = 0.007

func ffprobe(t testing.TB, file []byte) map[string]decoded {
	t.Helper()
	if _, err := exec.LookPath("ffprobe"); err != nil {
		t.Skip("SKIPPED for want of ffmpeg: recordings are not decoded by another program")
	}
	name := filepath.Join(t.TempDir(), "r.mkv")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	c := exec.Command("ffprobe", "-v", "error", "-count_frames", "-show_entries",
		"stream=index,codec_name,nb_read_frames:stream_tags=title:packet=stream_index,pts_time", "-of", "json", name)
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("ffprobe: %v: %s", err, errs.String())
	}
	var p struct {
		Streams []struct {
			Codec  string `json:"codec_name"`
			Frames int    `json:"nb_read_frames,string"`
			Tags   struct{ Title string }
		}
		Packets []struct {
			Stream int     `json:"stream_index"`
			PTS    float64 `json:"pts_time,string"`
		}
	}
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]decoded)
	for i, s := range p.Streams {
		d := decoded{Frames: s.Frames, Codec: s.Codec}
		first := true
		for _, x := range p.Packets {
			if x.Stream != i {
				continue
			}
			if s.Codec == "opus" {
				x.PTS += opusDelay
			}
			if first {
				d.Start, first = x.PTS, false
			}
			d.End = x.PTS
		}
		all[s.Tags.Title] = d
	}
	return all
}
