package bench

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

func TestConstantFrames(t *testing.T) {
	v := Camera()
	v.Constant = true
	e := newEncoder(v, wire.SourceCamera, 0, rand.New(rand.NewPCG(1, 2)))
	r := assigned()
	e.sender = SenderHash("p1")
	now := epoch()
	for i := range 50 {
		if i == 20 {
			e.requestKey(now)
		}
		packets := e.frame(now)
		if len(packets) != 5 {
			t.Fatalf("frame %d has %d packets", i, len(packets))
		}
		for j, p := range packets {
			if len(p.data) != 1000 {
				t.Errorf("frame %d: packet %d has %d bytes", i, j, len(p.data))
			}
			r.Packet(now, Inbound{Sequence: uint16(5*i + j), Timestamp: uint32(i * 6000), Marker: p.marker, Payload: p.data})
			e.buffers.put(p.data)
		}
		now = now.Add(time.Second / 15)
	}
	if got := r.Report(now); got.Decodable != 50 || got.Continuity != (Continuity{}) || got.Untagged != 0 {
		t.Errorf("%+v", got)
	}
	if n := len(e.buffers.free); n != 6 { // five in turn, and the one to copy from
		t.Errorf("%d buffers are kept for frames of five packets", n)
	}
}

func TestVoice(t *testing.T) {
	const frames = 50 * 3600 // an hour of 20 ms
	for _, tt := range []struct {
		name          string
		audio         Audio
		share         float64 // of the time, talking
		least, most   int     // packets
		spurts        int     // at least
		quiet, talked int     // bytes of a packet
	}{
		{"always", Audio{Bitrate: 32_000, Level: 30}, 1, frames, frames, 1, 0, 80},
		{"four tenths with DTX", Audio{Bitrate: 32_000, Level: 30, Talks: 0.4, DTX: true}, 0.4, frames * 4 / 10, frames * 48 / 100, 1200, 29, 80},
		{"four tenths without", Audio{Bitrate: 32_000, Level: 30, Talks: 0.4}, 0.4, frames, frames, 1200, 29, 80},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			v := &voice{source: sourceNumber(wire.SourceMic), audio: tt.audio, rng: rng, buffers: newBuffers(rng)}
			now := epoch()
			last := now
			var sent, talking, spurts int
			for range frames {
				p, level, ok := v.frame(now)
				if ok {
					if gap := now.Sub(last); gap > dtxInterval {
						t.Fatalf("%v without a packet", gap)
					}
					last = now
					sent++
					want := tt.quiet
					if level == tt.audio.Level {
						talking++
						want = tt.talked
					}
					if len(p.data) != want {
						t.Fatalf("%d bytes at level %d", len(p.data), level)
					}
					if p.marker {
						spurts++
					}
					v.buffers.put(p.data)
				}
				now = now.Add(audioFrame)
			}
			if sent < tt.least || sent > tt.most || spurts < tt.spurts {
				t.Errorf("%d packets in %d spurts", sent, spurts)
			}
			if share := float64(talking) / frames; share < tt.share-0.05 || share > tt.share+0.05 {
				t.Errorf("talks %.3f of the time", share)
			}
		})
	}
}
