package forward

import "time"

// Receiver keeps the books of one incoming encoding: which packets are duplicates, which are
// missing, and the figures of a receiver report.
type Receiver struct {
	clockRate uint32
	epoch     time.Time // of the first packet; zero before it
	first     uint64    // extended sequence number of the first packet
	newest    uint64    // and of the newest
	restartAt uint16    // the packet that would prove a new numbering,
	jumped    bool      // if the last packet was the first sign of one
	seen      [lateLimit / 64]uint64
	missing   missing
	stats     statistics
}

// Arrival is what a Receiver says of one packet.
type Arrival struct {
	// Drop: the packet is of no use, being a duplicate or too old to tell. RTX probes of old
	// packets are this, and there are up to six of them for each packet of a low layer
	// (Chromium 156, 2026-11-22).
	Drop      bool
	Newest    bool // newer than everything before
	Restarted bool // the publisher numbers anew; the first packet of that was dropped, this is the second
	Missing   int  // how many packets turn out to be missing before this one
	Repaired  bool // it had been asked for, and came then
}

// NewReceiver returns a Receiver of an encoding with timestamps of clockRate Hz.
func NewReceiver(clockRate uint32) Receiver {
	return Receiver{clockRate: clockRate}
}

// Receive notes a packet that came as itself.
func (r *Receiver) Receive(now time.Time, seq uint16, ts uint32) Arrival {
	if r.epoch.IsZero() {
		r.start(now, seq, ts)
		return Arrival{Newest: true}
	}
	if r.farFrom(seq) {
		// RFC 3550 appendix A.1: two packets in sequence prove a new numbering, one does not.
		if !r.jumped || seq != r.restartAt {
			r.jumped, r.restartAt = true, seq+1
			return Arrival{Drop: true}
		}
		r.start(now, seq, ts)
		return Arrival{Newest: true, Restarted: true}
	}
	r.jumped = false
	a := r.note(now, seq)
	switch {
	case a.Drop:
	case a.Repaired:
		r.stats.repaired++
	default:
		r.stats.received++
	}
	if a.Newest {
		r.stats.arrived(units(now.Sub(r.epoch), r.clockRate), ts)
	}
	return a
}

// Repair notes a packet that came by retransmission (RTX). It fills its hole, but does not count
// as received: the reports tell the publisher what the network lost, which is what its bandwidth
// estimate lives on.
func (r *Receiver) Repair(now time.Time, seq uint16) Arrival {
	if r.epoch.IsZero() {
		return Arrival{Drop: true}
	}
	a := r.note(now, seq)
	if !a.Drop {
		r.stats.repaired++
	}
	return a
}

// Within makes it ask only for what can come at most so long after it was found missing, and take what
// comes after that as itself, of a client without RTX, for the answer.
func (r *Receiver) Within(d time.Duration) { r.missing.within = d }

// Nacks appends to out the sequence numbers that are to be asked for now, and returns it. Each is
// due when it is found missing and then again every one and a half round trips, ten times or for
// one second at most. It is meant to be called after every packet and costs nothing when nothing
// is missing.
func (r *Receiver) Nacks(now time.Time, rtt time.Duration, out []uint16) []uint16 {
	return r.missing.due(now.Sub(r.epoch), rtt, out)
}

// start begins a numbering with seq.
func (r *Receiver) start(now time.Time, seq uint16, ts uint32) {
	before := r.Totals()
	*r = Receiver{clockRate: r.clockRate, epoch: now, missing: missing{list: r.missing.list[:0], within: r.missing.within}}
	r.stats.before = before
	// One cycle up, so that a packet from just before the first has an extended number too.
	r.newest = 1<<16 | uint64(seq)
	r.first = r.newest
	r.mark(r.newest)
	r.stats.received = 1
	r.stats.transit = -ts
}

// farFrom tells whether seq is neither shortly before nor shortly after the newest.
func (r *Receiver) farFrom(seq uint16) bool {
	ahead, behind := seq-uint16(r.newest), uint16(r.newest)-seq
	return ahead >= jumpLimit && behind >= lateLimit
}

// note notes a packet. One far from the newest is too old.
func (r *Receiver) note(now time.Time, seq uint16) Arrival {
	ahead := uint64(seq - uint16(r.newest))
	if ahead == 0 || ahead >= jumpLimit {
		ext := r.newest - uint64(uint16(r.newest)-seq)
		if r.newest-ext >= lateLimit || r.has(ext) {
			return Arrival{Drop: true}
		}
		r.mark(ext)
		return Arrival{Repaired: r.missing.found(now.Sub(r.epoch), seq)}
	}
	for ext := max(r.newest+1, r.newest+ahead-min(ahead, lateLimit)); ext < r.newest+ahead; ext++ {
		r.clear(ext)
	}
	r.missing.add(now.Sub(r.epoch), uint16(r.newest)+1, seq)
	r.newest += ahead
	r.mark(r.newest)
	return Arrival{Newest: true, Missing: int(ahead) - 1}
}

func (r *Receiver) has(ext uint64) bool { return r.seen[ext%lateLimit/64]&(1<<(ext%64)) != 0 }
func (r *Receiver) mark(ext uint64)     { r.seen[ext%lateLimit/64] |= 1 << (ext % 64) }
func (r *Receiver) clear(ext uint64)    { r.seen[ext%lateLimit/64] &^= 1 << (ext % 64) }
