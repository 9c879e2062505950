package link

import "time"

// Bottleneck is the drop-tail queue of a Link alone, for who knows at once when a packet leaves: its rate
// may be a trace, but what waits is not looked at again when it is replaced by another. The zero value
// passes everything at once.
type Bottleneck struct {
	Rate  Trace
	Queue time.Duration // in time at the highest rate; 0 is DefaultQueue

	free time.Duration // when the last packet has left
}

// Pass puts a packet of so many bytes into the queue, at a time since the trace began that must not go
// back. It returns when its last bit has left; false means that the queue was full.
func (b *Bottleneck) Pass(at time.Duration, bytes int) (leaves time.Duration, ok bool) {
	if b.Rate == nil {
		return at, true
	}
	queue := b.Queue
	if queue == 0 {
		queue = DefaultQueue
	}
	bits := int64(bytes) * 8
	if b.free > at && b.Rate.sent(at, b.free)+bits > b.Rate.peak().carries(queue) {
		return 0, false
	}
	b.free = b.Rate.finish(max(at, b.free), bits)
	return b.free, true
}
