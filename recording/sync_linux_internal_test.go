package recording

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// Everybody hears of their own file, many at once, and more than the kernel takes.
func TestSyncer(t *testing.T) {
	s := newSyncer()
	defer s.close()
	if s.context == 0 {
		t.Skip("SKIPPED: the kernel gives this process no asynchronous I/O; threads wait instead")
	}
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 3 * maxSyncs {
		f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		all.Go(func() {
			for range 5 {
				if _, err := f.WriteString("written"); err != nil {
					t.Error(err)
				}
				if err := s.sync([]*os.File{f}); err != nil {
					t.Errorf("file %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	if len(s.results) != 0 {
		t.Errorf("%d results are left", len(s.results))
	}
}

func TestSyncerSaysWhatIsWrong(t *testing.T) {
	s := newSyncer()
	defer s.close()
	f, err := os.Create(filepath.Join(t.TempDir(), "closed"))
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if err := s.sync([]*os.File{f}); err == nil || errors.Is(err, syscall.EBADF) { // not that of whatever has its number now
		t.Errorf("a closed file: %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(r.Close(), w.Close()) }()
	if err := s.sync([]*os.File{w}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a pipe: %v", err)
	}
	without := &syncer{} // no context: a thread waits
	f, err = os.Create(filepath.Join(t.TempDir(), "plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := without.sync([]*os.File{f}); err != nil {
		t.Errorf("without: %v", err)
	}
}

// More files at once than one batch has, and one of them closed: all others are synced, and it is told.
func TestSyncerOfMany(t *testing.T) {
	s := newSyncer()
	defer s.close()
	dir := t.TempDir()
	var files []*os.File
	for i := range 2*maxSyncs + 1 {
		f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		files = append(files, f)
	}
	for range 3 {
		if err := s.sync(files); err != nil {
			t.Fatal(err)
		}
	}
	if s.context != 0 && (len(s.idle) != 1 || s.next != 3*uint64(len(files))) {
		t.Errorf("%d waiters, %d asked for: one after another needs one, and asks once for each", len(s.idle), s.next)
	}
	_ = files[maxSyncs+1].Close()
	if err := s.sync(files); !errors.Is(err, os.ErrClosed) {
		t.Errorf("one closed: %v", err)
	}
	if err := s.sync(nil); err != nil {
		t.Errorf("none: %v", err)
	}
	if len(s.results) != 0 {
		t.Errorf("%d results are left", len(s.results))
	}
}
