package mkv_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bedside-video/bedside/recording/clip"
	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

const wait = 300 * time.Millisecond

func TestOrder(t *testing.T) {
	type in struct {
		ms  int
		seq uint16
	}
	tests := []struct {
		name    string
		in      []in
		want    []uint16
		missing []int
		at      []int // ms
	}{
		{"in sequence", []in{{0, 65535}, {1, 0}, {2, 1}}, []uint16{65535, 0, 1}, []int{0, 0, 0}, []int{0, 1, 2}},
		{"swapped", []in{{0, 5}, {1, 7}, {2, 6}}, []uint16{5, 6, 7}, []int{0, 0, 0}, []int{0, 2, 2}},
		{"twice", []in{{0, 5}, {1, 5}, {2, 6}, {3, 6}}, []uint16{5, 6}, []int{0, 0}, []int{0, 2}},
		{"one missing", []in{{0, 5}, {1, 7}, {2, 8}, {400, 9}}, []uint16{5, 7, 8, 9}, []int{0, 1, 0, 0}, []int{0, 301, 301, 400}},
		{"repaired in time", []in{{0, 5}, {1, 7}, {299, 6}}, []uint16{5, 6, 7}, []int{0, 0, 0}, []int{0, 299, 299}},
		{"repaired too late", []in{{0, 5}, {1, 7}, {302, 6}}, []uint16{5, 7}, []int{0, 1}, []int{0, 301}},
		{"two holes", []in{{0, 1}, {10, 3}, {20, 6}}, []uint16{1, 3, 6}, []int{0, 1, 2}, []int{0, 310, 320}},
		{"other numbers", []in{{0, 1}, {1, 30000}, {2, 30001}}, []uint16{1, 30000, 30001}, []int{0, 0, 0}, []int{0, 1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := mkv.Order{Wait: wait}
			n := 0
			for ms := range 800 {
				now := epoch().Add(time.Duration(ms) * time.Millisecond)
				for _, p := range tt.in {
					if p.ms == ms {
						o.Put(&mkv.Packet{Taken: now, Seq: p.seq})
					}
				}
				for p, ok := o.Take(now); ok; p, ok = o.Take(now) {
					if n == len(tt.want) || p.Seq != tt.want[n] || p.Missing != tt.missing[n] || ms != tt.at[n] {
						t.Fatalf("packet %d: %d with %d missing at %d ms", n, p.Seq, p.Missing, ms)
					}
					n++
				}
			}
			if n != len(tt.want) {
				t.Errorf("%d packets of %d", n, len(tt.want))
			}
		})
	}
}

// However many packets are missing, what waits is bounded.
func TestOrderIsBounded(t *testing.T) {
	o := mkv.Order{Wait: time.Hour}
	o.Put(&mkv.Packet{Taken: epoch()})
	o.Take(epoch())
	for seq := range uint16(300) {
		o.Put(&mkv.Packet{Taken: epoch(), Seq: seq + 2})
	}
	if p, ok := o.Take(epoch()); !ok || p.Seq != 2 || p.Missing != 1 {
		t.Errorf("%+v, %t", p, ok)
	}
}

// TestLoss loses packets of pictures: no frame that depends on what is missing comes out, all others
// do, and what was lost is counted.
func TestLoss(t *testing.T) {
	for _, c := range []codec.Name{codec.VP8, codec.H264} {
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(seed, 7))
			var order = mkv.Order{Wait: wait}
			var frames mkv.Frames
			s := clip.New(c, 0, 0)
			broken := map[uint32]bool{} // timestamps
			whole := map[uint32]bool{}
			var dropped int
			useless := true // until a key frame
			var ts uint32
			got := map[uint32]bool{}
			last := time.Duration(0)
			take := func(now time.Time) {
				for p, ok := order.Take(now); ok; p, ok = order.Take(now) {
					if f, ok := frames.Put(&p); ok {
						got[f.Timestamp] = true
					}
				}
			}
			first := true
			for last < 8*time.Second {
				p := s.Next()
				last = p.At
				if p.RTP.Timestamp != ts || first {
					ts = p.RTP.Timestamp
					whole[ts] = true
				}
				take(epoch().Add(p.At))
				if !first && random.IntN(100) == 0 && last < 7*time.Second {
					broken[p.RTP.Timestamp] = true
					dropped++
					continue
				}
				first = false
				order.Put(packet(c, p))
			}
			take(epoch().Add(time.Hour))
			wantFrames := 0
			for i := range 8 * clip.FPS {
				ts := uint32(int64(time.Duration(i)*time.Second/clip.FPS) * 90000 / int64(time.Second))
				if broken[ts] {
					useless = true
				} else if i%clip.KeyEvery == 0 {
					useless = false
				}
				if !useless {
					wantFrames++
				}
				if got[ts] == useless {
					t.Fatalf("%v, seed %d: frame %d, useless %t, recorded %t", c, seed, i, useless, got[ts])
				}
			}
			if l := frames.Loss(); l.Packets != dropped || l.Frames == 0 {
				t.Errorf("%v, seed %d: lost %+v, %d packets were dropped, %d frames came", c, seed, l, dropped, wantFrames)
			}
			if len(whole) < 200 {
				t.Fatal("no clip")
			}
		}
	}
}

