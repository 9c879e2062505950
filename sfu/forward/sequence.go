package forward

import "slices"

const (
	// lateLimit is how many packets behind the newest a packet may be and still be placed: 6 s of
	// the highest layer at 160 packets/s, far more than anybody waits for. A power of two.
	lateLimit = 1024
	// jumpLimit is how far ahead of the newest a packet may be before the publisher must have
	// started a new numbering (MAX_DROPOUT of RFC 3550 appendix A.1).
	jumpLimit = 3000
	// maxCuts bounds what is remembered of dropped packets. Each run of consecutive ones takes
	// one; packets from before the oldest kept are dropped when they come late.
	maxCuts = 32
)

// sequence maps the sequence numbers of the encoding in a slot to the slot's own. Packets that are
// dropped for good are cut out, so the two run apart by more with each; a late packet needs the
// distance that held at its own place.
type sequence struct {
	newest uint64 // of the encoding, extended
	cuts   []cut  // <= maxCuts, made with the first
	shift  uint16 // from oldest to the first cut: the encoding's number minus the slot's
	last   uint16 // the slot's newest number
	oldest uint64 // no number is known for packets before this one, extended

	sent [lateLimit / 64]uint64 // which of the slot's newest numbers have left
}

// cut is a place from which on more packets have been left out.
type cut struct {
	from  uint64
	shift uint16
}

// restart begins a new encoding with the packet seq, whose number in the slot is next().
func (q *sequence) restart(seq uint16) {
	// One cycle up, so that a packet from just before seq has an extended number too.
	q.newest = 1<<16 | uint64(seq)
	q.oldest = q.newest
	q.shift = seq - q.next()
	q.cuts = q.cuts[:0]
	q.advance(q.next())
}

func (q *sequence) next() uint16 { return q.last + 1 }

// jumped tells whether seq is so far from the newest that it belongs to another numbering.
func (q *sequence) jumped(seq uint16) bool {
	ahead := seq - uint16(q.newest)
	behind := uint16(q.newest) - seq
	return ahead >= jumpLimit && behind >= lateLimit
}

// ahead tells whether seq is newer than everything before.
func (q *sequence) ahead(seq uint16) bool {
	d := seq - uint16(q.newest)
	return d > 0 && d < jumpLimit
}

// extend returns seq, which is neither jumped nor ahead, extended.
func (q *sequence) extend(seq uint16) uint64 {
	return q.newest - uint64(uint16(q.newest)-seq)
}

// place gives a packet that is ahead its number.
func (q *sequence) place(seq uint16) uint16 {
	q.newest += uint64(seq - uint16(q.newest))
	out := seq - q.shiftAt(q.newest)
	q.advance(out)
	return out
}

// cut leaves a packet that is ahead out: the next one takes its number.
func (q *sequence) cut(seq uint16) {
	q.newest += uint64(seq - uint16(q.newest))
	shift := q.shiftAt(q.newest) + 1
	n := len(q.cuts)
	if n > 0 && q.cuts[n-1].from == q.newest { // right behind the last one
		q.cuts[n-1] = cut{q.newest + 1, shift}
		return
	}
	if q.cuts == nil {
		q.cuts = make([]cut, 0, maxCuts)
	}
	if n == maxCuts {
		q.oldest, q.shift = q.cuts[0].from, q.cuts[0].shift
		q.cuts = slices.Delete(q.cuts, 0, 1)
	}
	q.cuts = append(q.cuts, cut{q.newest + 1, shift})
}

// placeLate gives a packet that is neither jumped nor ahead, so less than lateLimit behind, the
// number kept for it.
func (q *sequence) placeLate(seq uint16) (out uint16, v Verdict) {
	ext := q.extend(seq)
	if ext < q.oldest {
		return 0, DropOld
	}
	if q.isCut(ext) {
		return 0, DropDuplicate
	}
	out = seq - q.shiftAt(ext)
	if int16(out-q.last) > 0 {
		q.advance(out) // everything newer so far was cut out
		return out, Forwarded
	}
	// Nothing may ever take a number that has left: SRTP would encrypt two packets with one
	// AES-GCM nonce, which gives the authentication key away (RFC 7714 section 13.1).
	if q.hasLeft(out) {
		return 0, DropDuplicate
	}
	q.mark(out)
	return out, Forwarded
}

// isCut tells whether a packet was left out: the cuts are runs that end before from and are as
// long as their shifts grow.
func (q *sequence) isCut(ext uint64) bool {
	before := q.shift
	for _, c := range q.cuts {
		if ext < c.from && ext >= c.from-uint64(c.shift-before) {
			return true
		}
		before = c.shift
	}
	return false
}

func (q *sequence) shiftAt(ext uint64) uint16 {
	for i := len(q.cuts) - 1; i >= 0; i-- {
		if ext >= q.cuts[i].from {
			return q.cuts[i].shift
		}
	}
	return q.shift
}

// advance makes out the slot's newest number.
func (q *sequence) advance(out uint16) {
	if out-q.last >= lateLimit {
		q.sent = [len(q.sent)]uint64{}
	} else {
		for s := q.last + 1; s != out; s++ {
			q.sent[s%lateLimit/64] &^= 1 << (s % 64)
		}
	}
	q.last = out
	q.mark(out)
}

func (q *sequence) mark(out uint16) { q.sent[out%lateLimit/64] |= 1 << (out % 64) }

func (q *sequence) hasLeft(out uint16) bool {
	return q.sent[out%lateLimit/64]&(1<<(out%64)) != 0
}
