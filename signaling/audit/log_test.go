package audit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/audit"
)

const origin = "audit.example.org/north"

// tempDir returns a directory in memory where there is one: syncs cost the tests that are not about
// them most of their time.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "audit")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func newKey(t testing.TB) audit.Key {
	t.Helper()
	k, err := audit.NewKey(origin, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func options(k audit.Key) audit.Options {
	return audit.Options{Node: "n1", Key: k, Clock: time.Now, Log: slog.New(slog.DiscardHandler)}
}

func open(t testing.TB, dir string, opts audit.Options) *audit.Log {
	t.Helper()
	l, err := audit.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t testing.TB, l *audit.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func appendEvents(t testing.TB, l *audit.Log, from, to int) {
	t.Helper()
	for from < to {
		var events []audit.Event
		for ; from < to && len(events) < audit.MaxEvents; from++ {
			events = append(events, event(from))
		}
		if err := l.Append(context.Background(), events...); err != nil {
			t.Fatal(err)
		}
	}
}

// readAll reads with pages of the given size and checks that every record is there, once, in order.
func readAll(t testing.TB, l *audit.Log, limit int) []audit.Record {
	t.Helper()
	var all []audit.Record
	q := audit.Query{Limit: limit}
	for {
		p, err := l.Read(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Records {
			if r.Index != uint64(len(all)) {
				t.Fatalf("record %d in the place of record %d", r.Index, len(all))
			}
			all = append(all, r)
		}
		if p.Next == p.Size {
			return all
		}
		if p.Next <= q.After {
			t.Fatalf("reading does not get on at %d of %d", p.Next, p.Size)
		}
		q.After = p.Next
	}
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	for _, size := range []int{0, 1, 255, 256, 257, 511, 512, 700} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			dir, k := filepath.Join(tempDir(t), "audit"), newKey(t)
			l := open(t, dir, options(k))
			appendEvents(t, l, 0, size/2)
			closeLog(t, l)
			l = open(t, dir, options(k))
			appendEvents(t, l, size/2, size)
			check := func() {
				t.Helper()
				all := readAll(t, l, 100)
				if len(all) != size {
					t.Fatalf("%d records, want %d", len(all), size)
				}
				for i, r := range all {
					if r.Event != event(i) || r.Node != "n1" {
						t.Fatalf("record %d is %+v", i, r)
					}
				}
			}
			check()
			closeLog(t, l)
			l = open(t, dir, options(k))
			check()
		})
	}
}

func TestReadFilters(t *testing.T) {
	l := open(t, tempDir(t), options(newKey(t)))
	appendEvents(t, l, 0, 300)
	p, err := l.Read(t.Context(), audit.Query{After: 250, Consultation: "c3", Tenant: "north", Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, p, 270, 300, 255, 262, 269)
	p, err = l.Read(t.Context(), audit.Query{Tenant: "south"})
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, p, 300, 300)
	p, err = l.Read(t.Context(), audit.Query{After: 999})
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, p, 300, 300)
}

// The events of one call stay together however many calls there are.
func TestCallsAreAdjacent(t *testing.T) {
	l := open(t, tempDir(t), options(newKey(t)))
	const callers, calls, each = 16, 20, 7
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() { runCaller(t, l, c, calls, each) })
	}
	group.Wait()
	all := readAll(t, l, 0)
	if len(all) != callers*calls*each {
		t.Fatalf("%d records, want %d", len(all), callers*calls*each)
	}
	for i := 0; i < len(all); i += each {
		for _, r := range all[i : i+each] {
			if r.Request != all[i].Request {
				t.Fatalf("record %d of request %s is among those of %s", r.Index, r.Request, all[i].Request)
			}
		}
	}
}

func runCaller(t *testing.T, l *audit.Log, caller, calls, each int) {
	for n := range calls {
		events := make([]audit.Event, each)
		for i := range events {
			events[i] = event(i)
			events[i].Request = fmt.Sprintf("r-%d-%d", caller, n)
		}
		if err := l.Append(context.Background(), events...); err != nil {
			t.Error(err)
		}
	}
}

func TestOneProcessWrites(t *testing.T) {
	dir, k := tempDir(t), newKey(t)
	l := open(t, dir, options(k))
	if _, err := audit.Open(dir, options(k)); !errors.Is(err, audit.ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
	closeLog(t, l)
	open(t, dir, options(k))
}

func TestClosed(t *testing.T) {
	l := open(t, tempDir(t), options(newKey(t)))
	closeLog(t, l)
	if err := l.Append(t.Context(), event(0)); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	closeLog(t, l)
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(tempDir(t), "audit")
	l := open(t, dir, options(newKey(t)))
	appendEvents(t, l, 0, 300)
	closeLog(t, l)
	files := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
		files++
		return nil
	})
	if err != nil || files < 8 {
		t.Errorf("%d files, error %v", files, err)
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(tempDir(t), "keys", "audit.key")
	first, err := audit.LoadOrCreateKey(path, origin)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	again, err := audit.LoadOrCreateKey(path, "another.example.org")
	if err != nil || again.Origin() != origin || again.VerifierKeys()[0] != first.VerifierKeys()[0] {
		t.Errorf("loaded %v, error %v", again.VerifierKeys(), err)
	}

	// What the first key signed stays valid under the second.
	dir := tempDir(t)
	l := open(t, dir, options(first))
	appendEvents(t, l, 0, 10)
	closeLog(t, l)
	second, err := audit.RotateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(second.VerifierKeys()); n != 2 || second.VerifierKeys()[1] != first.VerifierKeys()[0] {
		t.Errorf("%d verifier keys", n)
	}
	l = open(t, dir, options(second))
	appendEvents(t, l, 10, 20)
	if n := len(readAll(t, l, 0)); n != 20 {
		t.Errorf("%d records, want 20", n)
	}
	closeLog(t, l)
	if _, err := audit.Open(dir, options(newKey(t))); !errors.Is(err, audit.ErrTampered) {
		t.Errorf("opened with a key that signed nothing: error %v, want ErrTampered", err)
	}

	if err := os.WriteFile(path, []byte("PRIVATE+KEY\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.LoadOrCreateKey(path, origin); err == nil {
		t.Error("took a broken key file")
	}
}
