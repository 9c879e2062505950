package redundancy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/redundancy"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// feedback tells of packets from base on, 20 ms apart, x for lost.
func feedback(base uint16, fate string) *twcc.Feedback {
	at := uint32(base) * 20
	f := &twcc.Feedback{Base: base, Reference: at / 64}
	last := f.Reference * 64
	for i, c := range fate {
		var p twcc.Packet
		if now := at + uint32(i)*20; c != 'x' {
			p = twcc.Packet{Came: true, Delta: int16(now-last) * 4}
			last = now
		}
		f.Packets = append(f.Packets, p)
	}
	return f
}

func TestMeter(t *testing.T) {
	for _, tt := range []struct {
		name  string
		tell  func(m *redundancy.Meter)
		loss  float64
		known bool
		burst time.Duration
	}{
		{"nothing", func(*redundancy.Meter) {}, 0, false, 0},
		{"too little", func(m *redundancy.Meter) { m.Feedback(feedback(0, "..x")) }, 1.0 / 3, false, 0},
		{"single losses", func(m *redundancy.Meter) { m.Feedback(feedback(65500, strings.Repeat("...x", 10)+".")) }, 10.0 / 41, true, 20 * time.Millisecond},
		{"bursts", func(m *redundancy.Meter) { m.Feedback(feedback(0, strings.Repeat(".....xxx", 5)+".")) }, 15.0 / 41, true, 60 * time.Millisecond},
		{"a burst over three feedbacks", func(m *redundancy.Meter) {
			for i := range uint16(5) {
				m.Feedback(feedback(40*i, "........x"))
				m.Feedback(feedback(40*i+9, "xxx"))
				m.Feedback(feedback(40*i+12, strings.Repeat(".", 28)))
			}
		}, 0.1, true, 80 * time.Millisecond},
		{"told twice", func(m *redundancy.Meter) {
			m.Feedback(feedback(0, strings.Repeat(".", 20)+"x"))
			m.Feedback(feedback(15, "......"))
			m.Feedback(feedback(21, "......"))
		}, 1.0 / 27, true, 0},
		{"a feedback lost", func(m *redundancy.Meter) {
			for i := range uint16(5) {
				m.Feedback(feedback(40*i, strings.Repeat(".", 9)+"x"))
			}
		}, 0.1, true, 0},
		{"reports", func(m *redundancy.Meter) { m.Delivered(200, 50) }, 0.25, true, 0},
		{"reports beside feedback", func(m *redundancy.Meter) {
			m.Feedback(feedback(0, strings.Repeat(".", 30)))
			m.Delivered(100, 50)
		}, 0, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m redundancy.Meter
			tt.tell(&m)
			loss, known := m.Loss()
			if diff := loss - tt.loss; known != tt.known || diff > 1e-9 || diff < -1e-9 {
				t.Errorf("loss %.4f, known %t, want %.4f, %t", loss, known, tt.loss, tt.known)
			}
			if got := m.Burst().Round(time.Millisecond); got != tt.burst {
				t.Errorf("bursts of %v, want %v", got, tt.burst)
			}
		})
	}
}

// FuzzMeter: whatever a subscriber claims, a loss is a share.
func FuzzMeter(f *testing.F) {
	for _, fate := range []string{"..x.", "xxxx", strings.Repeat(".x", 40)} {
		f.Add([]byte(fate), []byte(fate))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var m redundancy.Meter
		for _, b := range [][]byte{first, second} {
			var x twcc.Feedback
			for i, c := range b {
				x.Base += uint16(c) << (i & 8)
				x.Packets = append(x.Packets, twcc.Packet{Came: c&1 != 0, Delta: int16(c) << (c & 7)})
			}
			m.Feedback(&x)
		}
		if loss, _ := m.Loss(); loss < 0 || loss > 1 {
			t.Fatalf("loss %f", loss)
		}
		if m.Burst() < 0 || m.Burst() > time.Second {
			t.Fatalf("bursts of %v", m.Burst())
		}
	})
}

// second lets one second of a loss pass.
func second(m *redundancy.Meter, base *uint16, fate string) {
	m.Feedback(feedback(*base, strings.Repeat(fate, 50/len(fate))))
	*base += uint16(50 / len(fate) * len(fate))
}

