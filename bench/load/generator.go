package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/result"
)

const (
	// mostCPU is the share of its cores above which the generator may be what is measured.
	mostCPU = 0.8
	// mostLate is how late the 99th percentile of what it sends may be.
	mostLate = 2 * time.Millisecond
	// mostly is the share of what people send that a recorder must have written by the end of the hold: the
	// headers of RTP are not, and the last second may be on its way.
	mostly = 0.85
	// beat is that of the metronome.
	beat = 5 * time.Millisecond
)

// metronome measures by how much the generator misses the times at which it wants to act: the
// scheduling error of everything that it sends, whatever it is.
type metronome struct {
	clock bench.Clock
	mu    sync.Mutex
	late  hist.Histogram
}

// run beats until ctx ends.
func (m *metronome) run(ctx context.Context) {
	due := m.clock.Now().Add(beat)
	for {
		select {
		case <-m.clock.After(due.Sub(m.clock.Now())):
		case <-ctx.Done():
			return
		}
		now := m.clock.Now()
		m.mu.Lock()
		m.late.Add(max(0, now.Sub(due)))
		m.mu.Unlock()
		for !now.Before(due) { // beats that were missed are late as one
			due = due.Add(beat)
		}
	}
}

// take returns what was counted since the last call.
func (m *metronome) take() hist.Histogram {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.late
	m.late = hist.Histogram{}
	return out
}

// judge fills in why the run is invalid: what a generator measures that is short of processor time is
// itself.
func judge(g *result.Generator, late *hist.Histogram) {
	g.LateP50, g.LateP99, g.LateMax = result.Duration(late.Quantile(0.5)), result.Duration(late.Quantile(0.99)), result.Duration(late.Max())
	if g.CPUShare > mostCPU {
		g.Invalid = append(g.Invalid, fmt.Sprintf("the generator used %.0f %% of its %.3g cores, at most %.0f %% is sound", g.CPUShare*100, g.Cores, mostCPU*100))
	}
	if p99 := time.Duration(g.LateP99); p99 > mostLate {
		g.Invalid = append(g.Invalid, fmt.Sprintf("the generator's sending was %v late (p99), at most %v is sound", p99.Round(10*time.Microsecond), mostLate))
	}
}

// share is what cpu during wall is of so many cores; 0 where nothing is known.
func share(cpu, wall time.Duration, cores float64) float64 {
	if wall <= 0 || cores <= 0 {
		return 0
	}
	return cpu.Seconds() / wall.Seconds() / cores
}
