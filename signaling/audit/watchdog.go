package audit

import (
	"sync"
	"time"
)

// watchdog notices that the writer has been in the operating system for too long. A disk that does
// not answer would otherwise take every consultation with it, one waiting Append after the other.
type watchdog struct {
	patience time.Duration

	mu    sync.Mutex
	turn  uint64        // counts begin and end, so that a late timer is known as such
	bark  chan struct{} // closed while the disk is silent
	quiet bool          // bark is not closed
	timer *time.Timer
}

func newWatchdog(patience time.Duration) *watchdog {
	return &watchdog{patience: patience, bark: make(chan struct{}), quiet: true}
}

// barked returns a channel that is closed, or will be, when the disk is silent for too long.
func (d *watchdog) barked() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bark
}

// begin says that the writer goes to the disk.
func (d *watchdog) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn++
	turn := d.turn
	d.timer = time.AfterFunc(d.patience, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.turn == turn && d.quiet {
			d.quiet = false
			close(d.bark)
		}
	})
}

// end says that it came back; from then on Append works again. It tells whether it took too long.
func (d *watchdog) end() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn++
	d.timer.Stop()
	late := !d.quiet
	if late {
		d.bark, d.quiet = make(chan struct{}), true
	}
	return late
}
