package bwe_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// feedbackOf builds a feedback packet: 1 received, 0 not.
func feedbackOf(first uint16, received ...uint16) *twcc.Feedback {
	x := &twcc.Feedback{Base: first, Reference: 10}
	for _, r := range received {
		x.Packets = append(x.Packets, twcc.Packet{Came: r == 1, Delta: 4 * int16(r)})
	}
	return x
}

func TestHistory(t *testing.T) {
	var h bwe.History
	if got := h.Acknowledge(feedbackOf(1, 1), nil); got != nil {
		t.Errorf("of a history without packets: %v", got)
	}
	if _, ok := h.Waiting(); ok {
		t.Error("an empty history waits")
	}
	at := func(i int) time.Time { return began().Add(time.Duration(i) * time.Millisecond) }
	for i := range 10 { // across the wrap
		h.Sent(at(i), uint16(65530+i), 100+i, uint8(i/5))
	}
	fates := func(acks []bwe.Ack) (out [][3]int) {
		for _, a := range acks {
			out = append(out, [3]int{a.Size, int(a.Fate), int(a.Was)})
		}
		return out
	}
	for _, tt := range []struct {
		name    string
		x       *twcc.Feedback
		want    [][3]int // size, fate, fate before
		waiting int      // index of the packet; -1: none
	}{
		{"the first three", feedbackOf(65530, 1, 0, 1), [][3]int{{100, 1, 0}, {101, 2, 0}, {102, 1, 0}}, 3},
		{"again", feedbackOf(65530, 1, 0, 1), nil, 3},
		{"one was late", feedbackOf(65531, 1), [][3]int{{101, 1, 2}}, 3},
		{"a feedback was lost", feedbackOf(65535, 1), [][3]int{{103, 3, 0}, {104, 3, 0}, {105, 1, 0}}, 6},
		{"it comes after all", feedbackOf(65533, 1, 0), [][3]int{{103, 1, 3}, {104, 2, 3}}, 6},
		{"of packets to come", feedbackOf(100, 1, 1), nil, 6},
		{"more than was sent", feedbackOf(0, 1, 1, 1, 1, 1, 1, 1), [][3]int{{106, 1, 0}, {107, 1, 0}, {108, 1, 0}, {109, 1, 0}}, -1},
	} {
		if got := fates(h.Acknowledge(tt.x, nil)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		since, ok := h.Waiting()
		if ok != (tt.waiting >= 0) || ok && !since.Equal(at(tt.waiting)) {
			t.Errorf("%s: waiting since %v, %v", tt.name, since.Sub(began()), ok)
		}
	}
}

// Of a packet that was sent twice it is told once that it was lost, whenever the second comes.
func TestHistoryOfWhatIsRepeated(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before bwe.Fate // told before it is repeated
		told   []uint16 // of it after that, 1 for received
		want   []bwe.Fate
	}{
		{"before anything is told, and the copy comes", bwe.Pending, []uint16{1}, []bwe.Fate{bwe.Lost}},
		{"before anything is told, and the copy comes later", bwe.Pending, []uint16{0, 1}, []bwe.Fate{bwe.Lost}},
		{"after the loss was told", bwe.Lost, []uint16{1}, nil},
		{"after the loss was told, and the copy is lost", bwe.Lost, []uint16{0}, nil},
		{"after it came", bwe.Received, []uint16{1}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h bwe.History
			h.Repeated(7)
			for seq := range uint16(10) {
				h.Sent(began(), seq, 100, 3)
			}
			if tt.before != bwe.Pending {
				h.Acknowledge(feedbackOf(7, uint16(2-tt.before)), nil)
			}
			h.Repeated(7)
			h.Repeated(7)
			h.Repeated(70)
			var got []bwe.Fate
			for _, x := range tt.told {
				for _, a := range h.Acknowledge(feedbackOf(7, x), nil) {
					if a.Was != bwe.Skipped { // those before it
						got = append(got, a.Fate)
					}
					if a.Size != 100 || a.Probe != 3 {
						t.Errorf("%+v", a)
					}
				}
			}
			got = slices.DeleteFunc(got, func(f bwe.Fate) bool { return f == bwe.Skipped })
			if !slices.Equal(got, tt.want) {
				t.Errorf("told %v, want %v", got, tt.want)
			}
		})
	}
}

// A number that was given to nothing is nobody's news.
func TestHistoryWithAGap(t *testing.T) {
	var h bwe.History
	h.Sent(began(), 1, 100, 0)
	h.Sent(began().Add(time.Second), 4, 400, 0)
	if got := h.Acknowledge(feedbackOf(1, 1, 0, 0, 1), nil); len(got) != 2 || got[0].Size != 100 || got[1].Size != 400 {
		t.Errorf("told of %v", got)
	}
}

func TestHistoryForgetsTheOldest(t *testing.T) {
	var h bwe.History
	for i := range bwe.HistorySize + 10 {
		h.Sent(began(), uint16(i), 100, 0)
	}
	if got := h.Acknowledge(feedbackOf(5, 1), nil); got != nil {
		t.Errorf("of a forgotten packet: %v", got)
	}
	if got := h.Acknowledge(feedbackOf(10, 1), nil); len(got) != 1 {
		t.Errorf("of the oldest that is known: %v", got)
	}
}

