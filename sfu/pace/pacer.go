package pace

import "time"

// Class of a packet that may wait. Those of a lower class leave first; within one, packets keep their order.
type Class uint8

// The classes.
const (
	Repair  Class = iota // somebody stands still until it comes
	Picture              // the rest of video
	classes
)

const (
	// Share of the estimate at which packets leave: enough for the estimate to be used, and for the path to
	// show whether it carries more. With 1.5, sound behind 2.5 Mbit/s came 86 ms late at the 95th percentile, with
	// this 43, and without pacing 126; with 1.0 key frames take longer and nothing is better (2026-11-22).
	sharePercent = 110
	// shareLeast is by how much more at least, in bit/s: where a packet takes 60 ms, a tenth is none, and pictures
	// behind 150 kbit/s came 70 ms later for it.
	shareLeast = 50_000
	// depth is how long a burst may be at that rate, so long that sound behind it hardly notices.
	depth = 20 * time.Millisecond
	// MaxWait is the longest that a packet waits: as the queue grows, it is emptied faster. What is so late
	// waits in the network, as it would without us.
	MaxWait = 500 * time.Millisecond
	// Grain is how often to ask for the next while something waits.
	Grain = 5 * time.Millisecond
	// maxDebt is how far ahead what does not wait can get.
	maxDebt = 200 * time.Millisecond
	// MaxBytes bounds what waits: 4 Mbit/s for MaxWait. When it is full nothing more is taken, and the owner
	// decides what to give up.
	MaxBytes = 256 << 10
)

// Pacer is the release schedule of what is sent to one participant; T is a packet. The zero value lets everything
// pass. It is not safe for use by several goroutines.
type Pacer[T any] struct {
	perByte time.Duration // 0: everything passes
	gone    time.Time     // when what has left is through at the rate
	queues  [classes]queue[T]
	bytes   int // waiting
}

// Rate sets what the path is estimated to carry, in bit/s; 0 lets everything pass.
func (p *Pacer[T]) Rate(estimate int) {
	p.perByte = 0
	if estimate > 0 {
		rate := max(estimate*sharePercent/100, estimate+shareLeast)
		p.perByte = 8 * time.Second / time.Duration(rate)
	}
}

// Pass tells whether a packet of so many bytes may leave at once, and counts it if so. What may not is to be Put.
func (p *Pacer[T]) Pass(now time.Time, size int) bool {
	if p.bytes > 0 {
		return false
	}
	return p.perByte == 0 || p.leave(max(0, p.gone.Sub(now)), p.perByte, now, size)
}

// leave counts a packet if there is room for it behind what is ahead.
func (p *Pacer[T]) leave(ahead, perByte time.Duration, now time.Time, size int) bool {
	then := ahead + time.Duration(size)*perByte
	if ahead > 0 && then > depth {
		return false
	}
	p.gone = now.Add(then)
	return true
}

// Spend counts a packet that does not wait.
func (p *Pacer[T]) Spend(now time.Time, size int) {
	if p.perByte > 0 {
		ahead := max(0, p.gone.Sub(now)) + time.Duration(size)*p.perByte
		p.gone = now.Add(min(ahead, maxDebt))
	}
}

// Put lets a packet wait; false when there is no room.
func (p *Pacer[T]) Put(now time.Time, c Class, packet T, size int) bool {
	if p.bytes+size > MaxBytes {
		return false
	}
	p.queues[c].put(item[T]{packet, size, now})
	p.bytes += size
	return true
}

// Waiting tells whether anything waits.
func (p *Pacer[T]) Waiting() bool { return p.bytes > 0 }

// Next takes the packet that leaves now; false when there is none yet.
func (p *Pacer[T]) Next(now time.Time) (packet T, ok bool) {
	for c := range p.queues {
		q := &p.queues[c]
		first := q.first()
		if first == nil {
			continue
		}
		if perByte, ahead := p.pace(now); !p.leave(ahead, perByte, now, first.size) {
			return packet, false
		}
		p.bytes -= first.size
		return q.take(), true
	}
	return packet, false
}

// pace returns at which rate what waits is to leave, and what is ahead of it at that rate.
func (p *Pacer[T]) pace(now time.Time) (perByte, ahead time.Duration) {
	perByte, ahead = p.perByte, max(0, p.gone.Sub(now))
	if perByte == 0 {
		return 0, 0
	}
	left := MaxWait
	for c := range p.queues {
		if first := p.queues[c].first(); first != nil {
			left = min(left, MaxWait-now.Sub(first.since))
		}
	}
	if least := max(left, 0) / time.Duration(p.bytes); least < perByte {
		ahead = time.Duration(float64(ahead) * float64(least) / float64(perByte))
		perByte = least
	}
	return perByte, ahead
}

// Holds tells whether a packet waits that matches.
func (p *Pacer[T]) Holds(match func(*T) bool) bool {
	for c := range p.queues {
		if p.queues[c].holds(match) {
			return true
		}
	}
	return false
}

// Drop forgets the packets that match.
func (p *Pacer[T]) Drop(match func(*T) bool) {
	for c := range p.queues {
		p.bytes -= p.queues[c].drop(match)
	}
}
