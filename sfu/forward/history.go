package forward

import (
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// A history remembers 750 ms (cacheKeeps), which is as long as the packets are kept that it is about,
// and at most historyMost packets: 1.5 s of video at 30 frames/s with a dozen packets a frame. It begins
// with historyLeast. Powers of two.
const (
	historyLeast = 128
	historyMost  = 512
)

// History remembers what the last packets that left one slot were made of, to answer NACKs with
// RTX (RFC 4588) out of the publication's Cache. The zero value is empty.
type History struct {
	entries []record
	newest  uint16
	turn    uint16    // the number with which the present turn through entries began
	began   time.Time // when that was
	epoch   time.Time // of record.resent
}

// Entry is what one packet that left a slot was made of.
type Entry struct {
	Stream Stream     // whose packet it was; not 0
	Out    Out        // how it left; Out.Patch makes the payload in the Cache the one that was sent
	SrcSeq uint16     // its number in Stream, and in Stream's Cache
	Codec  codec.Name // as it was sent: RTX has a payload type of its own for each
}

// record is an Entry, how often it was sent again and when last, in milliseconds since the epoch.
// It has 32 bytes; one without Stream is no record.
type record struct {
	stream Stream
	out    Out
	resent uint32
	srcSeq uint16
	codec  codec.Name
	times  uint8
}

func (r *record) entry() Entry {
	return Entry{Stream: r.stream, Out: r.out, SrcSeq: r.srcSeq, Codec: r.codec}
}

// Put remembers a packet that left under e.Out.Seq at now.
func (h *History) Put(now time.Time, e Entry) {
	if h.entries == nil {
		h.entries = make([]record, historyLeast)
		h.newest, h.turn, h.began = e.Out.Seq, e.Out.Seq, now
	}
	if int16(e.Out.Seq-h.newest) > 0 {
		h.newest = e.Out.Seq
	}
	if int(h.newest-h.turn) >= len(h.entries) {
		h.turned(now)
	}
	if int(h.newest-e.Out.Seq) >= len(h.entries) {
		return // its place is a newer packet's
	}
	h.entries[int(e.Out.Seq)%len(h.entries)] = record{stream: e.Stream, out: e.Out, srcSeq: e.SrcSeq, codec: e.Codec}
}

// turned begins another turn through entries, with twice as many if the last one took too little time.
func (h *History) turned(now time.Time) {
	if len(h.entries) < historyMost && now.Sub(h.began) < cacheKeeps {
		old := h.entries
		h.entries = make([]record, 2*len(old))
		for _, r := range old {
			if r.stream != 0 && int(h.newest-r.out.Seq) < len(h.entries) {
				h.entries[int(r.out.Seq)%len(h.entries)] = r
			}
		}
	}
	h.turn, h.began = h.newest, now
}

// Get returns what the packet that left under seq was made of; false where that is not known
// (any more).
func (h *History) Get(seq uint16) (Entry, bool) {
	r := h.find(seq)
	if r == nil {
		return Entry{}, false
	}
	return r.entry(), true
}

// Resend is Get for a packet that is going to be sent again. It returns false for a packet that it
// returned less than interval, or 20 ms, ago, or ten times before: a subscriber's NACKs, honest or
// not, must not multiply what leaves the server. An interval of the round-trip time lets every
// honest one through.
func (h *History) Resend(now time.Time, seq uint16, interval time.Duration) (Entry, bool) {
	r := h.find(seq)
	if r == nil || r.times == maxTries {
		return Entry{}, false
	}
	if h.epoch.IsZero() {
		h.epoch = now
	}
	ms := uint32(now.Sub(h.epoch).Milliseconds())
	if r.times > 0 && time.Duration(ms-r.resent)*time.Millisecond < max(interval, minRTT) {
		return Entry{}, false
	}
	r.times++
	r.resent = ms
	return r.entry(), true
}

// Clear forgets everything. It is to be called when the slot changes hands, so that nothing of a
// person who has gone can be asked for again.
func (h *History) Clear() { *h = History{} }

func (h *History) find(seq uint16) *record {
	if h.entries == nil || int(h.newest-seq) >= len(h.entries) {
		return nil
	}
	r := &h.entries[int(seq)%len(h.entries)]
	if r.stream == 0 || r.out.Seq != seq {
		return nil
	}
	return r
}
