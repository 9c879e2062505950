package mkv_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"

	"github.com/bedside-video/bedside/recording/clip"
	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

func epoch() time.Time { return time.Unix(1_750_000_000, 0).UTC() }

// film writes a voice and a picture of that length, with padding every second and the bytes at which
// each frame is whole.
func film(t testing.TB, picture codec.Name, length time.Duration) (file []byte, ends []int, blocks []mkv.Block) {
	t.Helper()
	var w mkv.Writer
	streams := []*stream{newStream(codec.Opus, 1), newStream(picture, 2)}
	var frames []mkv.Block
	var tracks []mkv.Track
	for _, s := range streams {
		var track mkv.Track
		for s.next.At < length {
			f, ok := s.pull()
			if !ok {
				continue
			}
			if track.Number == 0 {
				track = mkv.Track{Number: s.track, Name: "x" + strconv.Itoa(s.track), Codec: f.Codec, Width: f.Width, Height: f.Height, Private: f.Private}
			}
			at := s.timeline.Time(f.Taken, f.Timestamp, f.Codec.ClockRate()).Sub(epoch())
			frames = append(frames, mkv.Block{Track: s.track, At: at, Key: f.Key, Data: bytes.Clone(f.Data)})
		}
		tracks = append(tracks, track)
	}
	sortBlocks(frames)
	file = mkv.AppendHeader(nil, mkv.Header{Title: "p1", Date: epoch(), Tracks: tracks})
	second := time.Duration(0)
	for _, f := range frames {
		if f.At-second >= time.Second {
			second = f.At
			file = mkv.AppendVoid(file, 2+len(ends)*37%3000)
		}
		file = w.AppendFrame(file, f.Track, f.At, f.Key, f.Data)
		ends = append(ends, len(file))
	}
	return file, ends, frames
}

func sortBlocks(b []mkv.Block) {
	for i := range b {
		for j := i; j > 0 && b[j].At < b[j-1].At; j-- {
			b[j], b[j-1] = b[j-1], b[j]
		}
	}
}

// stream is a clip on its way through Order and Frames.
type stream struct {
	clip     *clip.Stream
	codec    codec.Name
	track    int
	next     clip.Packet
	order    mkv.Order
	frames   mkv.Frames
	timeline mkv.Timeline
}

func newStream(c codec.Name, track int) *stream {
	s := &stream{clip: clip.New(c, 65530, 0xFFFFFF00), codec: c, track: track, order: mkv.Order{Wait: 300 * time.Millisecond}}
	s.next = s.clip.Next()
	return s
}

// pull takes the next packet through; the frame that it completes.
func (s *stream) pull() (mkv.Frame, bool) {
	p := s.next
	s.next = s.clip.Next()
	s.order.Put(packet(s.codec, p))
	o, ok := s.order.Take(epoch().Add(p.At))
	if !ok {
		return mkv.Frame{}, false
	}
	return s.frames.Put(&o)
}

func packet(c codec.Name, p clip.Packet) *mkv.Packet {
	return &mkv.Packet{
		Taken: epoch().Add(p.At), Codec: c, Seq: p.RTP.Seq, Timestamp: p.RTP.Timestamp, Marker: p.RTP.Marker,
		KeyFrame: p.RTP.KeyFrame, FrameStart: p.RTP.FrameStart, Payload: p.RTP.Payload,
	}
}

// probe is what ffprobe decodes of a file: frames by stream, and complaints.
type probe struct {
	Streams []struct {
		Codec  string `json:"codec_name"`
		Frames string `json:"nb_read_frames"`
		Width  int    `json:"width"`
		Height int    `json:"height"`
		Tags   struct {
			Title string `json:"title"`
		} `json:"tags"`
	} `json:"streams"`
	complaints string
}

func decode(t testing.TB, file []byte) probe {
	t.Helper()
	if _, err := exec.LookPath("ffprobe"); err != nil {
		t.Skip("SKIPPED for want of ffmpeg: recordings are not decoded by another program")
	}
	name := filepath.Join(t.TempDir(), "r.mkv")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	c := exec.Command("ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames,width,height:stream_tags=title", "-of", "json", name)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("ffprobe: %v: %s", err, errs.String())
	}
	p := probe{complaints: errs.String()}
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFilesPlay(t *testing.T) {
	for _, picture := range []codec.Name{codec.VP8, codec.H264} {
		t.Run(picture.String(), func(t *testing.T) {
			file, _, _ := film(t, picture, 3*time.Second)
			p := decode(t, file)
			if p.complaints != "" || len(p.Streams) != 2 {
				t.Fatalf("%+v", p)
			}
			if s := p.Streams[0]; s.Codec != "opus" || s.Frames != "150" || s.Tags.Title != "x1" {
				t.Errorf("sound: %+v", s)
			}
			if s := p.Streams[1]; s.Frames != "90" || s.Width != clip.Width || s.Height != clip.Height || s.Tags.Title != "x2" {
				t.Errorf("picture: %+v", s)
			}
		})
	}
}

