package quality_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/quality"
)

const ms = time.Millisecond

var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// The figures of the E-model without impairment of the codec, as computed from ITU-T G.107.
func TestScore(t *testing.T) {
	for _, c := range []struct {
		loss  float64
		delay time.Duration
		want  float64
	}{
		{0, 105 * ms, 4.33}, // 150 ms from mouth to ear, of which 45 are the devices'
		{0, 155 * ms, 4.23},
		{0, 205 * ms, 3.99},
		{0, 255 * ms, 3.71},
		{0, 355 * ms, 3.05},
		{0.01, 0, 4.30},
		{0.05, 0, 3.88},
		{0.20, 0, 2.575},
		{1, 0, 1.15},
		{2, -time.Second, 1.15}, // nonsense is taken for the nearest sense
		{1, 10 * time.Second, 1},
	} {
		if got := quality.Score(c.loss, c.delay); got < c.want-0.006 || got > c.want+0.006 {
			t.Errorf("loss %v, delay %v: %v, not %v", c.loss, c.delay, got, c.want)
		}
	}
}

// step is some seconds of a connection with one loss, at 100 packets a second each way.
type step struct {
	seconds  int
	up, down float64
	rtt      time.Duration
	lost     bool   // the connection
	want     string // the levels afterwards
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"nothing known", []step{{want: "/"}}},
		{"good", []step{{seconds: 2, want: "good/good"}}},
		{"the uplink alone", []step{{seconds: 4, up: 0.05, want: "fair/good"}}},
		{"the downlink alone", []step{{seconds: 4, down: 0.20, want: "good/poor"}}},
		{"a long way", []step{{seconds: 2, rtt: 600 * ms, want: "fair/fair"}}},
		{"a very long way", []step{{seconds: 2, rtt: 900 * ms, want: "poor/poor"}}},
		{"it shows within two intervals", []step{{seconds: 60, want: "good/good"}, {seconds: 4, up: 0.10, want: "fair/good"}}},
		{"and goes after ten seconds", []step{
			{seconds: 20, down: 0.20, want: "good/poor"}, {seconds: 10, want: "good/poor"}, {seconds: 8, want: "good/good"}}},
		{"short pauses do not count", []step{
			{seconds: 20, up: 0.20, want: "poor/good"}, {seconds: 8, want: "poor/good"}, {seconds: 4, up: 0.20, want: "poor/good"}, {seconds: 8, want: "poor/good"}}},
		{"a little better is no better", []step{{seconds: 20, up: 0.045, want: "fair/good"}, {seconds: 60, up: 0.03, want: "fair/good"}}},
		{"no connection", []step{{seconds: 20, want: "good/good"}, {seconds: 2, lost: true, want: "poor/poor"}, {seconds: 20, want: "good/good"}}},
		{"no connection yet", []step{{seconds: 0, lost: true, want: "/"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m quality.Meter
			now, s := epoch, quality.Sample{}
			for i, step := range c.steps {
				for range max(1, step.seconds/2) {
					now = now.Add(2 * time.Second)
					s.RoundTrip, s.Connected = step.rtt, !step.lost
					if !step.lost && step.seconds > 0 {
						s.Up.Packets += 200
						s.Up.Lost += uint64(200 * step.up)
						s.Down.Packets += 200
						s.Down.Lost += uint64(200 * step.down)
					}
					m.Take(now, s)
				}
				up, down := m.Levels()
				if got := up.String() + "/" + down.String(); got != step.want {
					t.Fatalf("after step %d: %s, not %s", i+1, got, step.want)
				}
			}
		})
	}
}