func TestController(t *testing.T) {
	const (
		clean = "."
		five  = "...................x"
		ten   = ".........x"
		forty = "..x.x"
		burst = ".......xxx"
	)
	for _, tt := range []struct {
		name    string
		seconds []string // of loss
		room    func(second int) int
		want    []redundancy.Pattern
	}{
		{"nothing lost", []string{clean, clean, clean}, nil, []redundancy.Pattern{0, 0, 0}},
		{"little", []string{clean, five, five}, nil, []redundancy.Pattern{0, redundancy.Near1, redundancy.Near1}},
		{"more", []string{ten, forty, forty}, nil, []redundancy.Pattern{redundancy.Near2, redundancy.Near3, redundancy.Near3}},
		{"in bursts", []string{burst, burst}, nil, []redundancy.Pattern{redundancy.Near3, redundancy.Far3}},
		{"no room", []string{ten, ten, ten}, func(s int) int { return []int{3, 1, 0}[s] }, []redundancy.Pattern{redundancy.Near2, redundancy.Near1, 0}},
		{"room again", []string{ten, ten, ten}, func(s int) int { return []int{0, 1, 3}[s] }, []redundancy.Pattern{0, redundancy.Near1, redundancy.Near2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m redundancy.Meter
			var c redundancy.Controller
			var base uint16
			now := time.Unix(1000, 0)
			for i, fate := range tt.seconds {
				second(&m, &base, fate)
				room := redundancy.MaxDepth
				if tt.room != nil {
					room = tt.room(i)
				}
				if got := c.Decide(now, &m, room, 1, redundancy.Open); got != tt.want[i] {
					t.Errorf("second %d: %v, want %v", i, got, tt.want[i])
				}
				m.Age()
				now = now.Add(time.Second)
			}
		})
	}
}

// The depth goes down by one step each eight seconds, and not at all while losses come and go.
func TestControllerGoesDownSlowly(t *testing.T) {
	var m redundancy.Meter
	var c redundancy.Controller
	var base uint16
	now := time.Unix(1000, 0)
	step := func(fate string) redundancy.Pattern {
		second(&m, &base, fate)
		p := c.Decide(now, &m, redundancy.MaxDepth, 1, redundancy.Open)
		m.Age()
		now = now.Add(time.Second)
		return p
	}
	for i := range 60 { // 10 % in one second of three
		fate := "."
		if i%3 == 0 {
			fate = ".....x.x.x"
		}
		if p := step(fate); p.Depth() < 2 {
			t.Fatalf("second %d of on and off: %v", i, p)
		}
	}
	changes := map[redundancy.Pattern]int{}
	last := step(".")
	for i := range 60 {
		if p := step("."); p != last {
			changes[p], last = i, p
		}
	}
	if last != redundancy.None || len(changes) > 3 {
		t.Fatalf("after a clean minute %v, by %v", last, changes)
	}
	if d := changes[redundancy.None] - changes[redundancy.Near1]; d != 8 {
		t.Errorf("from one to none took %d s, want 8", d)
	}
}

// On an idle path the estimate is what is sent, so that it would never have room for more. One more is
// tried at once, and, where it did not fit, each five seconds.
func TestControllerTriesOnAnIdlePath(t *testing.T) {
	var m redundancy.Meter
	var c redundancy.Controller
	var base uint16
	now := time.Unix(1000, 0)
	var got []int
	for i := range 14 {
		second(&m, &base, ".........x")
		path := redundancy.Idle
		if i == 1 || i == 7 { // what was tried makes a queue
			path = redundancy.Open
		}
		got = append(got, c.Decide(now, &m, 0, 1, path).Depth())
		m.Age()
		now = now.Add(time.Second)
	}
	if want := []int{1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("depths %v, want %v", got, want)
	}
}

func TestRoom(t *testing.T) {
	voice := redundancy.Traffic{Packets: 50, Bytes: 50 * 50} // 20 kbit/s
	for _, tt := range []struct {
		name   string
		t      redundancy.Traffic
		budget int
		want   int
	}{
		{"not measured", voice, 0, 2},
		{"next to nothing", voice, 10_000, 0},
		{"as much as it takes without", voice, 46_000, 0},
		{"one", voice, 68_000, 1},
		{"two", voice, 90_000, 2},
		{"two, just", voice, 100_000, 2},
		{"three", voice, 111_000, 3},
		{"three voices", redundancy.Traffic{Packets: 150, Bytes: 7500}, 203_000, 1},
		{"nobody speaks", redundancy.Traffic{}, 50_000, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.t.Room(tt.budget); got != tt.want {
				t.Errorf("depth %d, want %d", got, tt.want)
			}
		})
	}
}

func packet(seq uint16, payload string) *codec.Packet {
	return &codec.Packet{Seq: seq, Timestamp: uint32(seq) * 960, Payload: []byte(payload)}
}

