package bench

import (
	"slices"
	"time"
)

const (
	reorderPackets = 512                    // at most so many wait behind a hole
	holePatience   = time.Second            // then a hole is lost
	audioPatience  = 100 * time.Millisecond // likewise of audio, which nobody sends again
	nackDelay      = 10 * time.Millisecond  // reordering is no loss yet
	nackRepeat     = 100 * time.Millisecond // while the round trip is not known (libwebrtc: kDefaultRttMs)
	nackLook       = 20 * time.Millisecond  // libwebrtc looks so often (NackPeriodicProcessor) for what is older than a round trip
	nackTries      = 10                     // libwebrtc's kMaxNackRetries
)

// held is one packet in the reorder buffer.
type held struct {
	seq    int64 // unwrapped
	packet Inbound
	at     time.Time
	lost   int64 // packets given up right before this one
}

// hole is one missing sequence number.
type hole struct {
	seq   int64
	since time.Time
	next  time.Time // of the next NACK
	tries int
}

// reorder puts packets into the order of their sequence numbers, once each, and keeps the list of
// holes to ask for. It is pure.
type reorder struct {
	nack       bool     // holes are asked for
	audio      bool     // which is of no use later than redPatience
	asked      []uint16 // holes of audio that are due since askedAt
	askedAt    time.Time
	patience   time.Duration
	rtt        time.Duration // 0 for not known
	started    bool
	next       int64 // the lowest sequence number not yet released
	highest    int64
	waiting    []held  // ascending, all > next
	one        [1]held // what put returned last
	holes      []hole  // ascending
	duplicates uint64
	repaired   uint64 // holes filled by RTX
	lost       uint64 // holes given up
}

func newReorder(video bool) reorder {
	if video {
		return reorder{nack: true, patience: holePatience}
	}
	return reorder{patience: audioPatience}
}

// newRepeated is for audio that is asked for.
func newRepeated() reorder { return reorder{nack: true, audio: true, patience: redPatience} }

// unwrap extends a sequence number relative to the highest seen.
func (r *reorder) unwrap(seq uint16) int64 {
	return r.highest + int64(int16(seq-uint16(r.highest)))
}

// follows tells whether sequence is next, with nothing missing before it.
func (r *reorder) follows(sequence uint16) bool {
	return r.started && len(r.waiting) == 0 && uint16(r.next) == sequence
}

// put adds one packet and returns the packets that are now in order, valid until the next call.
func (r *reorder) put(now time.Time, p Inbound) []held {
	if !r.started {
		// Far from 0, so that older packets never get a negative number.
		r.started, r.highest, r.next = true, 1<<16+int64(p.Sequence), 1<<16+int64(p.Sequence)
	}
	seq := r.unwrap(p.Sequence)
	if seq == r.next && len(r.waiting) == 0 { // as nearly always, and then nothing is missing either
		r.next, r.highest = seq+1, seq
		r.one[0] = held{seq: seq, packet: p, at: now}
		return r.one[:]
	}
	if seq < r.next || slices.ContainsFunc(r.waiting, func(h held) bool { return h.seq == seq }) {
		r.duplicates++
		return nil
	}
	if seq-r.highest > reorderPackets {
		return r.jump(now, seq, p)
	}
	for missing := r.highest + 1; missing < seq; missing++ {
		h := hole{seq: missing, since: now, next: now.Add(nackDelay)}
		if r.audio { // libwebrtc asks at once, before it looks what else is in the packet
			r.asked, r.askedAt = append(r.asked, uint16(missing)), now
			h.tries, h.next = 1, now.Add(r.repeat())
		}
		r.holes = append(r.holes, h)
	}
	r.highest = max(r.highest, seq)
	if i := slices.IndexFunc(r.holes, func(h hole) bool { return h.seq == seq }); i >= 0 {
		r.holes = slices.Delete(r.holes, i, i+1)
		if p.Repaired {
			r.repaired++
		}
	}
	at, _ := slices.BinarySearchFunc(r.waiting, seq, func(h held, s int64) int { return int(h.seq - s) })
	r.waiting = slices.Insert(r.waiting, at, held{seq: seq, packet: p, at: now})
	out := r.release(now)
	if seq >= r.next { // it waits, and its bytes are the caller's
		at -= len(out)
		r.waiting[at].packet.Payload = slices.Clone(p.Payload)
	}
	return out
}

// jump gives up everything before seq, a step too wide to be loss.
func (r *reorder) jump(now time.Time, seq int64, p Inbound) []held {
	out := r.waiting
	for i := range out {
		out[i].lost = out[i].seq - r.next
		r.next = out[i].seq + 1
	}
	h := held{seq: seq, packet: p, at: now, lost: seq - r.next}
	r.lost += uint64(seq - r.next)
	for _, o := range out {
		r.lost += uint64(o.lost)
	}
	r.waiting, r.holes, r.highest, r.next = nil, nil, seq, seq+1
	return append(out, h)
}

// release returns what is in order, giving up holes that are too old or hold up too much.
func (r *reorder) release(now time.Time) []held {
	var out []held
	for len(r.waiting) > 0 {
		h := r.waiting[0]
		if h.seq > r.next {
			if now.Sub(r.holes[0].since) < r.patience && len(r.waiting) < reorderPackets {
				break
			}
			h.lost = h.seq - r.next
			r.lost += uint64(h.lost)
			r.holes = slices.DeleteFunc(r.holes, func(x hole) bool { return x.seq < h.seq })
		}
		r.next = h.seq + 1
		r.waiting = r.waiting[1:]
		out = append(out, h)
	}
	return out
}

// repeat is how long after it was asked for a packet is asked for again.
func (r *reorder) repeat() time.Duration {
	switch {
	case r.rtt > 0 && r.audio:
		return r.rtt*3/2 + 5*time.Millisecond // libwebrtc's TimeToSendFullNackList
	case r.rtt > 0:
		return r.rtt + nackLook
	}
	return nackRepeat
}

// nacks returns the sequence numbers to ask for now.
func (r *reorder) nacks(now time.Time) []uint16 {
	if !r.nack {
		return nil
	}
	repeat := r.repeat()
	out := r.asked
	r.asked = nil
	for i := range r.holes {
		h := &r.holes[i]
		if h.tries < nackTries && !now.Before(h.next) {
			h.tries++
			h.next = now.Add(repeat)
			out = append(out, uint16(h.seq))
		}
	}
	return out
}

// deadline returns when nacks or release have something to do next; zero for never.
func (r *reorder) deadline() time.Time {
	var due time.Time
	if len(r.asked) > 0 {
		return r.askedAt
	}
	for _, h := range r.holes {
		at := h.since.Add(r.patience)
		if r.nack && h.tries < nackTries && h.next.Before(at) {
			at = h.next
		}
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due
}
