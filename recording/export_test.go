package recording

import (
	"os"
	"sync/atomic"
)

// What a participant keeps at most, and what a frame that waits counts beside its data.
const (
	MaxKept   = maxKept
	FrameCost = frameCost
)

// SlowDisk makes every sync of parts do something first. To be called before the first recording.
func (s *Store) SlowDisk(first func()) {
	sync := s.sync
	s.sync = func(files []*os.File) error {
		first()
		return sync(files)
	}
}

// Crowded makes the disk of a store with a floor as full as the caller says. To be called before the first
// recording.
func (s *Store) Crowded(full *atomic.Bool) {
	s.space = func(string) (free, size uint64, err error) {
		if full.Load() {
			return 0, 100, nil
		}
		return 100, 100, nil
	}
}
