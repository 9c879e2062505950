package bench

import (
	"sync"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/bench/hist"
)

// reportInterval is that of sender reports; browsers send one about every second.
const reportInterval = time.Second

// startMedia lets the tracks send, as from participant. Only the first call does anything.
func (c *connection) startMedia(participant string) {
	c.mu.Lock()
	if c.started || c.closed {
		c.mu.Unlock()
		return
	}
	c.started = true
	c.mu.Unlock()
	c.goRun(func() { c.runMedia(participant) })
}

// hold stops or restarts the tracks.
func (c *connection) hold(held bool) {
	for _, p := range c.pubs {
		p.setHeld(held)
	}
}

// runMedia sends the tracks' frames when they are due, from when the connection is up.
func (c *connection) runMedia(participant string) {
	select {
	case <-c.up:
	case <-c.done:
		return
	}
	now := c.cfg.Clock.Now()
	for _, p := range c.pubs {
		// A phase of its own per track: real capture clocks do not start together either.
		p.start(participant, now.Add(time.Duration(c.rng.Int64N(int64(p.interval)))), c.lateness.add)
	}
	report := now.Add(reportInterval)
	for {
		due := report
		for _, p := range c.pubs {
			// A failed write means that the connection is closing; done tells.
			next, _ := p.tick(now)
			if next.Before(due) {
				due = next
			}
		}
		if !now.Before(report) {
			report = report.Add(reportInterval)
			c.sendReports(now)
		}
		select {
		case <-c.cfg.Clock.After(due.Sub(now)):
		case <-c.done:
			return
		}
		now = c.cfg.Clock.Now()
	}
}

func (c *connection) sendReports(now time.Time) {
	var out []rtcp.Packet
	for _, p := range c.pubs {
		for _, e := range p.encodings {
			if sr := e.senderReport(now); sr != nil {
				out = append(out, sr)
			}
		}
	}
	if len(out) > 0 {
		_ = c.media.writeRTCP(out)
	}
}

// lateness is how long after they were due frames were sent.
type lateness struct {
	mu   sync.Mutex
	hist hist.Histogram
}

func (l *lateness) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hist.Add(d)
}

// moveTo empties l into another histogram.
func (l *lateness) moveTo(into *hist.Histogram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	into.Merge(&l.hist)
	l.hist = hist.Histogram{}
}

// Lateness adds to into how long after it was due each frame was sent since Lateness was last asked, and
// each frame that was not sent because the next was due by then. It is how a generator watches itself:
// where its machine is short of time, what it measures is its own.
func (c *Client) Lateness(into *hist.Histogram) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.lateness.moveTo(into)
	}
}
