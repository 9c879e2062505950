package jetstream_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/store/jetstream"
	"github.com/bedside-video/bedside/signaling/store/storetest"
)

const bucket = store.Bucket("things")

// NATS keeps a clock in a goroutine of its package, which must not start inside a synctest bubble:
// it would never end there.
func TestMain(m *testing.M) {
	ats.Register()
	os.Exit(m.Run())
}

func options(dir string) jetstream.Options {
	return jetstream.Options{Dir: dir, EntriesPerBucket: 10_000, BytesPerBucket: 64 << 20, Log: slog.New(slog.DiscardHandler)}
}

func open(t testing.TB, o jetstream.Options) *jetstream.Store {
	t.Helper()
	s, err := jetstream.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shut(t testing.TB, s *jetstream.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func create(t testing.TB, s store.Store, key string, value []byte) uint64 {
	t.Helper()
	revision, err := s.Create(t.Context(), bucket, key, value)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func wantEntry(t testing.TB, s store.Store, key, value string, revision uint64) {
	t.Helper()
	e, err := s.Get(t.Context(), bucket, key)
	if err != nil || string(e.Value) != value || e.Revision != revision {
		t.Errorf("%s: %q at %d, %v; want %q at %d", key, e.Value, e.Revision, err, value, revision)
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s := open(t, options(t.TempDir()))
		t.Cleanup(func() { shut(t, s) })
		return s
	})
}

func TestLargestValue(t *testing.T) {
	s := open(t, options(t.TempDir()))
	defer shut(t, s)
	value := make([]byte, store.MaxValueBytes)
	revision := create(t, s, strings.Repeat("k", store.MaxKeyBytes), value)
	wantEntry(t, s, strings.Repeat("k", store.MaxKeyBytes), string(value), revision)
}

// A bubble ends only when every goroutine in it has: the deadlock panic is the leak test.
func TestCloseLeavesNothingRunning(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, options(dir))
		create(t, s, "a", nil)
		<-time.After(time.Hour) // virtual, for whatever NATS does by and by
		shut(t, s)
		if err := s.Ready(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("ready after close: %v", err)
		}
		if _, err := s.Get(t.Context(), bucket, "a"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("get after close: %v", err)
		}
	})
}

func TestOpenedAgain(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
			s := open(t, options(dir))
			create(t, s, "deleted", []byte("1"))
			first := create(t, s, "updated", []byte("1"))
			second, err := s.Update(t.Context(), bucket, "updated", []byte("2"), first)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Delete(t.Context(), bucket, "deleted"); err != nil {
				t.Fatal(err)
			}
			if killed { // what is on disk without a farewell
				dead := t.TempDir()
				if err := os.CopyFS(filepath.Join(dead, "copy"), os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				shut(t, s)
				dir = filepath.Join(dead, "copy")
			} else {
				shut(t, s)
			}
			s = open(t, options(dir))
			defer shut(t, s)
			if err := s.Ready(); err != nil {
				t.Error(err)
			}
			wantEntry(t, s, "updated", "2", second)
			if _, err := s.Get(t.Context(), bucket, "deleted"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("what was deleted: %v", err)
			}
			if third := create(t, s, "new", nil); third <= second {
				t.Errorf("revision %d after %d", third, second)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	ctx := t.Context()
	o := options(t.TempDir())
	o.EntriesPerBucket, o.BytesPerBucket = 3, 1<<20
	s := open(t, o)
	defer shut(t, s)
	wantFull := func(what string, b store.Bucket, key string, value []byte) {
		t.Helper()
		if _, err := s.Create(ctx, b, key, value); !errors.Is(err, store.ErrFull) {
			t.Errorf("%s: %v, want %v", what, err, store.ErrFull)
		}
	}
	revision := create(t, s, "0", nil)
	create(t, s, "1", nil)
	create(t, s, "2", nil)
	wantFull("a fourth entry", bucket, "3", nil)
	if _, err := s.Create(ctx, bucket, "0", nil); !errors.Is(err, store.ErrExists) {
		t.Errorf("what exists: %v, want %v", err, store.ErrExists)
	}
	if _, err := s.Update(ctx, bucket, "0", []byte("new"), revision); err != nil {
		t.Errorf("an update of a full bucket: %v", err)
	}
	for range 2 { // the second finds nothing and must not make room twice
		if err := s.Delete(ctx, bucket, "1"); err != nil {
			t.Fatal(err)
		}
	}
	create(t, s, "3", nil)
	wantFull("a fourth entry again", bucket, "4", nil)

	const half = store.Bucket("large")
	if _, err := s.Create(ctx, half, "0", make([]byte, 600<<10)); err != nil {
		t.Fatal(err)
	}
	wantFull("more bytes", half, "1", make([]byte, 600<<10))
	for i := range 14 {
		if _, err := s.Create(ctx, store.Bucket(fmt.Sprint("b", i)), "0", nil); err != nil {
			t.Fatalf("bucket %d: %v", i+3, err)
		}
	}
	wantFull("a 17th bucket", "more", "0", nil)
	if err := s.Ready(); err != nil {
		t.Errorf("being full is no failure: %v", err)
	}
}

// Records come and go; the disk must not remember them all.
func TestDiskIsGivenBack(t *testing.T) {
	const (
		rounds = 3000
		alive  = 100
		bound  = 12 << 20 // one block of 8 MB and what is half dead
	)
	dir := t.TempDir()
	s := open(t, options(dir))
	defer shut(t, s)
	value := make([]byte, 2000)
	highest, written := int64(0), 0
	for i := range rounds {
		key := fmt.Sprint(i)
		revision := create(t, s, key, value)
		for range 2 {
			var err error
			if revision, err = s.Update(t.Context(), bucket, key, value, revision); err != nil {
				t.Fatal(err)
			}
		}
		written += 3 * len(value)
		if i >= alive {
			if err := s.Delete(t.Context(), bucket, fmt.Sprint(i-alive)); err != nil {
				t.Fatal(err)
			}
		}
		if i%100 == 0 {
			highest = max(highest, size(t, dir))
		}
	}
	t.Logf("figure: %d kB written in %d creations, updates and deletions, %d kB on disk at most, %d kB at the end",
		written>>10, 4*rounds, highest>>10, size(t, dir)>>10)
	if highest > bound {
		t.Errorf("%d bytes on disk, want %d at most", highest, bound)
	}
	n := 0
	if err := s.Each(t.Context(), bucket, func(store.Entry) error { n++; return nil }); err != nil || n != alive {
		t.Errorf("%d entries, %v; want %d", n, err, alive)
	}
}

func size(t *testing.T, dir string) (n int64) {
	t.Helper()
	walk(t, dir, func(_ string, info fs.FileInfo) {
		if !info.IsDir() {
			n += info.Size()
		}
	})
	return n
}

func walk(t *testing.T, dir string, f func(path string, info fs.FileInfo)) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info fs.FileInfo, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // NATS replaces files
			return nil
		}
		if err == nil {
			f(path, info)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNobodyElseMayRead(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(dir))
	create(t, s, "a", nil)
	shut(t, s)
	seen := 0
	walk(t, dir, func(path string, info fs.FileInfo) {
		seen++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
	})
	if seen < 5 {
		t.Errorf("%d files and directories", seen)
	}
}
