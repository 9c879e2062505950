package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/audit"
)

// BenchmarkAppendAtRate appends one event 200 times a second, as 200 joins a second would, and
// reports how long each waits for the disk.
func BenchmarkAppendAtRate(b *testing.B) {
	for _, rate := range []int{200, 1000} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			l := open(b, b.TempDir(), options(newKey(b)))
			took := make([]time.Duration, b.N)
			tick := time.NewTicker(time.Second / time.Duration(rate))
			defer tick.Stop()
			var group sync.WaitGroup
			for i := range took {
				<-tick.C
				group.Go(func() { runTimed(b, l, i, &took[i]) })
			}
			group.Wait()
			reportPercentiles(b, took)
		})
	}
}

func runTimed(b *testing.B, l *audit.Log, i int, took *time.Duration) {
	began := time.Now()
	if err := l.Append(context.Background(), event(i)); err != nil {
		b.Error(err)
	}
	*took = time.Since(began)
}

// BenchmarkDisk is what the disk takes for one record at the same rate, without a log: the yardstick.
// As with a log, a record that comes while the disk is slow waits for those before it.
func BenchmarkDisk(b *testing.B) {
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "file"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	took := make([]time.Duration, b.N)
	tick := time.NewTicker(time.Second / 200)
	defer tick.Stop()
	var one sync.Mutex
	var group sync.WaitGroup
	for i := range took {
		<-tick.C
		group.Go(func() { runSync(b, f, &one, &took[i]) })
	}
	group.Wait()
	reportPercentiles(b, took)
}

func runSync(b *testing.B, f *os.File, one *sync.Mutex, took *time.Duration) {
	began := time.Now()
	one.Lock()
	defer one.Unlock()
	_, err := f.Write(make([]byte, 600))
	if err := errors.Join(err, f.Sync()); err != nil {
		b.Error(err)
	}
	*took = time.Since(began)
}

// BenchmarkAppendFull appends as fast as so many callers can, one event a call.
func BenchmarkAppendFull(b *testing.B) {
	for _, callers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l := open(b, b.TempDir(), options(newKey(b)))
			took := make([]time.Duration, b.N)
			var next atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			var group sync.WaitGroup
			for range callers {
				group.Go(func() { runFull(b, l, &next, took) })
			}
			group.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			reportPercentiles(b, took)
		})
	}
}

func runFull(b *testing.B, l *audit.Log, next *atomic.Int64, took []time.Duration) {
	for {
		i := int(next.Add(1)) - 1
		if i >= len(took) {
			return
		}
		runTimed(b, l, i, &took[i])
	}
}

func reportPercentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
}

// BenchmarkVerify checks a log of 10,000 records.
func BenchmarkVerify(b *testing.B) {
	dir, k := b.TempDir(), newKey(b)
	l := open(b, dir, options(k))
	const records = 10_000
	appendEvents(b, l, 0, records)
	closeLog(b, l)
	for b.Loop() {
		mustVerify(b, dir, k, nil)
	}
	b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkRead reads pages of 1,000 records from tiles.
func BenchmarkRead(b *testing.B) {
	dir, k := b.TempDir(), newKey(b)
	l := open(b, dir, options(k))
	appendEvents(b, l, 0, 10_000)
	closeLog(b, l)
	l = open(b, dir, options(k))
	for b.Loop() {
		if _, err := l.Read(context.Background(), audit.Query{After: 2000}); err != nil {
			b.Fatal(err)
		}
	}
}
