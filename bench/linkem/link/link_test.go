package link_test

import (
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

const ms = time.Millisecond

// step is one packet given to a link.
type step struct {
	at   time.Duration
	size int
}

// every returns n packets of one size, gap apart.
func every(n, size int, gap time.Duration) []step {
	out := make([]step, n)
	for i := range out {
		out[i] = step{at: time.Duration(i) * gap, size: size}
	}
	return out
}

// arrival is one packet taken from a link: which of the steps it was, and when.
type arrival struct {
	ordinal int
	at      time.Duration
}

// rig drives a link in virtual time, as an owner does: nothing but Push, Pop and Next.
type rig struct {
	t     *testing.T
	start time.Time
	under *link.Link
	sent  int
	got   []arrival
}

func newRig(t *testing.T, shape string, seed uint64) *rig {
	t.Helper()
	r := &rig{t: t, start: time.Unix(1000, 0)}
	l, err := link.New(r.start, parse(t, shape), seed)
	if err != nil {
		t.Fatal(err)
	}
	r.under = l
	return r
}

func parse(t *testing.T, text string) link.Shape {
	t.Helper()
	s, err := link.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// until takes what arrives before a time, at the times that Next says.
func (r *rig) until(limit time.Duration) {
	r.t.Helper()
	for {
		next, ok := r.under.Next()
		if !ok || next.Sub(r.start) > limit {
			return
		}
		for {
			p, ok := r.under.Pop(next)
			if !ok {
				break
			}
			r.got = append(r.got, arrival{ordinal: int(p.Peer.Port()), at: next.Sub(r.start)})
		}
		if again, ok := r.under.Next(); ok && !again.After(next) {
			r.t.Fatalf("asked again for %v at %v: an owner would spin", again, next)
		}
	}
}

func (r *rig) push(s step) {
	r.t.Helper()
	r.until(s.at)
	r.under.Push(r.start.Add(s.at), packet(r.sent, s.size))
	r.sent++
}

func (r *rig) run(steps []step) []arrival {
	r.t.Helper()
	for _, s := range steps {
		r.push(s)
	}
	r.until(1 << 62)
	return r.got
}

func TestArrivalTimes(t *testing.T) {
	// 1250 bytes last 10 ms at 1 Mbit/s.
	for _, c := range []struct {
		name, shape string
		steps       []step
		want        []time.Duration
	}{
		{"perfect", "", every(3, 1250, ms), []time.Duration{0, ms, 2 * ms}},
		{"delay", "delay=40ms", every(3, 1250, ms), []time.Duration{40 * ms, 41 * ms, 42 * ms}},
		{"rate", "rate=1mbit", every(3, 1250, 0), []time.Duration{10 * ms, 20 * ms, 30 * ms}},
		{"rate and delay", "rate=1mbit,delay=40ms", every(3, 1250, 0), []time.Duration{50 * ms, 60 * ms, 70 * ms}},
		{"slower than the rate", "rate=1mbit", every(3, 1250, 25*ms), []time.Duration{10 * ms, 35 * ms, 60 * ms}},
		{"rounded up", "rate=3mbit", every(3, 1, 0), []time.Duration{2667, 5334, 8001}},
		{"empty packets", "rate=1mbit,delay=1ms", every(2, 0, ms), []time.Duration{ms, 2 * ms}},
		{"queue of 30 ms", "rate=1mbit,queue=30ms", every(5, 1250, 0), []time.Duration{10 * ms, 20 * ms, 30 * ms}},
		{"queue shorter than a packet", "rate=1mbit,queue=1ns", every(3, 1250, 5*ms), []time.Duration{10 * ms, 20 * ms}},
		{"queue counts what is left to send", "rate=1mbit,queue=15ms", []step{{0, 1250}, {4 * ms, 1250}, {5 * ms, 1250}},
			[]time.Duration{10 * ms, 20 * ms}},
		{"duplicates", "delay=1ms,dup=100%", every(2, 10, 5*ms), []time.Duration{ms, ms, 6 * ms, 6 * ms}},
		{"all lost", "loss=100%,delay=1ms", every(5, 10, ms), nil},
		{"trace", "rate=1mbit:10ms/500kbit:10ms", every(3, 1250, 0), []time.Duration{10 * ms, 25 * ms, 40 * ms}},
		{"outage", "rate=1mbit:5ms/0bit:1s", every(1, 1250, 0), []time.Duration{1010 * ms}},
		{"trace over many periods", "rate=1mbit:1ms/0bit:1ms", every(1, 12500, 0), []time.Duration{199 * ms}},
		{"trace from its middle", "rate=1mbit:10ms/500kbit:10ms", []step{{15 * ms, 1250}}, []time.Duration{27500 * time.Microsecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []time.Duration
			for _, a := range newRig(t, c.shape, 1).run(c.steps) {
				got = append(got, a.at)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("arrived at %v, want %v", got, c.want)
			}
		})
	}
}

func TestCounters(t *testing.T) {
	r := newRig(t, "rate=1mbit,queue=30ms,delay=5ms", 1)
	for range 5 {
		r.push(step{0, 1250})
	}
	if got, want := r.under.Counters(), (link.Counters{In: 5, InBytes: 6250, Dropped: 2, Held: 3}); got != want {
		t.Errorf("when full: %+v, want %+v", got, want)
	}
	r.until(time.Hour)
	want := link.Counters{In: 5, InBytes: 6250, Out: 3, OutBytes: 3750, Dropped: 2, QueueMax: link.Milliseconds(30 * ms)}
	if got := r.under.Counters(); got != want {
		t.Errorf("at the end: %+v, want %+v", got, want)
	}
}

func TestChangedWhileItRuns(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		at                  time.Duration
		want                []time.Duration // of three packets of 10 ms at 1 Mbit/s, sent at 0
	}{
		{"slower", "rate=1mbit", "rate=500kbit", 5 * ms, []time.Duration{15 * ms, 35 * ms, 55 * ms}},
		{"faster", "rate=1mbit", "rate=2mbit", 15 * ms, []time.Duration{10 * ms, 17500 * time.Microsecond, 22500 * time.Microsecond}},
		{"no limit", "rate=1mbit", "", 5 * ms, []time.Duration{5 * ms, 5 * ms, 5 * ms}},
		{"a shorter delay does not reorder", "delay=40ms", "delay=1ms", 0, []time.Duration{40 * ms, 40 * ms, 40 * ms}},
		{"what travels keeps its time", "rate=1mbit,delay=40ms", "rate=1mbit,delay=100ms", 15 * ms,
			[]time.Duration{50 * ms, 120 * ms, 130 * ms}},
		{"a trace begins then", "rate=1mbit", "rate=0bit:10ms/1mbit:1s", 5 * ms, []time.Duration{20 * ms, 30 * ms, 40 * ms}},
		{"from the middle of a trace", "rate=0bit:4ms/1mbit:1s", "rate=2mbit", 9 * ms,
			[]time.Duration{11500 * time.Microsecond, 16500 * time.Microsecond, 21500 * time.Microsecond}},
		{"after some periods of a trace", "rate=1mbit:1ms/0bit:1ms", "rate=1mbit", 5 * ms, []time.Duration{12 * ms, 22 * ms, 32 * ms}},
		{"a shorter queue evicts nobody", "rate=1mbit", "rate=1mbit,queue=1ms", 5 * ms, []time.Duration{10 * ms, 20 * ms, 30 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.before, 1)
			for range 3 {
				r.push(step{0, 1250})
			}
			r.until(c.at - 1)
			if err := r.under.Set(r.start.Add(c.at), parse(t, c.after)); err != nil {
				t.Fatal(err)
			}
			var got []time.Duration
			for _, a := range r.run(nil) {
				got = append(got, a.at)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("arrived at %v, want %v", got, c.want)
			}
		})
	}
}

func TestTimeThatGoesBack(t *testing.T) {
	r := newRig(t, "rate=1mbit", 1)
	r.push(step{20 * ms, 1250})
	r.under.Push(r.start, packet(1, 1250))
	r.until(time.Hour)
	if want := []arrival{{0, 30 * ms}, {1, 40 * ms}}; !slices.Equal(r.got, want) {
		t.Errorf("arrived %v, want %v", r.got, want)
	}
}

func TestBounds(t *testing.T) {
	r := newRig(t, "delay=1s", 1)
	for i := range link.MaxHeld + 3 {
		if ok := r.under.Push(r.start, packet(0, 1)); ok != (i < link.MaxHeld) {
			t.Fatalf("packet %d taken: %v", i, ok)
		}
	}
	if r.under.Push(r.start.Add(2*time.Second), packet(0, link.MaxPacket+1)) {
		t.Error("took a packet larger than any can be")
	}
	if c := r.under.Counters(); c.Dropped != 4 || c.Held != link.MaxHeld {
		t.Errorf("dropped %d, held %d; want 4, %d", c.Dropped, c.Held, link.MaxHeld)
	}
}
