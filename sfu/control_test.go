package sfu

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/transport"
)

// BenchmarkControl is what a tick of the room's timer costs for each of four people who see each other: over
// many rooms by turns, so that none finds its memory in the cache, as between two ticks of a real one.
func BenchmarkControl(b *testing.B) {
	for _, encodings := range [][]string{{""}, {"q", "h", "f"}} {
		b.Run(fmt.Sprintf("encodings=%d", len(encodings)), func(b *testing.B) {
			const rooms, people = 100, 4
			server, err := New(config.SFU{SSRCLimit: 16}, Deps{
				Port: noPort{}, Clock: time.Now, Rand: rand.Reader, Metrics: prometheus.NewRegistry(),
				Log: slog.New(slog.NewTextHandler(io.Discard, nil)), FirstEstimate: openBitrate,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			var all []*busyRoom
			for i := range rooms {
				all = append(all, newBusyRoom(b, server, i, people, encodings))
			}
			b.ReportAllocs()
			now, i := time.Now(), 0
			for b.Loop() {
				if i%(rooms*people) == 0 {
					b.StopTimer()
					now = now.Add(controlInterval)
					for _, r := range all {
						r.speak(now)
					}
					b.StartTimer()
				}
				all[i/people%rooms].peers[i%people].control(now)
				i++
			}
		})
	}
}

// busyRoom is a room without a goroutine, whose people have sent for a while.
type busyRoom struct {
	*Room
	voices, cameras []*encoding
	seq             uint16
}

func newBusyRoom(b *testing.B, server *Server, number, people int, encodings []string) *busyRoom {
	r := &busyRoom{Room: &Room{
		server: server, id: fmt.Sprint(number), woken: make(chan struct{}, 1), admitted: map[string]bool{}, captured: map[string]bool{},
	}}
	s := &stage{room: r.Room, t: b}
	for i := range people {
		a := s.cast(fmt.Sprint("person", i))
		a.equip()
		r.peers = append(r.peers, a.Peer)
		a.admitted.Store(true)
		a.connected.Store(true)
		r.admitted[a.o.ID] = true
		r.voices = append(r.voices, a.Open("m", "").(*encoding))
		for _, rid := range encodings {
			r.cameras = append(r.cameras, a.Open("c", rid).(*encoding))
		}
	}
	now := time.Now()
	r.speak(now)
	for range 3 {
		r.reconcile(now)
		now = now.Add(time.Second)
		r.speak(now)
	}
	for _, p := range r.peers {
		if p.state != transport.StateConnected || p.occupied() == 0 {
			b.Fatal("nobody sees anybody")
		}
	}
	return r
}

// speak sends a packet of everything.
func (r *busyRoom) speak(now time.Time) {
	r.seq++
	for i, e := range r.voices {
		p := codec.Packet{SSRC: uint32(i), Seq: r.seq, Timestamp: uint32(r.seq) * 4800, Payload: []byte("opus"), FrameStart: true}
		e.RTP(now, codec.Opus, &p, false)
		e.Flush()
	}
	for i, e := range r.cameras {
		p := codec.Packet{SSRC: uint32(i), Seq: r.seq, Timestamp: uint32(r.seq) * 9000, Payload: []byte(keyFrame), FrameStart: true, KeyFrame: true, Marker: true}
		e.RTP(now, codec.VP8, &p, false)
		e.Flush()
	}
}
