package recording

import (
	"sync"
	"time"
)

// stall notices a look that takes too long. Nothing runs for that while all is well.
type stall struct {
	timer *time.Timer

	mu    sync.Mutex
	since time.Time // when the look began that goes on; zero: none does
	told  bool
}

// begin tells that a look begins; tell is called, in a goroutine of its own, if it is not over in time.
func (s *stall) begin(clock func() time.Time, tell func()) {
	s.mu.Lock()
	s.since = clock()
	s.mu.Unlock()
	if s.timer != nil {
		s.timer.Reset(slowAfter)
		return
	}
	s.timer = time.AfterFunc(slowAfter, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.since.IsZero() && clock().Sub(s.since) >= slowAfter && !s.told { // or that look has ended just now
			s.told = true
			tell()
		}
	})
}

// over tells that the look has ended; tell is called if somebody was told of it. Nothing is told afterwards.
func (s *stall) over(tell func()) {
	s.timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Time{}
	if s.told {
		s.told = false
		tell()
	}
}
