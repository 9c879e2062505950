package sim

import (
	"testing/synctest"
	"time"
)

// Advance lets d of virtual time pass and waits until everything that happens in it has happened. It
// is the only place that sleeps: inside a bubble that is what moves the clock.
func Advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
