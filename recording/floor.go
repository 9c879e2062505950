package recording

import (
	"sync/atomic"
	"time"
)

// floor says whether less of the disk is free than must be. One recording asks now and then, for all of the store: who
// asks a disk that does not answer waits, and the others go by what is known until one of them asks again.
type floor struct {
	asked atomic.Int64 // when, Unix ns
	under atomic.Bool
}

// below asks if it is time to.
func (f *floor) below(now time.Time, crowded func() error) bool {
	was := f.asked.Load()
	if now.Sub(time.Unix(0, was)).Abs() >= floorEvery && f.asked.CompareAndSwap(was, now.UnixNano()) {
		f.under.Store(crowded() != nil)
	}
	return f.under.Load()
}