// A file that is cut anywhere plays to the last frame that is whole.
func TestCutFilesPlay(t *testing.T) {
	for _, picture := range []codec.Name{codec.VP8, codec.H264} {
		file, ends, blocks := film(t, picture, 2*time.Second)
		for cut := ends[80]; cut < len(file); cut += len(file) / 5 {
			p := decode(t, file[:cut])
			want := map[int]int{}
			for i, b := range blocks {
				if ends[i] <= cut {
					want[b.Track]++
				}
			}
			for i, s := range p.Streams {
				// ffmpeg also decodes a frame of which the beginning is there.
				if n, _ := strconv.Atoi(s.Frames); n < want[i+1] || n > want[i+1]+1 {
					t.Errorf("%v cut at %d: %s frames of %s, %d are whole", picture, cut, s.Frames, s.Codec, want[i+1])
				}
			}
		}
	}
}

// TestOthersRead decodes the file strictly with a library that we do not use otherwise.
func TestOthersRead(t *testing.T) {
	file, _, blocks := film(t, codec.VP8, 3*time.Second)
	var got struct {
		Header  webm.EBMLHeader    `ebml:"EBML"`
		Segment webm.SegmentStream `ebml:"Segment"`
	}
	if err := ebml.Unmarshal(bytes.NewReader(file), &got, ebml.WithIgnoreUnknown(true)); err != nil {
		t.Fatal(err)
	}
	if len(got.Segment.Tracks.TrackEntry) != 2 || !got.Segment.Info.DateUTC.Equal(epoch()) {
		t.Fatalf("%+v, %v", got.Segment.Info, got.Segment.Tracks)
	}
	// Players take it from the one or from the other, and Chromium plays nothing where they differ.
	voice := got.Segment.Tracks.TrackEntry[0]
	if skip := binary.LittleEndian.Uint16(voice.CodecPrivate[10:]); skip != 312 || voice.CodecDelay != 6_500_000 || voice.SeekPreRoll != 80_000_000 {
		t.Errorf("the voice is %d samples late, or %d ns; a seek begins %d ns before", skip, voice.CodecDelay, voice.SeekPreRoll)
	}
	n := 0
	for _, c := range got.Segment.Cluster {
		for _, b := range c.SimpleBlock {
			want := blocks[n]
			at := time.Duration(int64(c.Timecode)+int64(b.Timecode)) * time.Millisecond
			if int(b.TrackNumber) != want.Track || b.Keyframe != want.Key || !bytes.Equal(b.Data[0], want.Data) || (at-want.At).Abs() > time.Millisecond {
				t.Fatalf("block %d differs", n)
			}
			if b.Timecode > 1000 {
				t.Fatalf("a cluster of %d ms", b.Timecode)
			}
			n++
		}
	}
	if n != len(blocks) {
		t.Errorf("%d blocks of %d", n, len(blocks))
	}
}

func TestReader(t *testing.T) {
	for _, picture := range []codec.Name{codec.VP8, codec.H264} {
		file, ends, blocks := film(t, picture, 2*time.Second)
		for cut := len(file); cut > ends[10]; cut -= 4099 {
			r, err := mkv.NewReader(bytes.NewReader(file[:cut]))
			if err != nil {
				t.Fatal(err)
			}
			if h := r.Header; h.Title != "p1" || !h.Date.Equal(epoch()) || len(h.Tracks) != 2 || h.Tracks[1].Codec != picture ||
				h.Tracks[1].Width != clip.Width || h.Tracks[1].Height != clip.Height || (h.Tracks[1].Private != nil) != (picture == codec.H264) {
				t.Fatalf("header %+v", h)
			}
			n := 0
			for b, err := r.Next(); err == nil; b, err = r.Next() {
				if b.Track != blocks[n].Track || !bytes.Equal(b.Data, blocks[n].Data) || (b.At-blocks[n].At).Abs() > time.Millisecond {
					t.Fatalf("block %d differs", n)
				}
				n++
			}
			if n < len(ends) && ends[n] <= cut || n > 0 && ends[n-1] > cut {
				t.Fatalf("cut at %d: %d blocks", cut, n)
			}
		}
	}
}

func TestVoid(t *testing.T) {
	for _, n := range []int{2, 3, 63, 64, 65, 127, 128, 129, 65537} {
		b := mkv.AppendVoid([]byte{7}, n)
		if len(b) != n+1 {
			t.Errorf("a void of %d has %d bytes", n, len(b)-1)
		}
	}
}

func FuzzReader(f *testing.F) {
	file, ends, _ := film(f, codec.H264, 200*time.Millisecond)
	f.Add(file)
	f.Add(file[:ends[3]+5])
	f.Add([]byte{0x1A, 0x45, 0xDF, 0xA3, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := mkv.NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		for range len(b) {
			if _, err := r.Next(); err != nil {
				return
			}
		}
		t.Fatal("more blocks than bytes")
	})
}
