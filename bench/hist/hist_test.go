package hist_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/hist"
)

func TestQuantilesAreWithinOnePercent(t *testing.T) {
	draws := map[string]func(*rand.Rand) time.Duration{
		"uniform":     func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(time.Second))) },
		"exponential": func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(3*time.Millisecond)) },
		"long tail":   func(r *rand.Rand) time.Duration { return time.Duration(math.Exp(r.NormFloat64()*3) * 1e6) },
		"nanoseconds": func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(200)) },
	}
	for name, draw := range draws {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var h hist.Histogram
			var all []time.Duration
			for range 20_000 {
				d := draw(r)
				h.Add(d)
				all = append(all, d)
			}
			slices.Sort(all)
			for _, share := range []float64{0, 0.001, 0.5, 0.9, 0.99, 0.999, 0.9999, 1} {
				want := all[max(0, int(math.Ceil(share*float64(len(all))))-1)]
				got := h.Quantile(share)
				if off := math.Abs(float64(got - want)); off > 0.008*float64(want) {
					t.Errorf("quantile %v is %v, want %v: %.2f %% off", share, got, want, 100*off/float64(want))
				}
			}
			if h.Min() != all[0] || h.Max() != all[len(all)-1] || h.Count() != 20_000 {
				t.Errorf("%d from %v to %v, want %d from %v to %v", h.Count(), h.Min(), h.Max(), len(all), all[0], all[len(all)-1])
			}
		})
	}
}

func TestMergedIsAsIfAddedToOne(t *testing.T) {
	var one, a, b hist.Histogram
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 5000 {
		d := time.Duration(r.ExpFloat64() * 1e6)
		one.Add(d)
		if i%3 == 0 {
			a.Add(d)
		} else {
			b.Add(d)
		}
	}
	sum := a.Clone()
	sum.Merge(&b)
	sum.Merge(nil)
	for share := 0.0; share <= 1; share += 0.01 {
		if got, want := sum.Quantile(share), one.Quantile(share); got != want {
			t.Errorf("quantile %v is %v merged, %v in one", share, got, want)
		}
	}
	if sum.Count() != one.Count() || sum.Min() != one.Min() || sum.Max() != one.Max() {
		t.Errorf("merged: %d %v %v, in one: %d %v %v", sum.Count(), sum.Min(), sum.Max(), one.Count(), one.Min(), one.Max())
	}
	if off := (sum.Mean() - one.Mean()).Abs(); off > time.Nanosecond {
		t.Errorf("means differ by %v", off)
	}
	if a.Count()+b.Count() != sum.Count() {
		t.Error("merging changed what was merged")
	}
	a.Reset()
	if a.Count() != 0 || a.Quantile(0.5) != 0 || a.Max() != 0 {
		t.Error("something is left after Reset")
	}
	a.Merge(&one)
	if a.Count() != one.Count() || a.Quantile(0.9) != one.Quantile(0.9) || a.Min() != one.Min() {
		t.Error("Reset left something in the buckets")
	}
}

func TestEdges(t *testing.T) {
	var h hist.Histogram
	if h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Min() != 0 || h.Max() != 0 || (*hist.Histogram)(nil).Clone().Count() != 0 {
		t.Error("an empty histogram has figures")
	}
	h.Add(-time.Second)
	h.AddN(time.Hour*10_000, 3)
	h.AddN(time.Second, 0)
	if h.Count() != 4 || h.Min() != 0 || h.Max() < 30*time.Minute || h.Quantile(1) != h.Max() {
		t.Errorf("%d from %v to %v", h.Count(), h.Min(), h.Max())
	}
	var same hist.Histogram
	same.AddN(1234567*time.Nanosecond, 1000)
	for _, share := range []float64{0, 0.5, 0.999, 1} {
		if got := same.Quantile(share); got != 1234567 {
			t.Errorf("quantile %v of equal durations is %v", share, got)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	var h hist.Histogram
	b.ReportAllocs()
	for i := range b.N {
		h.Add(time.Duration(i%5000) * time.Microsecond)
	}
}
