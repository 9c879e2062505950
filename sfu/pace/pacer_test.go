package pace_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/pace"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// send lets a packet pass or wait, and tells which.
func send(t *testing.T, p *pace.Pacer[int], now time.Time, c pace.Class, packet, size int) (passed bool) {
	t.Helper()
	if p.Pass(now, size) {
		return true
	}
	if !p.Put(now, c, packet, size) {
		t.Fatalf("no room for packet %d", packet)
	}
	return false
}

// release takes what leaves at an instant.
func release(p *pace.Pacer[int], now time.Time) (out []int) {
	for {
		x, ok := p.Next(now)
		if !ok {
			return out
		}
		out = append(out, x)
	}
}

// megabit is the estimate with which a packet leaves at 1 Mbit/s, a byte every 8 us.
const megabit = 1_000_000*100/110 + 1

func TestNothingWaits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		bitrate int
		sizes   []int
		passed  int
	}{
		{"on a path of which nothing is known", 0, slices.Repeat([]int{1200}, 1000), 1000},
		{"that is as long as a burst may be", megabit, []int{1200, 1200, 100}, 3},
		{"until the burst is too long", megabit, []int{1200, 1200, 200}, 2},
		{"that comes alone, however slow the path", 1, []int{1200, 1}, 1},
		{"between 500 kbit/s and a tenth more", 300_000, []int{800, 75, 1}, 2},
		{"of a frame of 720p on 2 Mbit/s", 2 * megabit, slices.Repeat([]int{1000}, 5), 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p pace.Pacer[int]
			p.Rate(tt.bitrate)
			passed := 0
			for i, size := range tt.sizes {
				if send(t, &p, start, pace.Picture, i, size) {
					passed++
				}
			}
			if passed != tt.passed || p.Waiting() != (passed < len(tt.sizes)) {
				t.Errorf("%d passed, want %d; waiting: %v", passed, tt.passed, p.Waiting())
			}
		})
	}
}

// A key frame of eight packets: 20 ms of it at once, then a packet every 8 ms.
func TestKeyFrame(t *testing.T) {
	var p pace.Pacer[int]
	p.Rate(megabit)
	var left [10]int
	for i := range 8 {
		send(t, &p, start, pace.Picture, i, 1000)
	}
	for n := range left {
		left[n] = len(release(&p, at(5*n)))
	}
	if want := [...]int{0, 1, 0, 1, 1, 0, 1, 0, 1, 1}; left != want {
		t.Errorf("every 5 ms left %v, want %v", left, want)
	}
	if p.Waiting() {
		t.Error("something waits after 45 ms")
	}
}

func TestNoBurstAfterSilence(t *testing.T) {
	var p pace.Pacer[int]
	p.Rate(megabit)
	for _, ms := range []int{0, 3_600_000} {
		passed := 0
		for i := range 100 {
			if send(t, &p, at(ms), pace.Picture, i, 500) {
				passed++
			}
		}
		if passed != 5 {
			t.Errorf("at %d ms %d passed, want 5", ms, passed)
		}
		p.Drop(func(*int) bool { return true })
	}
}

func TestOrder(t *testing.T) {
	var p pace.Pacer[int]
	p.Rate(megabit)
	send(t, &p, start, pace.Picture, 0, 2500)
	for i := 1; i < 4; i++ {
		send(t, &p, start, pace.Picture, i, 1000)
	}
	for i := 11; i < 13; i++ {
		send(t, &p, start, pace.Repair, i, 1000)
	}
	send(t, &p, at(1), pace.Picture, 4, 10) // would fit, but for those that wait
	var got []int
	for ms := range 100 {
		got = append(got, release(&p, at(ms))...)
	}
	if want := []int{11, 12, 1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("left in the order %v, want %v", got, want)
	}
}

// Sound does not wait, and what does leaves so much later for it, but for ever only where sound is all that the
// path carries.
func TestSoundIsCounted(t *testing.T) {
	var p pace.Pacer[int]
	p.Rate(megabit)
	p.Spend(start, 2500)
	if p.Pass(start, 100) {
		t.Error("behind 20 ms of sound there is room")
	}
	if !p.Pass(at(20), 100) {
		t.Error("20 ms later there is none")
	}
	for ms := range 2000 { // twice as much sound as goes
		p.Spend(at(1000+ms), 250)
		send(t, &p, at(1000+ms), pace.Picture, ms, 10)
		for _, x := range release(&p, at(1000+ms)) {
			if late := time.Duration(ms-x) * time.Millisecond; late > pace.MaxWait {
				t.Fatalf("packet %d left after %v", x, late)
			}
		}
	}
}