func TestHistoryAllocatesNothing(t *testing.T) {
	var h bwe.History
	h.Sent(began(), 0, 100, 0)
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() { seq++; h.Sent(began(), seq, 1200, 0) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// A third of the feedback lost, and half of it, is no congestion.
func TestFeedbackLost(t *testing.T) {
	for _, share := range []float64{0.1, 0.3, 0.5} {
		w := newWorld(t, 1, shape(2*link.Mbit, queue300), shape(freeRate, queue300))
		m := newMedia(w, 0, oneWay)
		m.dropAcks = share
		w.run(60 * second)
		if used := m.rate(10*second, 60*second) / 2e6; used < 0.85 {
			t.Errorf("%.0f %% of the feedback lost: %.2f of the link used", 100*share, used)
		}
	}
}

// An outage costs the rate when it is longer than 6 s; then the path is taken to be as it was.
func TestOutage(t *testing.T) {
	s := shape(2*link.Mbit, queue300)
	w := newWorld(t, 1, s, shape(freeRate, queue300))
	m := newMedia(w, 0, oneWay)
	dead := s
	dead.Loss = 1
	w.fwd.set(20*second, dead)
	w.fwd.set(32*second, s)
	w.run(50 * second)
	for _, x := range []struct{ at, least, most int }{{250, 1_500_000, mediaMax}, {318, mediaMin, mediaMin}, {340, 1_500_000, mediaMax}} {
		if got := m.rates[x.at]; got < x.least || got > x.most {
			t.Errorf("at %d s: %d bit/s", x.at/10, got)
		}
	}
	if got := m.states[250]; got.State != bwe.Stalled {
		t.Errorf("in the outage: %+v", got)
	}
	if used := m.rate(35*second, 45*second) / 2e6; used < 0.9 {
		t.Errorf("3 s after it: %.2f of the link used", used)
	}
}

func TestFallback(t *testing.T) {
	e := bwe.New(bwe.Config{Min: 100_000, Max: 2_000_000, Start: 300_000})
	now := began()
	rate := func() int { return e.Tick(now, time.Time{}).Bitrate }
	e.Report(now, 0.2, 300_000)
	if got := rate(); got != 270_000 {
		t.Errorf("after 20 %% of loss: %d", got)
	}
	for range 10 {
		now = now.Add(time.Second)
		e.Report(now, 0, 300_000)
	}
	if got := rate(); got < 390_000 || got > 450_000 {
		t.Errorf("after 10 s without loss, 300 kbit/s being sent: %d", got)
	}
	e.REMB(now, 5e6)
	if got := rate(); got != 2_000_000 {
		t.Errorf("after a REMB of 5 Mbit/s: %d", got)
	}
	e.Report(now, 0.5, 300_000)
	if got := rate(); got != 2_000_000 {
		t.Errorf("a report beside a REMB: %d", got)
	}
	if got := e.Tick(now, time.Time{}); got.Probe.ID != 0 {
		t.Errorf("without transport-wide feedback it probes: %+v", got.Probe)
	}
}

// play makes a stream of calls of bytes and tells whether the estimate stayed within its bounds.
func play(t *testing.T, b []byte) {
	t.Helper()
	const least, most = 100_000, 2_000_000
	e := bwe.New(bwe.Config{Min: least, Max: most, Start: 300_000})
	var h bwe.History
	now, seq := began(), uint16(65000)
	for len(b) >= 6 {
		x, y := binary.LittleEndian.Uint16(b[1:]), binary.LittleEndian.Uint16(b[3:])
		switch b[0] % 8 {
		case 0, 1, 2:
			for range b[5] {
				seq++
				h.Sent(now, seq, int(x), b[0]>>6)
				now = now.Add(time.Duration(y) * time.Microsecond / 8)
			}
		case 3, 4:
			f := &twcc.Feedback{Base: seq - x%512, Reference: uint32(b[5]) << (b[0] >> 4)}
			for i := range min(y, twcc.MaxPackets) {
				came := y&4 != 0
				if i < 3 {
					came = x>>i&1 != 0
				}
				f.Packets = append(f.Packets, twcc.Packet{Came: came, Delta: int16(y * (i + 1))})
			}
			e.Feedback(now, h.Acknowledge(f, nil))
		case 5:
			now = now.Add(time.Duration(x) * time.Millisecond / 16)
			e.RTT(time.Duration(int16(y)) * time.Millisecond)
			e.Want(int(y) * 100)
		case 6:
			e.REMB(now, float64(int16(x))*float64(y))
		case 7:
			e.Report(now, float64(int16(x))/1000, float64(y)*100)
		}
		b = b[6:]
		waiting, _ := h.Waiting()
		if got := e.Tick(now, waiting); got.Bitrate < least || got.Bitrate > most || got.Probe.Bitrate < 0 || got.Probe.Bitrate > most || got.Reason == "" {
			t.Fatalf("out of bounds: %+v", got)
		}
	}
}

func TestBoundsHold(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := make([]byte, 600)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		play(t, b)
	}
}

func FuzzFeedback(f *testing.F) {
	f.Add([]byte{0, 0, 4, 100, 0, 50, 3, 49, 0, 50, 0, 60, 5, 0, 2, 50, 0, 0, 3, 20, 0, 50, 0, 60})
	f.Add([]byte{64, 0, 4, 255, 255, 255, 243, 1, 0, 255, 255, 255, 6, 255, 127, 255, 255, 0, 7, 255, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) { play(t, b) })
}

func BenchmarkEstimator(b *testing.B) {
	for b.Loop() {
		w := newWorld(b, 1, shape(2*link.Mbit, queue300), shape(freeRate, queue300))
		newMedia(w, 0, oneWay)
		w.run(100 * second)
	}
}
