package floor

const (
	// segmentsLimit is the kernel's UDP_MAX_SEGMENTS before Linux 6.6.
	segmentsLimit = 64
	datagramLimit = 65507 // bytes of one sendmsg
)

// outbox gathers the packets for one destination into what the kernel can cut up again: all of one
// length, but for a last one that may be shorter.
type outbox struct {
	buf      []byte
	segment  int // bytes of all packets but the last
	count    int
	complete bool // the last one was shorter
}

// takes tells whether a packet of size bytes can be added.
func (o *outbox) takes(size int) bool {
	return o.count == 0 ||
		!o.complete && size <= o.segment && o.count < segmentsLimit && len(o.buf)+size <= datagramLimit
}

// added notes that a packet of size bytes was appended to buf.
func (o *outbox) added(size int) {
	if o.count == 0 {
		o.segment = size
	}
	o.count++
	o.complete = size < o.segment
}

// reset empties it.
func (o *outbox) reset() { o.buf, o.count, o.complete = o.buf[:0], 0, false }
