package bench

import "time"

// Clock is where a Client gets its time from. Inside a testing/synctest bubble SystemClock is the
// bubble's.
type Clock struct {
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// SystemClock returns the clock of package time.
func SystemClock() Clock { return Clock{Now: time.Now, After: time.After} }
