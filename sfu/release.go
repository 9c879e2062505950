package sfu

import (
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/pace"
)

// releaseInterval is pace.Grain, but for a little: no other tick is a multiple of it (see probeInterval).
const releaseInterval = pace.Grain - 100*time.Microsecond

// release lets what waits for its peers' paths leave in time. Its timer runs only while something does, one for
// all peers of a room.
type release struct {
	timer    *time.Timer
	interval time.Duration
	running  bool
}

func newRelease(interval time.Duration) *release {
	r := &release{timer: time.NewTimer(interval), interval: interval}
	r.timer.Stop()
	return r
}

// begin starts the timer, if it does not run.
func (r *release) begin() {
	if !r.running {
		r.running = true
		r.timer.Reset(r.interval)
	}
}

// tick sends what may leave.
func (r *release) tick(now time.Time, peers []*Peer) {
	r.running = false
	for _, p := range peers {
		if !p.path.waits.Swap(false) {
			continue // looked at before, so that who begins to wait now is not overlooked
		}
		if p.conn.Release(now) {
			p.path.waits.Store(true)
			r.begin()
		}
	}
}

// Waits wakes the room's timer.
func (p *Peer) Waits() {
	p.path.waits.Store(true)
	select {
	case p.room.waits <- struct{}{}:
	default: // it will look anyway
	}
}

// paced is what a peer's packets are paced by; 0: by nothing. While nothing has held them back, the path is not known
// to be narrow, and a key frame need not wait (the first picture on a LAN came 40 ms later).
func paced(e bwe.Estimate) int {
	if e.State == bwe.Start {
		return 0
	}
	return e.Bitrate
}
