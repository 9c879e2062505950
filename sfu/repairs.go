package sfu

import (
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
)

const (
	// lossy is from which loss on repairs are sent twice. One that is lost, too, comes a round trip after
	// the first would have, and that is a freeze; of 2 % lost it is one in fifty, each minute or two.
	lossy = 0.01
	// repairShare of what a path carries is for repairs, repairBurst of it at once: who loses everything
	// because too much is sent asks for everything again. (Behind 330 kbit/s that was 4 Mbit/s.)
	repairShare = 0.5
	repairBurst = 500 * time.Millisecond
)

// repairs bounds what a path's retransmissions of video take of it; path.mu guards it.
type repairs struct {
	credit float64 // bytes
	at     time.Time
}

// mayRepair tells whether there is room for another repair; repaired, that so many bytes were sent.
func (x *path) mayRepair(now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, rate := &x.repairs, repairShare*float64(x.current.Bitrate)/8
	most := rate * repairBurst.Seconds()
	if r.at.IsZero() {
		r.credit = most
	} else if d := now.Sub(r.at); d > 0 {
		r.credit = min(r.credit+rate*d.Seconds(), most)
	}
	r.at = now
	return r.credit > 0
}

func (x *path) repaired(bytes int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.repairs.credit -= float64(bytes)
}

// repairCopies is how often a repair is sent: once while a queue is being emptied, whatever is lost.
func (p *Peer) repairCopies() int {
	if p.draining() {
		return 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.protection.lossy {
		return 2
	}
	return 1
}

// draining tells that the queue before the peer is too long, and what is lost is lost because of it.
func (p *Peer) draining() bool { return p.budget().State == bwe.Draining }