// carried returns what a RED payload consists of.
func carried(t *testing.T, payload []byte, blocks int) string {
	t.Helper()
	if blocks == 0 {
		return string(payload)
	}
	codec.SetREDType(payload, blocks, 111)
	var r codec.RED
	if err := r.Parse(payload, 111); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, b := range r.Blocks() {
		parts = append(parts, fmt.Sprintf("%s@%d", b.Payload, b.Offset/960))
	}
	return strings.Join(append(parts, string(r.Primary)), " ")
}

func TestRecent(t *testing.T) {
	long := strings.Repeat("l", 400)
	for _, tt := range []struct {
		name    string
		put     []string // "" is lost
		pattern redundancy.Pattern
		want    string
	}{
		{"none", []string{"a", "b", "c"}, redundancy.None, "c"},
		{"one", []string{"a", "b", "c"}, redundancy.Near1, "b@1 c"},
		{"two", []string{"a", "b", "c", "d"}, redundancy.Near2, "a@3 c@1 d"},
		{"three", []string{"a", "b", "c", "d", "e"}, redundancy.Near3, "a@4 c@2 d@1 e"},
		{"three, of which there are two", []string{"a", "b", "c"}, redundancy.Near3, "a@2 b@1 c"},
		{"one lost on the way here", []string{"a", "b", "", "d"}, redundancy.Near2, "a@3 d"},
		{"all lost", []string{"", "", "c"}, redundancy.Near2, "c"},
		{"far", strings.Split("abcdefghij", ""), redundancy.Far3, "a@9 d@6 g@3 j"},
		{"far two", strings.Split("abcdefghij", ""), redundancy.Far2, "a@9 f@4 j"},
		{"far one", strings.Split("abcdefghij", ""), redundancy.Far1, "e@5 j"},
		{"too much for one packet", []string{long, long, long}, redundancy.Near3, long + "@1 " + long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r redundancy.Recent
			var last *codec.Packet
			for i, payload := range tt.put {
				if payload != "" {
					last = packet(uint16(65534+i), payload)
					last.Timestamp = uint32(i)*960 - 2000
					r.Put(last)
				}
			}
			payload, blocks := r.Wrap(last, tt.pattern)
			if got := carried(t, payload, blocks); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if again, n := r.Wrap(last, tt.pattern); n != blocks || string(again) != string(payload) {
				t.Error("another subscriber of the pattern gets something else")
			}
		})
	}
}

// After a pause of DTX (400 ms) the packet before is older than an offset can say; after Clear there is
// none.
func TestRecentForgets(t *testing.T) {
	var r redundancy.Recent
	r.Put(packet(1, "a"))
	late := packet(2, "b")
	late.Timestamp = 960 + 400*48
	r.Put(late)
	if _, blocks := r.Wrap(late, redundancy.Near1); blocks != 0 {
		t.Error("carried over a pause of 400 ms")
	}
	r.Clear()
	next := packet(3, "c")
	next.Timestamp = late.Timestamp + 960
	r.Put(next)
	if _, blocks := r.Wrap(next, redundancy.Near1); blocks != 0 {
		t.Error("carried what was cleared")
	}
}

func TestRecentDoesNotAllocate(t *testing.T) {
	var r redundancy.Recent
	p := packet(0, strings.Repeat("v", 60))
	step := func() {
		p.Seq++
		p.Timestamp += 960
		r.Put(p)
		for _, pattern := range []redundancy.Pattern{redundancy.Near1, redundancy.Near3, redundancy.Far2} {
			r.Wrap(p, pattern)
		}
	}
	for range 32 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// BenchmarkWrap is what redundancy of depth 2 costs a publication for each packet: once, however many
// subscribers it has.
func BenchmarkWrap(b *testing.B) {
	var r redundancy.Recent
	p := packet(0, strings.Repeat("v", 60))
	b.ReportAllocs()
	for b.Loop() {
		p.Seq++
		p.Timestamp += 960
		r.Put(p)
		r.Wrap(p, redundancy.Near2)
	}
}

// BenchmarkWrapAgain is what every further subscriber costs.
func BenchmarkWrapAgain(b *testing.B) {
	var r redundancy.Recent
	r.Put(packet(0, strings.Repeat("v", 60)))
	p := packet(1, strings.Repeat("v", 60))
	r.Put(p)
	b.ReportAllocs()
	for b.Loop() {
		payload, blocks := r.Wrap(p, redundancy.Near1)
		codec.SetREDType(payload, blocks, 111)
	}
}