func TestTimeline(t *testing.T) {
	const rate = 48000
	at := func(ms int) time.Time { return epoch().Add(time.Duration(ms) * time.Millisecond) }
	ts := func(ms int) uint32 { return uint32(0xFFFFF000) + uint32(ms*48) }
	clock := func(atMS, tsMS int) *codec.Clock {
		return &codec.Clock{At: at(atMS), Timestamp: ts(tsMS), Rate: rate}
	}
	tests := []struct {
		name  string
		clock *codec.Clock // before the frame
		came  int
		ts    int
		want  int
	}{
		{"the first: when it came", nil, 100, 0, 100},
		{"the next: by the timestamp", nil, 170, 20, 120},
		{"the first report is believed", clock(80, 20), 180, 40, 100},
		{"a report within the slack moves nothing", clock(149, 80), 220, 100, 160},
		{"one beyond does", clock(220, 120), 320, 140, 240},
		{"a timestamp out of this world: when it came", nil, 500, 100000, 500},
		{"and on from there", nil, 530, 100020, 520},
		{"a report out of this world: when it came, at the quickest", clock(90000, 100020), 550, 100040, 540},
		{"a report that is later than what came: it is late", clock(660, 100060), 590, 100060, 560},
		{"and so it is for what follows", nil, 600, 100080, 580},
		{"what comes quicker moves that", nil, 590, 100100, 590},
		{"and what follows", nil, 690, 100120, 610},
		{"after a pause all is new", clock(2700, 102000), 2710, 102000, 2700},
	}
	var l mkv.Timeline
	for _, tt := range tests {
		if tt.clock != nil {
			l.Clock(*tt.clock)
		}
		if got := l.Time(at(tt.came), ts(tt.ts), rate); !got.Equal(at(tt.want)) {
			t.Errorf("%s: %v, want %v", tt.name, got.Sub(epoch()), at(tt.want).Sub(epoch()))
		}
	}
	l.Clock(codec.Clock{At: at(0)}) // without a rate
	l.Time(at(0), 0, rate)
}

// FuzzFrames: whatever participants send, nothing panics, frames are bounded, and what comes out of
// H.264 are whole units.
func FuzzFrames(f *testing.F) {
	for _, c := range []codec.Name{codec.VP8, codec.H264, codec.Opus} {
		s := clip.New(c, 0, 0)
		var b []byte
		for range 5 {
			p := s.Next()
			b = append(b, byte(len(p.RTP.Payload)>>8), byte(len(p.RTP.Payload)), 1)
			b = append(b, p.RTP.Payload...)
		}
		f.Add(uint8(c), b)
	}
	f.Add(uint8(codec.H264), []byte{0, 3, 3, 0x7C, 0x87, 1, 0, 3, 3, 0x7C, 0x47, 1})
	f.Fuzz(func(t *testing.T, name uint8, b []byte) {
		c := codec.Name(name%3 + 1)
		var order mkv.Order
		var frames mkv.Frames
		var w mkv.Writer
		for seq := uint16(0); len(b) > 3; seq++ {
			n := min(int(b[0])<<8|int(b[1]), len(b)-3)
			p := codec.Packet{Payload: b[3 : 3+n]}
			_ = p.ParsePayload(c)
			flags := b[2]
			b = b[3+n:]
			order.Put(&mkv.Packet{Codec: c, Seq: seq + uint16(flags>>3), Timestamp: uint32(flags >> 1 & 3), Marker: flags&1 != 0,
				KeyFrame: p.KeyFrame, FrameStart: p.FrameStart, Payload: bytes.Clone(p.Payload)})
			o, ok := order.Take(time.Time{})
			if !ok {
				continue
			}
			if f, ok := frames.Put(&o); ok {
				checkFrame(t, f)
				w.AppendFrame(nil, 1, 0, f.Key, f.Data)
			}
		}
	})
}

func checkFrame(t *testing.T, f mkv.Frame) {
	t.Helper()
	if len(f.Data) == 0 {
		t.Fatal("a frame of nothing")
	}
	if f.Codec.Kind() == codec.Video && f.Key && (f.Width <= 0 || f.Height <= 0) {
		t.Fatalf("a key frame of %dx%d", f.Width, f.Height)
	}
	for b := f.Data; f.Codec == codec.H264 && len(b) > 0; {
		if len(b) < 4 {
			t.Fatal("half a length")
		}
		n := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if n == 0 || n > len(b)-4 {
			t.Fatalf("a unit of %d in %d bytes", n, len(b)-4)
		}
		b = b[4+n:]
	}
}
