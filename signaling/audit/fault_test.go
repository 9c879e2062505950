package audit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/signaling/audit"
)

// fault fails the n-th system call that changes the directory, counted from 1, and those that follow
// until it is mended; it counts also while n is 0.
type fault struct {
	mu    sync.Mutex
	n     int
	calls int
	names []string
}

func (f *fault) ask(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.names = append(f.names, op+" "+name)
	if f.n > 0 && f.calls >= f.n {
		return syscall.ENOSPC
	}
	return nil
}

func (f *fault) set(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.calls, f.names = n, 0, nil
}

func (f *fault) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.names...)
}

// At every write, sync, rename and directory of a run in which tiles become full the disk stops
// working, and works again later: what was acknowledged is there once, what was not is not there,
// and the log goes on. So it is after a crash at that place, too.
func TestDiskFailsAnywhere(t *testing.T) {
	k := newKey(t)
	// 250 records are there; 3 calls bring 12 more, and closing writes all the tiles.
	before := tempDir(t)
	l := open(t, before, options(k))
	appendEvents(t, l, 0, 250)
	closeLog(t, l)
	whole := load(t, before)
	steps := countSteps(t, whole, k)
	for n := 1; n <= steps; n++ {
		f := &fault{}
		dir := tempDir(t)
		whole.store(t, dir)
		l, err := audit.Open(dir, options(k).WithFault(f.ask))
		if err != nil {
			t.Fatal(err)
		}
		f.set(n)
		acknowledged := 250
		for range 3 {
			events := []audit.Event{event(acknowledged), event(acknowledged + 1), event(acknowledged + 2), event(acknowledged + 3)}
			switch err := l.Append(t.Context(), events...); {
			case err == nil:
				acknowledged += len(events)
			case !errors.Is(err, audit.ErrUnavailable):
				t.Fatalf("fault %d: error %v, want ErrUnavailable", n, err)
			}
		}
		checkImage(t, load(t, dir), k, n, acknowledged) // a crash now
		if n <= 6 {                                     // mended before the tiles are written: the same process goes on
			f.set(0)
			appendEvents(t, l, acknowledged, acknowledged+1)
			acknowledged++
			if calls := strings.Join(f.seen(), "\n"); acknowledged < 263 && !strings.HasPrefix(calls, "create journal\n") {
				t.Errorf("fault %d: after a failed write the old journal is used:\n%s", n, calls)
			}
			checkImage(t, load(t, dir), k, n, acknowledged)
		}
		closeLog(t, l)
		checkImage(t, load(t, dir), k, n, acknowledged)
	}
	t.Logf("%d places", steps)
}

// countSteps returns how many system calls there are to fail.
func countSteps(t *testing.T, whole files, k audit.Key) int {
	t.Helper()
	f := &fault{}
	dir := tempDir(t)
	whole.store(t, dir)
	l, err := audit.Open(dir, options(k).WithFault(f.ask))
	if err != nil {
		t.Fatal(err)
	}
	f.set(0)
	for i := range 3 {
		appendEvents(t, l, 250+4*i, 254+4*i)
	}
	closeLog(t, l)
	for _, want := range []string{"sync journal", "write tile/entries/000", "sync tile/0/000", "mkdir tile/1", "rename tile/1/000.p/1",
		"write tile/0/001.p/6", "syncdir tile/entries/001.p", "rename checkpoint", "create journal", "rename journal"} {
		if !strings.Contains(strings.Join(f.seen(), "\n"), want) {
			t.Errorf("no %s", want)
		}
	}
	return len(f.seen())
}