func TestInterval(t *testing.T) {
	totals := func(packets, lost uint64) quality.Sample {
		return quality.Sample{Up: quality.Totals{Packets: packets, Lost: lost, Jitter: 7 * ms}, Connected: true}
	}
	for _, c := range []struct {
		name  string
		given []quality.Sample
		want  quality.Link // of the last
	}{
		{"the first counts from nothing", []quality.Sample{totals(100, 3)}, quality.Link{Packets: 100, Lost: 3, Jitter: 7 * ms}},
		{"what came between", []quality.Sample{totals(100, 3), totals(250, 8)}, quality.Link{Packets: 150, Lost: 5, Jitter: 7 * ms}},
		{"nothing came", []quality.Sample{totals(100, 3), totals(100, 3)}, quality.Link{}},
		{"another connection", []quality.Sample{totals(100, 3), totals(50, 1)}, quality.Link{Packets: 50, Lost: 1, Jitter: 7 * ms}},
		{"late, not lost", []quality.Sample{totals(100, 5), totals(200, 3)}, quality.Link{Packets: 100, Jitter: 7 * ms}},
		{"and not lost again", []quality.Sample{totals(100, 5), totals(200, 3), totals(300, 5)}, quality.Link{Packets: 100, Jitter: 7 * ms}},
		{"more lost than sent", []quality.Sample{totals(100, 0), totals(110, 50)}, quality.Link{Packets: 10, Lost: 10, Jitter: 7 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m quality.Meter
			var got quality.Interval
			for i, s := range c.given {
				got = m.Take(epoch.Add(time.Duration(i)*time.Second), s)
			}
			if got.Up != c.want {
				t.Errorf("%+v, not %+v", got.Up, c.want)
			}
		})
	}
}

func link(packets, lost uint64) quality.Interval {
	return quality.Interval{Up: quality.Link{Packets: packets, Lost: lost}, Down: quality.Link{Packets: packets}}
}

func TestTimeline(t *testing.T) {
	var line quality.Timeline
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	line.Measured(at(3), "a", link(100, 2))
	line.Measured(at(5), "a", link(100, 1))
	line.Told(at(6), "a", quality.Heard{Samples: 240000, Concealed: 2400, Freezes: 1, Frozen: 300 * ms})
	line.Measured(at(12), "b", link(100, 0))
	line.Measured(at(31), "a", link(100, 0))
	line.Measured(at(2), "a", link(50, 0))  // the clock was set back
	line.Measured(at(40), "a", link(0, 0))  // nothing
	line.Told(at(40), "c", quality.Heard{}) // nothing
	want := []quality.Track{
		{Participant: "a", Slices: []quality.Slice{
			{Up: quality.Link{Packets: 200, Lost: 3}, Down: quality.Link{Packets: 200}, Samples: 240000, Concealed: 2400, Freezes: 1, Frozen: 300 * ms},
			{At: 3, Up: quality.Link{Packets: 150}, Down: quality.Link{Packets: 150}},
		}},
		{Participant: "b", Slices: []quality.Slice{{At: 1, Up: quality.Link{Packets: 100}, Down: quality.Link{Packets: 100}}}},
	}
	if !reflect.DeepEqual(line.Tracks, want) || line.Width != quality.Width || !line.Start.Equal(epoch) {
		t.Errorf("%+v", line)
	}
	if got := line.Tracks[0].Slices[0].ConcealedShare(); got != 0.01 {
		t.Errorf("concealed %v", got)
	}
	data, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	var back quality.Timeline
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back.Tracks, line.Tracks) {
		t.Errorf("after reading %s: %+v, %v", data, back, err)
	}
}

// However long a consultation is and however many take part, its history is bounded and nothing that
// was counted is lost.
func TestTimelineIsBounded(t *testing.T) {
	for _, c := range []struct {
		people int
		length time.Duration
		width  time.Duration
	}{
		{2, time.Hour, 10 * time.Second},
		{2, 11 * time.Hour, 10 * time.Second},
		{2, 24 * time.Hour, 40 * time.Second},
		{20, 24 * time.Hour, 320 * time.Second},
		{200, 24 * time.Hour, 2560 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d people, %v", c.people, c.length), func(t *testing.T) {
			var line quality.Timeline
			sent := 0
			for at := time.Duration(0); at < c.length; at += 10 * time.Second {
				for p := range c.people {
					line.Measured(epoch.Add(at), fmt.Sprint("p", p), link(1, 0))
					sent++
				}
			}
			slices, counted := 0, uint64(0)
			for _, track := range line.Tracks {
				slices += len(track.Slices)
				counted += track.Total().Up.Packets
			}
			if slices > 8192 || line.Width != c.width || counted != uint64(sent) {
				t.Errorf("%d slices of %v, %d packets of %d; wanted %v", slices, line.Width, counted, sent, c.width)
			}
		})
	}
}