// Whatever comes, nothing waits for longer than MaxWait, and what leaves is no more than the rate while
// that holds.
func TestNothingWaitsForLong(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var p pace.Pacer[int]
		p.Rate(40_000 + rng.IntN(2_000_000))
		since := map[int]time.Time{}
		n := 0
		for now := start; now.Before(at(3000)); now = now.Add(pace.Grain) {
			for range rng.IntN(4) {
				n++
				c := pace.Picture
				if rng.IntN(5) == 0 {
					c = pace.Repair
				}
				size := 50 + rng.IntN(1150)
				if p.Pass(now, size) {
					continue
				}
				if p.Put(now, c, n, size) {
					since[n] = now
				}
			}
			for _, x := range release(&p, now) {
				if waited := now.Sub(since[x]); waited > pace.MaxWait+pace.Grain {
					t.Fatalf("seed %d: a packet waited for %v", seed, waited)
				}
				delete(since, x)
			}
		}
		for now := at(3000); now.Before(at(4000)); now = now.Add(pace.Grain) {
			for _, x := range release(&p, now) {
				delete(since, x)
			}
		}
		if len(since) != 0 || p.Waiting() {
			t.Errorf("seed %d: %d packets are still there, waiting: %v", seed, len(since), p.Waiting())
		}
	}
}

// What leaves in any time is what the rate allows in it and one burst.
func TestRate(t *testing.T) {
	var p pace.Pacer[int]
	p.Rate(megabit)
	rng := rand.New(rand.NewPCG(2, 2))
	type gone struct{ ms, bytes int }
	var all []gone
	sizes := map[int]int{}
	for ms := range 5000 {
		for rng.IntN(12) == 0 { // 0.8 Mbit/s on average
			i, size := len(sizes), 100+rng.IntN(1100)
			sizes[i] = size
			if send(t, &p, at(ms), pace.Picture, i, size) {
				all = append(all, gone{ms, size})
			}
		}
		for _, x := range release(&p, at(ms)) {
			all = append(all, gone{ms, sizes[x]})
		}
	}
	for i := range all {
		sum := 0
		for _, g := range all[i:] {
			sum += g.bytes
			if allowed := 2500 + (g.ms-all[i].ms+1)*125; sum > allowed {
				t.Fatalf("%d bytes from %d to %d ms, %d are allowed", sum, all[i].ms, g.ms, allowed)
			}
		}
	}
}

func TestFull(t *testing.T) {
	var p pace.Pacer[int]
	p.Rate(40_000)
	p.Spend(start, 10_000)
	n := 0
	for p.Put(start, pace.Picture, n, 1000) {
		n++
	}
	if n != pace.MaxBytes/1000 {
		t.Errorf("%d packets wait, want %d", n, pace.MaxBytes/1000)
	}
	odd := func(x *int) bool { return *x%2 == 1 }
	if !p.Holds(odd) {
		t.Error("no odd one waits")
	}
	p.Drop(odd)
	if p.Holds(odd) || !p.Holds(func(x *int) bool { return *x == 4 }) {
		t.Error("not the odd ones were dropped")
	}
	for i := range n / 2 {
		if !p.Put(start, pace.Repair, 1000+i, 1000) {
			t.Fatalf("room for %d packets after %d were dropped", i, n/2)
		}
	}
	p.Rate(0)
	if got := release(&p, start); len(got) != n || p.Waiting() {
		t.Errorf("%d left when the rate was lifted, want %d", len(got), n)
	}
}

func TestAllocations(t *testing.T) {
	var p pace.Pacer[[8]int]
	p.Rate(1_000_000)
	now := start
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(10 * time.Millisecond)
		p.Spend(now, 100)
		if !p.Pass(now, 1000) {
			t.Fatal("does not fit")
		}
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkPass(b *testing.B) {
	for _, tt := range []struct {
		name    string
		bitrate int
	}{{"unpaced", 0}, {"paced", 1_000_000_000}} {
		b.Run(tt.name, func(b *testing.B) {
			var p pace.Pacer[int]
			p.Rate(tt.bitrate)
			b.ReportAllocs()
			now := start
			for b.Loop() {
				now = now.Add(20 * time.Microsecond)
				if !p.Pass(now, 1000) {
					b.Fatal("does not fit")
				}
			}
		})
	}
}
