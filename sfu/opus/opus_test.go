package opus_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/opus"
)

func TestParse(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 1276)
	for _, tt := range []struct {
		name   string
		packet []byte
		frames []int // lengths; nil: refused
		lasts  time.Duration
	}{
		{"nothing (R1)", nil, nil, 0},
		{"one frame", []byte{0x78, 1, 2, 3}, []int{3}, 20 * time.Millisecond},
		{"one frame, empty", []byte{0x78}, []int{0}, 20 * time.Millisecond},
		{"one of 1,275 bytes", append([]byte{0x78}, long[:1275]...), []int{1275}, 20 * time.Millisecond},
		{"one that is too long (R2)", append([]byte{0x78}, long...), nil, 20 * time.Millisecond},
		{"two equal", []byte{0x79, 1, 2, 3, 4}, []int{2, 2}, 40 * time.Millisecond},
		{"two equal, odd (R3)", []byte{0x79, 1, 2, 3}, nil, 40 * time.Millisecond},
		{"two", []byte{0x7a, 1, 9, 8, 7}, []int{1, 2}, 40 * time.Millisecond},
		{"two, the second empty", []byte{0x7a, 1, 9}, []int{1, 0}, 40 * time.Millisecond},
		{"two, without a length (R4)", []byte{0x7a}, nil, 40 * time.Millisecond},
		{"two, the first longer than the packet (R4)", []byte{0x7a, 3, 1, 2}, nil, 40 * time.Millisecond},
		{"two, half a length (R4)", []byte{0x7a, 252}, nil, 40 * time.Millisecond},
		{"two, a length of two bytes", append([]byte{0x7a, 252, 1}, long[:300]...), []int{256, 44}, 40 * time.Millisecond},
		{"three equal", []byte{0x7b, 3, 1, 2, 3}, []int{1, 1, 1}, 60 * time.Millisecond},
		{"three", []byte{0x7b, 0x83, 1, 2, 1, 2, 3, 4}, []int{1, 2, 1}, 60 * time.Millisecond},
		{"three, a length missing (R7)", []byte{0x7b, 0x83, 1}, nil, 60 * time.Millisecond},
		{"three equal, not divisible (R6)", []byte{0x7b, 3, 1, 2}, nil, 60 * time.Millisecond},
		{"none (R5)", []byte{0x7b, 0}, nil, 0},
		{"no count", []byte{0x7b}, nil, 0},
		{"six of 20 ms", []byte{0x7b, 6, 1, 2, 3, 4, 5, 6}, []int{1, 1, 1, 1, 1, 1}, 120 * time.Millisecond},
		{"seven of 20 ms (R5)", []byte{0x7b, 7, 1, 2, 3, 4, 5, 6, 7}, nil, 0},
		{"48 of 2.5 ms", append([]byte{0xe3, 48}, long[:48]...), slicesOf(1, 48), 120 * time.Millisecond},
		{"padded", []byte{0x7b, 0x41, 2, 1, 0, 0}, []int{1}, 20 * time.Millisecond},
		{"padded with 256", append([]byte{0x7b, 0x41, 255, 2, 1}, long[:256]...), []int{1}, 20 * time.Millisecond},
		{"more padding than packet", []byte{0x7b, 0x41, 3, 1, 0}, nil, 20 * time.Millisecond},
		{"padding without an end", []byte{0x7b, 0x41, 255, 255}, nil, 20 * time.Millisecond},
		{"SILK of 60 ms, twice", []byte{0x19, 1, 2}, []int{1, 1}, 120 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := opus.Duration(tt.packet); got != tt.lasts {
				t.Errorf("lasts %v, want %v", got, tt.lasts)
			}
			var p opus.Packet
			err := p.Parse(tt.packet)
			if (err == nil) != (tt.frames != nil) {
				t.Fatalf("error %v", err)
			}
			var got []int
			for _, f := range p.Frames() {
				got = append(got, len(f))
			}
			if len(got) != len(tt.frames) {
				t.Fatalf("frames of %v bytes, want %v", got, tt.frames)
			}
			for i := range got {
				if got[i] != tt.frames[i] {
					t.Fatalf("frames of %v bytes, want %v", got, tt.frames)
				}
			}
		})
	}
}

func slicesOf(x, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = x
	}
	return out
}

// said makes the packet n of a stream of 20 ms.
func said(n int, toc byte, frame string) *codec.Packet {
	return &codec.Packet{Seq: uint16(65534 + n), Timestamp: uint32(n * 960), Payload: append([]byte{toc}, frame...)}
}