func checkImage(t *testing.T, image files, k audit.Key, n, acknowledged int) {
	t.Helper()
	dir := tempDir(t)
	image.store(t, dir)
	if r := mustVerify(t, dir, k, nil); r.Size != uint64(acknowledged) {
		t.Fatalf("fault %d: %d records, %d were acknowledged", n, r.Size, acknowledged)
	}
	l := open(t, dir, options(k))
	appendEvents(t, l, acknowledged, acknowledged+2)
	for i, r := range readAll(t, l, 0) {
		if r.Event != event(i) {
			t.Fatalf("fault %d: record %d is %+v", n, i, r)
		}
	}
	closeLog(t, l)
	if r := mustVerify(t, dir, k, nil); r.Size != uint64(acknowledged+2) || r.Signed != r.Size {
		t.Fatalf("fault %d: %d records, %d signed, want %d", n, r.Size, r.Signed, acknowledged+2)
	}
}

// A disk that is full when the server starts does not keep it from starting.
func TestOpenOnFullDisk(t *testing.T) {
	k := newKey(t)
	dir := tempDir(t)
	crashed(t, k, 250, 10).store(t, dir)
	f := &fault{n: 1}
	l, err := audit.Open(dir, options(k).WithFault(f.ask))
	if err != nil {
		t.Fatal(err)
	}
	defer closeLog(t, l)
	if err := l.Append(t.Context(), event(260)); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if n := len(readAll(t, l, 0)); n != 260 {
		t.Errorf("%d records, want 260", n)
	}
	f.set(0)
	appendEvents(t, l, 260, 261)
}

