package bwe

import (
	"time"

	"github.com/bedside-video/bedside/sfu/twcc"
)

// HistorySize is how many packets a History remembers: 0.7 s of 15 Mbit/s. What is told later of
// older ones is not used. A power of two.
const HistorySize = 1024

// Fate of a packet, as far as is known.
type Fate uint8

// The fates. A packet that was Lost or Skipped may still turn out to be Received.
const (
	Pending  Fate = iota
	Received      // the client has it
	Lost          // the client says that it has not
	Skipped       // a later one has been told of, this one has not: the feedback is lost or late
)

// repeated marks the fate of a packet that was sent twice before anything was told of it.
const repeated Fate = 1 << 7

// Ack is what is newly known of one packet.
type Ack struct {
	Sent    time.Time
	Arrived time.Duration // on the client's clock, with an offset that nobody knows; only if Received
	Size    int           // in bytes
	Probe   uint8         // the cluster, 0 for none
	Fate    Fate
	Was     Fate // what it was taken for before
}

// History remembers the packets that were sent on a connection, to tell what feedback is about. The
// zero value is empty; its 32 KiB are allocated with the first packet.
type History struct {
	records   *[HistorySize]record
	epoch     time.Time
	newest    uint32 // number of the last packet sent, unwrapped
	next      uint32 // the first that no feedback has reached
	reference uint32 // of the last feedback, 24 bits
	clock     int64  // reference unwrapped
	told      bool
}

// record of one packet, 16 bytes.
type record struct {
	sent   int64 // nanoseconds since the epoch
	number uint32
	size   uint16
	probe  uint8
	fate   Fate
}

// Sent enters a packet. Sequence numbers are consecutive but for packets that were given one and could
// then not be sent.
func (h *History) Sent(now time.Time, seq uint16, size int, probe uint8) {
	if h.records == nil {
		h.records = new([HistorySize]record)
		h.epoch = now
		h.newest = 1<<16 + uint32(seq) - 1 // so that nothing is below 0
		h.next = h.newest + 1
	}
	for until := h.newest + uint32(seq-uint16(h.newest)); h.newest+1 != until && h.newest != until; {
		h.newest++
		h.records[h.newest%HistorySize] = record{sent: int64(now.Sub(h.epoch)), number: h.newest, fate: Received}
	}
	h.newest = h.newest + uint32(seq-uint16(h.newest))
	h.records[h.newest%HistorySize] = record{
		sent: int64(now.Sub(h.epoch)), number: h.newest, size: uint16(min(size, 1<<16-1)), probe: probe,
	}
}

// Repeated notes that a packet is sent a second time, under its number: the client lost it, whatever
// comes now. When the copy comes tells nothing of how long the way takes.
func (h *History) Repeated(seq uint16) {
	if h.records == nil {
		return
	}
	r := h.find(h.newest - uint32(uint16(h.newest)-seq))
	switch {
	case r == nil || r.fate == Received:
	case r.fate == Lost:
		r.fate = Received // as far as anybody is told
	default:
		r.fate |= repeated
	}
}

// Used tells whether a packet has been entered.
func (h *History) Used() bool { return h.records != nil }

// Waiting returns when the oldest packet was sent that is newer than all that feedback has told of;
// false when there is none.
func (h *History) Waiting() (time.Time, bool) {
	if h.records == nil || int32(h.newest-h.next) < 0 {
		return time.Time{}, false
	}
	first := h.next
	if h.newest-first >= HistorySize {
		first = h.newest - HistorySize + 1
	}
	return h.epoch.Add(time.Duration(h.records[first%HistorySize].sent)), true
}

func (h *History) find(number uint32) *record {
	if r := &h.records[number%HistorySize]; r.number == number {
		return r
	}
	return nil
}

// Acknowledge appends to acks what one feedback packet tells that was not known. It may contradict
// itself or speak of packets that were never sent: what cannot be so is left out.
func (h *History) Acknowledge(x *twcc.Feedback, acks []Ack) []Ack {
	if h.records == nil {
		return acks
	}
	first := h.newest - uint32(uint16(h.newest)-x.Base)
	if h.newest-first >= HistorySize {
		return acks // of packets to come, or long gone
	}
	at := h.since(x.Reference)
	acks = h.skip(first, acks)
	for i := range x.Packets {
		number, p := first+uint32(i), &x.Packets[i]
		if int32(number-h.newest) > 0 {
			return acks
		}
		fate := Lost
		if p.Came {
			at += time.Duration(p.Delta) * twcc.DeltaUnit
			fate = Received
		}
		acks = h.tell(number, fate, at, acks)
	}
	return acks
}

// since unwraps a reference time: 24 bits of 64 ms.
func (h *History) since(reference uint32) time.Duration {
	if !h.told {
		h.told, h.reference = true, reference
	}
	h.clock += int64(int32((reference-h.reference)<<8) >> 8)
	h.reference = reference
	return time.Duration(h.clock) * twcc.ReferenceUnit
}

// skip gives up waiting for what is older than first.
func (h *History) skip(first uint32, acks []Ack) []Ack {
	if int32(first-h.next) > 0 && h.newest-h.next >= HistorySize {
		h.next = h.newest - HistorySize + 1 // what is older is forgotten
	}
	for int32(first-h.next) > 0 {
		acks = h.tell(h.next, Skipped, 0, acks)
	}
	return acks
}

// tell notes the fate of a packet.
func (h *History) tell(number uint32, fate Fate, at time.Duration, acks []Ack) []Ack {
	if int32(number-h.next) >= 0 {
		h.next = number + 1
	}
	r := h.find(number)
	if r == nil || r.fate == Received || r.fate == fate || r.fate == Lost && fate == Skipped {
		return acks
	}
	was := r.fate
	r.fate = fate
	if was&repeated != 0 {
		was, fate, r.fate = was&^repeated, Lost, Received
	}
	return append(acks, Ack{
		Sent: h.epoch.Add(time.Duration(r.sent)), Arrived: at, Size: int(r.size), Probe: r.probe, Fate: fate, Was: was,
	})
}