func TestJoin(t *testing.T) {
	marked := said(1, 0x78, "bb")
	marked.Marker = true
	late := said(1, 0x78, "bb")
	late.Timestamp += 960
	six := said(1, 0x7b, "\x06aabbccddeeff")
	for _, tt := range []struct {
		name    string
		packets []*codec.Packet
		taken   int
		want    string
	}{
		{"one", []*codec.Packet{said(0, 0x78, "aa")}, 1, "\x78aa"},
		{"two of one length", []*codec.Packet{said(0, 0x78, "aa"), said(1, 0x78, "bb")}, 2, "\x79aabb"},
		{"two", []*codec.Packet{said(0, 0x78, "aaa"), said(1, 0x78, "bb")}, 2, "\x7a\x03aaabb"},
		{"three of one length", []*codec.Packet{said(0, 0x78, "aa"), said(1, 0x78, "bb"), said(2, 0x78, "cc")}, 3, "\x7b\x03aabbcc"},
		{"three", []*codec.Packet{said(0, 0x78, "aaa"), said(1, 0x78, "bb"), said(2, 0x78, "cc")}, 3, "\x7b\x83\x03\x02aaabbcc"},
		{"two and one", []*codec.Packet{said(0, 0x79, "aabb"), said(2, 0x78, "cc")}, 1, "\x79aabb"},
		{"a hole in the numbers", []*codec.Packet{said(0, 0x78, "aa"), said(2, 0x78, "cc")}, 1, "\x78aa"},
		{"a hole in the time", []*codec.Packet{said(0, 0x78, "aa"), late}, 1, "\x78aa"},
		{"one of before", []*codec.Packet{said(1, 0x78, "bb"), said(0, 0x78, "aa")}, 1, "\x78bb"},
		{"another mode", []*codec.Packet{said(0, 0x78, "aa"), said(1, 0x48, "bb")}, 1, "\x78aa"},
		{"stereo", []*codec.Packet{said(0, 0x78, "aa"), said(1, 0x7c, "bb")}, 1, "\x78aa"},
		{"a marker", []*codec.Packet{said(0, 0x78, "aa"), marked}, 1, "\x78aa"},
		{"silence", []*codec.Packet{said(0, 0x78, "aa"), said(1, 0x78, "b")}, 1, "\x78aa"},
		{"more than 120 ms", []*codec.Packet{said(0, 0x78, "aa"), six}, 1, "\x78aa"},
		{"more than a later packet can carry", []*codec.Packet{said(0, 0x78, string(make([]byte, 500))), said(1, 0x78, string(make([]byte, 520)))}, 1, "\x78" + string(make([]byte, 500))},
		{"malformed", []*codec.Packet{said(0, 0x79, "aab")}, 0, ""},
		{"nothing", []*codec.Packet{{}}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var j opus.Joiner
			taken := 0
			for _, p := range tt.packets {
				if tt.name == "silence" && taken == 1 {
					p.Payload = p.Payload[:2]
				}
				if j.Take(p) {
					taken++
				}
			}
			if taken != tt.taken {
				t.Fatalf("%d taken, want %d", taken, tt.taken)
			}
			if taken == 0 {
				if !j.Empty() {
					t.Error("something is held")
				}
				return
			}
			p, n := j.Packet()
			if string(p.Payload) != tt.want || n != taken {
				t.Errorf("%q of %d packets, want %q", p.Payload, n, tt.want)
			}
			if first := tt.packets[0]; p.Seq != first.Seq || p.Timestamp != first.Timestamp {
				t.Errorf("numbered %d, %d", p.Seq, p.Timestamp)
			}
			j.Clear()
			if !j.Empty() || j.Duration() != 0 || !j.Take(said(7, 0x48, "zz")) {
				t.Error("it is not empty")
			}
		})
	}
}

// What is joined comes apart into the same frames.
func FuzzJoin(f *testing.F) {
	f.Add([]byte{0x78, 1, 2, 3}, []byte{0x78, 4, 5, 6})
	f.Add([]byte{0x7a, 1, 9, 8, 7}, []byte{0x7b, 0x83, 1, 2, 1, 2, 3, 4})
	f.Add([]byte{0x7b, 0x41, 2, 1, 0, 0}, []byte{0x7b, 0x41, 255, 2, 1})
	f.Add(append([]byte{0x7a, 252, 1}, make([]byte, 300)...), append([]byte{0x78}, make([]byte, 253)...))
	f.Add([]byte{0xe3, 48}, []byte{0x7b, 0})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var j opus.Joiner
		var want [][]byte
		var lasts time.Duration
		seq, ts := uint16(65535), uint32(1<<32-480)
		for _, payload := range [][]byte{a, b, a} {
			var p opus.Packet
			if p.Parse(payload) != nil {
				if j.Take(&codec.Packet{Seq: seq, Timestamp: ts, Payload: payload}) {
					t.Fatal("took what is no packet")
				}
				continue
			}
			d := p.Duration()
			if d <= 0 || d > 120*time.Millisecond || d != opus.Duration(payload) || d/time.Duration(len(p.Frames())) > 60*time.Millisecond {
				t.Fatalf("%d frames last %v, by the first bytes %v", len(p.Frames()), d, opus.Duration(payload))
			}
			if !j.Take(&codec.Packet{Seq: seq, Timestamp: ts, Payload: payload}) {
				continue
			}
			want = append(want, p.Frames()...)
			lasts += d
			seq++
			ts += uint32(d * 48000 / time.Second)
		}
		if j.Empty() {
			return
		}
		joined, _ := j.Packet()
		var p opus.Packet
		if err := p.Parse(joined.Payload); err != nil {
			t.Fatalf("%x: %v", joined.Payload, err)
		}
		if got := p.Frames(); len(got) != len(want) || p.Duration() != lasts || j.Duration() != lasts || len(joined.Payload) > codec.MaxREDLength {
			t.Fatalf("%d frames of %v in %d bytes, want %d of %v", len(got), p.Duration(), len(joined.Payload), len(want), lasts)
		}
		for i, f := range p.Frames() {
			if !bytes.Equal(f, want[i]) {
				t.Fatalf("frame %d is %x, want %x", i, f, want[i])
			}
		}
	})
}
