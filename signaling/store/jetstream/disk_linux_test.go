package jetstream_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/store"
)

// A full disk is told at once, what is there can be read, and when there is room again the store
// goes on by itself.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("SKIPPED: a small disk needs the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	s := open(t, options(filepath.Join(disk, "state")))
	t.Cleanup(func() { shut(t, s) })
	value := make([]byte, 100<<10)
	kept := 0
	var err error
	for ; err == nil; kept++ {
		if _, err = s.Create(t.Context(), bucket, fmt.Sprint(kept), value); kept > 20 {
			t.Fatal("2 MB hold more than 2 MB")
		}
	}
	if kept--; !errors.Is(err, store.ErrUnavailable) || kept < 5 {
		t.Fatalf("entry %d: %v", kept, err)
	}
	until(t, "reading", func() bool { _, err := s.Get(t.Context(), bucket, "0"); return err == nil })
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	until(t, "writing", func() bool {
		_, err := s.Create(t.Context(), bucket, "new", value)
		return err == nil || errors.Is(err, store.ErrExists)
	})
	for i := range kept {
		if e, err := s.Get(t.Context(), bucket, fmt.Sprint(i)); err != nil || len(e.Value) != len(value) {
			t.Errorf("entry %d: %d bytes, %v", i, len(e.Value), err)
		}
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is not possible after a minute", what)
		}
	}
}