// When tiles cannot be written the journal takes records up to a bound, and not one more.
func TestBacklogIsBounded(t *testing.T) {
	k := newKey(t)
	var full atomic.Bool
	full.Store(true)
	dir := tempDir(t)
	l, err := audit.Open(dir, options(k).WithFault(func(_, name string) error {
		if full.Load() && strings.HasPrefix(name, "tile") {
			return syscall.ENOSPC
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	const bound = 64 * 256
	appendEvents(t, l, 0, bound)
	if err := l.Append(t.Context(), event(bound)); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	full.Store(false)
	appendEvents(t, l, bound, bound+1)
	closeLog(t, l)
	if r := mustVerify(t, dir, k, nil); r.Size != bound+1 {
		t.Errorf("%d records, want %d", r.Size, bound+1)
	}
}

// With little space left only what takes access away is recorded, and the warning comes once.
func TestLowSpace(t *testing.T) {
	var log bytes.Buffer
	var percent atomic.Int64
	percent.Store(50)
	opts := options(newKey(t)).WithSpace(func() (float64, error) { return float64(percent.Load()) / 100, nil })
	opts.MinFree, opts.Log = 0.1, slog.New(slog.NewTextHandler(&log, nil))
	registry := prometheus.NewRegistry()
	opts.Metrics = registry
	l, err := audit.Open(tempDir(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	admit, remove := event(0), event(1)
	remove.Name = audit.PersonRemoved
	steps := []struct {
		percent int64
		events  []audit.Event
		ok      bool
	}{
		{10, []audit.Event{admit}, true},
		{9, []audit.Event{admit}, false},
		{9, []audit.Event{remove}, true},
		{9, []audit.Event{remove, admit}, false},
		{5, []audit.Event{admit}, false},
		{11, []audit.Event{admit}, true},
	}
	for i, s := range steps {
		percent.Store(s.percent)
		err := l.Append(t.Context(), s.events...)
		if s.ok && err != nil || !s.ok && !errors.Is(err, audit.ErrUnavailable) {
			t.Errorf("step %d: error %v", i, err)
		}
	}
	if n := len(readAll(t, l, 0)); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
	closeLog(t, l)
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
	for name, want := range map[string]float64{
		"bedside_audit_failures_total low": 3, "bedside_audit_failures_total disk": 0,
		"bedside_audit_records_total": 3, "bedside_audit_free_ratio": 0.11, "bedside_audit_append_seconds": 3,
	} {
		if got := metric(t, registry, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// metric returns the value of a metric, or how often it was observed; a label's value may follow the
// name.
func metric(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	name, label, _ := strings.Cut(name, " ")
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	t.Fatalf("no metric %s %s", name, label)
	return 0
}

// A disk that does not answer makes every Append fail after Options.Patience, those that wait and
// those that come, and none waits when it answers again.
func TestStuckDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, dir := newKey(t), tempDir(t)
		stuck := make(chan struct{})
		var hold atomic.Bool
		l, err := audit.Open(dir, options(k).WithFault(func(op, name string) error {
			if op == "sync" && name == "journal" && hold.Load() {
				<-stuck
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		appendEvents(t, l, 0, 1)
		hold.Store(true)
		began := time.Now()
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() { runStuckAppend(t, l, began) })
		}
		waiting.Wait()
		if err := l.Append(t.Context(), event(9)); !errors.Is(err, audit.ErrUnavailable) || time.Since(began) != 5*time.Second {
			t.Errorf("error %v after %v, want ErrUnavailable at once", err, time.Since(began))
		}
		hold.Store(false)
		close(stuck)
		synctest.Wait()
		if err := l.Append(t.Context(), event(20)); err != nil {
			t.Error(err)
		}
		// What waited was written: the disk was late, not the caller.
		if n := len(readAll(t, l, 0)); n != 12 {
			t.Errorf("%d records, want 12", n)
		}
		closeLog(t, l)
		mustVerify(t, dir, k, nil)
	})
}

func runStuckAppend(t *testing.T, l *audit.Log, began time.Time) {
	if err := l.Append(context.Background(), event(1)); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if waited := time.Since(began); waited != 5*time.Second {
		t.Errorf("waited %v, want 5 s", waited)
	}
}

// The end of a context ends the wait and not the write.
func TestContextEndsTheWait(t *testing.T) {
	hold := make(chan struct{})
	var once sync.Once
	entered := make(chan struct{})
	var on atomic.Bool
	l, err := audit.Open(tempDir(t), options(newKey(t)).WithFault(func(op, name string) error {
		if op == "write" && name == "journal" && on.Load() {
			once.Do(func() { close(entered) })
			<-hold
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	on.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	context.AfterFunc(ctx, func() {})
	answer := make(chan error)
	go func() { runAppend(ctx, l, answer) }()
	<-entered
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want Canceled", err)
	}
	on.Store(false)
	close(hold)
	closeLog(t, l)
	if n := len(readAll(t, l, 0)); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

func runAppend(ctx context.Context, l *audit.Log, answer chan<- error) {
	answer <- l.Append(ctx, event(0))
}

// fill leaves so many bytes of a file system free and returns the file that takes the rest.
func fill(t *testing.T, dir string, left uint64) string {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, s.Bavail*uint64(s.Bsize)-left), 0o600); err != nil {
		t.Fatal(err)
	}
	return ballast
}

// A file system that is really full.
func TestFullFileSystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	k, place := newKey(t), filepath.Join(dir, "audit")
	l, err := audit.Open(place, options(k))
	defer func() {
		if l != nil {
			_ = l.Close() // else the file system is busy
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for round := range 3 {
		ballast := fill(t, dir, 100<<10)
		last := acknowledged + 2000
		for ; acknowledged < last; acknowledged++ {
			if err = l.Append(t.Context(), event(acknowledged)); err != nil {
				break
			}
		}
		if !errors.Is(err, audit.ErrUnavailable) {
			t.Fatalf("round %d: error %v after %d records, want ErrUnavailable", round, err, acknowledged)
		}
		if r := mustVerify(t, place, k, nil); r.Size != uint64(acknowledged) {
			t.Fatalf("round %d: %d records, %d were acknowledged", round, r.Size, acknowledged)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		appendEvents(t, l, acknowledged, acknowledged+1)
		acknowledged++
	}
	for i, r := range readAll(t, l, 0) {
		if r.Event != event(i) {
			t.Fatalf("record %d is %+v", i, r)
		}
	}
	closeLog(t, l)
	if r := mustVerify(t, place, k, nil); r.Size != uint64(acknowledged) {
		t.Errorf("%d records, %d were acknowledged", r.Size, acknowledged)
	}
}
