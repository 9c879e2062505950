package recording_test

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/sfu/codec"
)

// TestEraseAtOnce has several erase one recording while others read it and replace its key: nobody is told anything
// but that it is there or that it is gone, whoever has begun to read a part gets all of it, and no key is left, nor
// does one come back.
func TestEraseAtOnce(t *testing.T) {
	for range 5 {
		eraseAtOnce(t)
	}
}

func eraseAtOnce(t *testing.T) {
	t.Helper()
	h, dir := newHospital(t), t.TempDir()
	s := open(t, options(t, h, dir))
	x := start(t, s, nil)
	play(100*time.Millisecond, newSender(x, "a", codec.Mic, codec.Opus, time.Now()))
	m := stop(t, x)
	if len(m.Parts) != 1 {
		t.Fatalf("parts %+v", m.Parts)
	}
	begun, size, err := s.Part(m.ID, 0) // by somebody who is slow
	if err != nil {
		t.Fatal(err)
	}
	wrapped := mustWrap(t, h)
	begin := make(chan struct{})
	var all sync.WaitGroup
	attempt := func(what string, do func() error) {
		runAttempt := func() {
			<-begin
			for range 20 {
				if err := do(); err != nil && !errors.Is(err, recording.ErrErased) && !errors.Is(err, recording.ErrNotFound) {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		all.Go(runAttempt)
	}
	for range 3 {
		attempt("erase", func() error { return s.Erase(m.ID, "asked for") })
	}
	attempt("replace the key", func() error { return s.PutKey(m.ID, wrapped) })
	attempt("destroy former keys", func() error { return s.ForgetKeys(m.ID) })
	attempt("read the key", func() error { _, err := s.Key(m.ID); return err })
	attempt("read a former key", func() error { _, err := s.FormerKey(m.ID, 1); return err })
	attempt("read the manifest", func() error {
		got, err := s.Manifest(m.ID)
		if err == nil {
			err = got.Verify(nil)
		}
		return err
	})
	attempt("read a part", func() error {
		r, size, err := s.Part(m.ID, 0)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if int64(len(b)) != size {
			err = errors.Join(err, errors.New("less than there was"))
		}
		return errors.Join(err, r.Close())
	})
	close(begin)
	all.Wait()
	b, err := io.ReadAll(begun)
	if err = errors.Join(err, begun.Close()); err != nil || int64(len(b)) != size {
		t.Errorf("whoever had begun to read has %d bytes of %d, %v", len(b), size, err)
	}
	if got, err := s.Manifest(m.ID); err != nil || got.State != recording.Erased || got.Verify(nil) != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if left := files(t, dir, m.ID); len(left) != 1 || left[0] != m.ID+".json" {
		t.Errorf("left: %q", left)
	}
}
