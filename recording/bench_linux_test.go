package recording_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/sfu/codec"
)

// BenchmarkRooms is what ten rooms of four cost that are recorded as they go on, with the rates of shape a of
// bench/yardstick: the processor time of the process for each packet, beside that of a clock that only ticks.
func BenchmarkRooms(b *testing.B) {
	b.Run("ticks", func(b *testing.B) { benchmarkRooms(b, 0) })
	b.Run("recorded", func(b *testing.B) { benchmarkRooms(b, 10) })
}

func benchmarkRooms(b *testing.B, rooms int) {
	const step = 5 * time.Millisecond
	s := open(b, options(b, newHospital(b), b.TempDir()))
	var people []*talker
	for range rooms {
		x := start(b, s, nil)
		for _, id := range []string{"a", "b", "c", "d"} {
			people = append(people, newTalker(x, id, len(people)))
		}
		defer stop(b, x)
	}
	tick := time.NewTicker(step)
	defer tick.Stop()
	packets, warm, begun := 0, 0, time.Duration(0)
	for n := 0; b.Loop(); n++ {
		if n == 0 {
			warm = 200 // parts have begun
		}
		for range 200 + warm { // a second
			now := <-tick.C
			for _, p := range people {
				packets += p.send(now)
			}
			if warm > 0 {
				if warm--; warm == 0 {
					packets, begun = 0, used(b)
				}
			}
		}
	}
	b.ReportMetric(float64((used(b)-begun).Microseconds())/1e3/float64(b.N), "ms-cpu/s")
	if packets > 0 {
		b.ReportMetric(float64((used(b)-begun).Nanoseconds())/float64(packets), "ns-cpu/packet")
	}
}

// used is how much processor time the process has had.
func used(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// talker is somebody whose camera sends 1.2 Mbit/s and 30 pictures a second, each of five packets, and whose
// microphone 50 packets a second.
type talker struct {
	mic, camera *recording.Track
	payload     []byte
	phase, n    int
	seq         [2]uint16
}

func newTalker(x *recording.Session, id string, phase int) *talker {
	t := &talker{mic: x.Tap(id, codec.Mic, nil), camera: x.Tap(id, codec.Camera, nil), phase: phase}
	t.payload = make([]byte, 1000)
	// A descriptor of one byte, and a key frame of 320x240 (RFC 6386 section 9.1).
	copy(t.payload, []byte{0x10, 0x10, 2, 0, 0x9D, 0x01, 0x2A, 0x40, 1, 0xF0, 0})
	return t
}

// send sends what is due of 5 ms.
func (t *talker) send(now time.Time) (packets int) {
	t.n++
	at := t.n + t.phase
	if at%4 == 0 {
		t.mic.RTP(now, codec.Opus, &codec.Packet{Seq: t.seq[0], Timestamp: uint32(t.n) * 240, Payload: t.payload[:80], KeyFrame: true, FrameStart: true})
		t.seq[0]++
		packets++
	}
	if at%20 == 0 || at%20 == 7 || at%20 == 13 {
		for i := range 5 {
			t.camera.RTP(now, codec.VP8, &codec.Packet{
				Seq: t.seq[1], Timestamp: uint32(t.n) * 450, Payload: t.payload, Marker: i == 4, KeyFrame: i == 0, FrameStart: i == 0,
			})
			t.seq[1]++
			packets++
		}
	}
	return packets
}
