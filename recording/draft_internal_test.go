package recording

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

// Whatever is taken over when, and although space goes round, a part becomes the frames in the order in which they came,
// and nothing is said to be younger than it is, nor much older.
func TestDraft(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	began := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	p := &person{id: "a", epoch: began}
	p.settle(mkv.Header{Tracks: []mkv.Track{{Number: 1, Codec: codec.Opus}, {Number: 2, Codec: codec.VP8}}}, 0)
	var ours spares
	var reference mkv.Writer
	var want, got []byte
	var ends []int // of want, after each frame
	var taken []time.Time
	var space []byte
	frames := 0 // of those, how many have been taken over
	for n := range 5000 {
		f := frame{source: codec.Mic, at: time.Duration(n) * 10 * time.Millisecond}
		f.Taken, f.Codec, f.Data = began.Add(f.at-time.Duration(r.IntN(40))*time.Millisecond), codec.Opus, make([]byte, 1+r.IntN(200))
		if r.IntN(3) == 0 {
			f.source, f.Codec, f.Data = codec.Camera, codec.VP8, append(space[:0], make([]byte, 1+r.IntN(6000))...)
			space = nil
		}
		for i := range f.Data {
			f.Data[i] = byte(r.Uint32())
		}
		want = reference.AppendFrame(want, trackNumber(f.source), f.at, f.Key, f.Data)
		ends, taken = append(ends, len(want)), append(taken, f.Taken)
		back, ok := p.add(&f)
		if !ok {
			t.Fatalf("no room after %d frames", n)
		}
		if f.Codec == codec.VP8 {
			space = back
		} else if back != nil {
			t.Fatal("space for a picture, for sound")
		}
		if r.IntN(20) > 0 {
			continue
		}
		full := p.exchange(&ours)
		from := 0
		for _, x := range full.pieces {
			got = append(append(got, full.bytes[from:x.end]...), x.picture...)
			from = x.end
			oldest := taken[frames]
			for ; frames < len(ends) && ends[frames] <= len(got); frames++ {
				if taken[frames].Before(oldest) {
					oldest = taken[frames]
				}
			}
			if !x.taken.Equal(oldest) {
				t.Fatalf("what was taken at %v is said to be of %v", oldest, x.taken)
			}
		}
		for i := range full.pieces {
			clear(full.pieces[i].picture) // whoever still had it would see
		}
		ours.keep(full)
		if !bytes.Equal(got, want) {
			t.Fatalf("after %d frames something else was taken over than was left", n+1)
		}
	}
	if len(ours.pictures) == 0 || len(ours.pictures)+len(p.spares.pictures) > 2*maxSpares {
		t.Errorf("%d and %d spares", len(ours.pictures), len(p.spares.pictures))
	}
}

// filmed is somebody whose camera sends pictures of five packets of 1,000 bytes.
type filmed struct {
	person      *person
	camera, mic *Track
	payload     []byte
	n, said     int
}

func newFilmed(began time.Time, l *looks) *filmed {
	p := &person{id: "a", epoch: began}
	p.settle(mkv.Header{Tracks: []mkv.Track{{Number: 1, Codec: codec.Opus}, {Number: 2, Codec: codec.VP8}}}, 0)
	f := &filmed{person: p, camera: &Track{person: p, source: codec.Camera, looks: l}, payload: make([]byte, 1000)}
	// A descriptor of one byte, and a key frame of 320x240 (RFC 6386 section 9.1).
	copy(f.payload, []byte{0x10, 0x10, 2, 0, 0x9D, 0x01, 0x2A, 0x40, 1, 0xF0, 0})
	return f
}

func (f *filmed) send(now time.Time) {
	for i := range 5 {
		f.camera.RTP(now, codec.VP8, &codec.Packet{
			Seq: uint16(f.n*5 + i), Timestamp: uint32(f.n) * 3000, Payload: f.payload, Marker: i == 4, KeyFrame: i == 0, FrameStart: i == 0,
		})
	}
	f.n++
}

// speak sends 20 ms of sound.
func (f *filmed) speak(now time.Time) {
	f.mic.RTP(now, codec.Opus, &codec.Packet{Seq: uint16(f.said), Timestamp: uint32(f.said) * 960, Payload: f.payload[:80], KeyFrame: true, FrameStart: true})
	f.said++
}

// Once space goes round, a picture costs no memory.
func TestDraftAllocatesNothing(t *testing.T) {
	began := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	var l looks
	l.begin(began)
	f := newFilmed(began, &l)
	var ours spares
	got := testing.AllocsPerRun(100, func() {
		f.send(began)
		f.send(began)
		ours.keep(f.person.exchange(&ours))
	})
	if got != 0 {
		t.Errorf("two pictures cost %v allocations", got)
	}
}

// BenchmarkTrack is what a packet of forty cameras costs the packet path, of which every second picture is taken over.
func BenchmarkTrack(b *testing.B) {
	began := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	var l looks
	l.begin(began)
	var all [40]*filmed
	for i := range all {
		all[i] = newFilmed(began, &l)
	}
	var ours spares
	b.ReportAllocs()
	packets := 0
	for n := 0; b.Loop(); n++ {
		for _, f := range all {
			f.send(began)
			if packets += 5; n%2 == 1 {
				ours.keep(f.person.exchange(&ours))
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
}