// A copy does not change with what it was taken from.
func TestClone(t *testing.T) {
	var line quality.Timeline
	line.Measured(epoch, "a", link(10, 0))
	was := line.Clone()
	line.Measured(epoch, "a", link(10, 0))
	if was.Tracks[0].Slices[0].Up.Packets != 10 {
		t.Error("the copy changed")
	}
}

func TestFindings(t *testing.T) {
	// Each letter is ten seconds: . good, f 5 % lost, p 20 % lost, - away, ~ too little to tell.
	for _, c := range []struct {
		name, up, down string
		want           []string
	}{
		{"nothing", "......", "......", nil},
		{"the uplink", "..fff.", "......", []string{"a uplink 20-50 fair 5.0%"}},
		{"the downlink", "......", "pppppp", []string{"a downlink 0-60 poor 20.0%"}},
		{"both", "f.....", ".....f", []string{"a uplink 0-10 fair 5.0%", "a downlink 50-60 fair 5.0%"}},
		{"one with holes", "f.f.f.", "......", []string{"a uplink 0-50 fair 5.0%"}},
		{"two", "f....f", "......", []string{"a uplink 0-10 fair 5.0%", "a uplink 50-60 fair 5.0%"}},
		{"the worst counts", "ffpf..", "......", []string{"a uplink 0-40 poor 8.8%"}},
		{"away", "f--f..", "......", []string{"a uplink 0-10 fair 5.0%", "a uplink 30-40 fair 5.0%"}},
		{"too little", "~~~~~~", "......", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var line quality.Timeline
			for i := range c.up {
				line.Measured(epoch.Add(time.Duration(i)*10*time.Second), "a", quality.Interval{Up: lossy(c.up[i]), Down: lossy(c.down[i])})
			}
			var got []string
			for _, f := range line.Findings() {
				got = append(got, fmt.Sprintf("%s %s %.0f-%.0f %s %.1f%%", f.Participant, f.Direction,
					f.From.Sub(epoch).Seconds(), f.To.Sub(epoch).Seconds(), f.Level, 100*f.Link.Loss()))
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

func lossy(letter byte) quality.Link {
	switch letter {
	case 'f':
		return quality.Link{Packets: 1000, Lost: 50}
	case 'p':
		return quality.Link{Packets: 1000, Lost: 200}
	case '-':
		return quality.Link{}
	case '~':
		return quality.Link{Packets: 10, Lost: 10}
	}
	return quality.Link{Packets: 1000}
}

// Whatever counters come, an interval holds no more than was counted, and a level is one of the three.
func FuzzMeter(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Add(uint64(7), uint64(1<<40))
	f.Fuzz(func(t *testing.T, seed, most uint64) {
		r := rand.New(rand.NewPCG(seed, most))
		var m quality.Meter
		var line quality.Timeline
		number := func() uint64 { return r.Uint64N(most%(1<<62) + 1) }
		totals := func() quality.Totals {
			return quality.Totals{Packets: number(), Lost: number(), Repaired: number(), Jitter: time.Duration(r.Int64())}
		}
		for range 100 {
			now := epoch.Add(time.Duration(r.Int64N(int64(48 * time.Hour))))
			i := m.Take(now, quality.Sample{Up: totals(), Down: totals(), Dropped: number(), RoundTrip: time.Duration(r.Int64()), Connected: r.IntN(4) > 0})
			line.Measured(now, "a", i)
			for _, l := range []quality.Link{i.Up, i.Down} {
				if s := l.Score(i.RoundTrip); l.Lost > l.Packets || l.Loss() < 0 || l.Loss() > 1 || s < 1 || s > 4.5 {
					t.Fatalf("%+v: loss %v, score %v", l, l.Loss(), s)
				}
			}
			if up, down := m.Levels(); up > quality.Poor || down > quality.Poor {
				t.Fatalf("levels %d, %d", up, down)
			}
		}
		for _, x := range line.Findings() {
			if !x.To.After(x.From) || x.Level < quality.Fair || x.Level > quality.Poor {
				t.Fatalf("%+v", x)
			}
		}
	})
}

// What one participant costs every two seconds.
func BenchmarkMeasured(b *testing.B) {
	var m quality.Meter
	var line quality.Timeline
	now, s := epoch, quality.Sample{Connected: true, RoundTrip: 40 * ms}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(2 * time.Second)
		s.Up.Packets += 400
		s.Down.Packets += 4000
		line.Measured(now, "a", m.Take(now, s))
	}
}
