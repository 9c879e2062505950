package sfu

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// What is estimated of a path, in bit/s. Below the least there is not even audio; above the most is a
// grid of nine cameras of the ladder. The first estimate carries sound and the middle layer of a camera:
// with one for the highest layer, a narrow path has seconds of queue before its first feedback comes. As
// soon as a path is up, in the lobby mostly, it is probed for the highest layer of one camera; who is let
// in sooner has the lowest layer of everybody until the first answer, or for unknownFor.
const (
	leastBitrate = 40_000
	mostBitrate  = 20_000_000
	firstBitrate = 500_000
	openBitrate  = 2_000_000
	unknownFor   = 700 * time.Millisecond
)

// keptAcks is how much of the buffer for feedback a path keeps.
const keptAcks = 256

// newEstimator returns an estimator that begins with first bit/s, 0 for firstBitrate.
func newEstimator(first int) *bwe.Estimator {
	e := bwe.New(bwe.Config{Min: leastBitrate, Max: mostBitrate, Start: cmp.Or(first, firstBitrate), Open: openBitrate})
	e.Want(0)
	return e
}

// path is what is known of the way to a peer. What comes back on it (feedback of the peer's own) is
// all that it learns from: what publishers lose on their way here is not in it.
type path struct {
	mu        sync.Mutex // the connection's may be taken while it is held
	estimator *bwe.Estimator
	current   bwe.Estimate
	acks      []bwe.Ack // of the feedback at hand, re-used
	told      uint64    // Outbound.Bytes at the last report
	toldAt    time.Time
	sending   float64 // bit/s since the one before
	packets   uint64  // that were to arrive, as of the last receiver report, and
	missing   uint64  // of these, lost
	probing   bool    // runProbe runs
	repairs   repairs
	closed    bool
	waits     atomic.Bool // something waits to be released
	holds     atomic.Bool // a voice is held, to be joined

	closing chan struct{}
	running sync.WaitGroup
}

// close ends a probe and lets none begin.
func (x *path) close() {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	close(x.closing)
	x.running.Wait()
}

// budget is what may be sent to the peer; any goroutine may ask.
func (p *Peer) budget() bwe.Estimate {
	p.path.mu.Lock()
	defer p.path.mu.Unlock()
	return p.path.current
}

// want says what would be sent to the peer if its path carried it, in bit/s: probing goes no further,
// and without it there is none. Any goroutine may say it.
func (p *Peer) want(bitrate int) {
	p.path.mu.Lock()
	defer p.path.mu.Unlock()
	p.path.estimator.Want(bitrate)
}

// acknowledged takes transport-wide feedback.
func (p *Peer) acknowledged(now time.Time, feedback *twcc.Feedback) {
	x := &p.path
	x.acks = p.conn.Acknowledge(feedback, x.acks[:0]) // RTCP calls do not overlap
	x.mu.Lock()
	defer x.mu.Unlock()
	x.estimator.RTT(p.roundTrip())
	x.estimator.Feedback(now, x.acks)
	if cap(x.acks) > keptAcks {
		x.acks = nil // of a stall; usually there are some 60
	}
	x.tick(now, p)
}

// estimate does what time alone does to the estimate.
func (p *Peer) estimate(now time.Time, report bool) {
	x := &p.path
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tick(now, p)
	if report {
		p.room.server.metrics.estimates.Observe(float64(x.current.Bitrate))
	}
}

// tick takes over the estimate, and begins the probe that it asks for; mu is held.
func (x *path) tick(now time.Time, p *Peer) {
	out := p.conn.Outbound()
	if d := now.Sub(x.toldAt); d >= time.Second {
		x.sending = float64(out.Bytes-x.told) * 8 / d.Seconds()
		x.told, x.toldAt = out.Bytes, now
	}
	was := x.current.State
	x.current = x.estimator.Tick(now, out.Waiting)
	p.conn.Pace(paced(x.current), p)
	if x.current.State != was {
		p.room.server.metrics.estimateStates[x.current.State].Inc()
		p.room.server.log.Debug("estimate", "room", p.room.id, "peer", p.o.ID, "state", x.current.State, "reason", x.current.Reason,
			"bitrate", x.current.Bitrate, "sending", int(x.sending))
	}
	if probe := x.current.Probe; probe.ID != 0 && !x.probing && !x.closed {
		x.probing = true
		x.running.Go(func() { p.runProbe(probe) })
	}
}

// estimated takes a client's own estimate (REMB).
func (p *Peer) estimated(now time.Time, r *rtcp.ReceiverEstimatedMaximumBitrate) {
	p.path.mu.Lock()
	defer p.path.mu.Unlock()
	p.path.estimator.REMB(now, float64(r.Bitrate))
}

// reportedLost serves clients that give no transport-wide feedback, after delivered has taken the
// reports over: what publishers lost is not in its figures.
func (p *Peer) reportedLost(now time.Time) {
	if p.conn.Outbound().Tracked {
		return
	}
	var packets, missing uint64
	_, slots := p.media()
	for _, s := range slots {
		s.mu.Lock()
		packets += s.delivery.packets
		missing += s.delivery.missing
		s.mu.Unlock()
	}
	x := &p.path
	x.mu.Lock()
	defer x.mu.Unlock()
	if packets > x.packets {
		x.estimator.Report(now, float64(missing-x.missing)/float64(packets-x.packets), x.sending)
	}
	x.packets, x.missing = packets, missing
}

// probeInterval is how often padding goes out while a probe runs. It is the one timer of a peer: a
// probe takes a third of a second, and the next comes two seconds later at the earliest when it finds
// the path full. No other tick is a multiple of it: in virtual time two at one instant have no order.
const probeInterval = 9700 * time.Microsecond

// runProbe sends padding beside the media until both make the probe's rate.
func (p *Peer) runProbe(probe bwe.Probe) {
	x, m := &p.path, p.room.server.metrics
	m.probes.Inc()
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	p.conn.MarkProbe(probe.ID, probe.Bitrate)
	began, first := p.room.server.clock(), p.conn.Outbound().Bytes
	for wanted := true; wanted; {
		select {
		case <-ticker.C:
		case <-x.closing:
		}
		now := p.room.server.clock()
		due := uint64(float64(probe.Bitrate) / 8 * now.Sub(began).Seconds())
		waits := p.conn.Release(now)
		before := p.conn.Outbound().Bytes
		if !waits { // or that is what the probe is made of
			wanted = p.padTo(first + due)
		}
		m.padding.Add(float64(p.conn.Outbound().Bytes - before))
		x.mu.Lock()
		wanted = wanted && !x.closed && x.current.Probe.ID == probe.ID && now.Before(probe.Until)
		x.mu.Unlock()
	}
	p.conn.MarkProbe(0, 0)
	x.mu.Lock()
	x.probing = false
	x.mu.Unlock()
}

// padTo sends padding until so many bytes have been sent; false when no slot takes any.
func (p *Peer) padTo(bytes uint64) bool {
	_, slots := p.media()
	for _, s := range slots {
		if s.kind != codec.Video {
			continue
		}
		// At most what the most bitrate sends in an interval: a clock that jumps is no burst.
		for range mostBitrate / 8 / 100 / 255 {
			sent := p.conn.Outbound().Bytes
			if sent >= bytes {
				return true
			}
			if !s.probe() || p.conn.Outbound().Bytes == sent {
				return false
			}
		}
		return true
	}
	return false
}
