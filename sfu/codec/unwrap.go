package codec

// unwrapReach is how many packets an Unwrapper remembers: twice what an offset spans at 20 ms a packet.
// A power of two.
const unwrapReach = 64

// Unwrapper undoes the RED of one audio stream. A block tells its timestamp, not its sequence number;
// that follows from the packets around it. The zero value is ready.
type Unwrapper struct {
	red    RED
	recent [unwrapReach]placed
	found  [MaxREDBlocks]Recovered
}

// placed is one packet that came, or was recovered.
type placed struct {
	known bool
	seq   uint16
	ts    uint32
}

// Recovered is an earlier packet that had not come.
type Recovered struct {
	Seq       uint16
	Timestamp uint32
	Payload   []byte // aliases the packet that it came in
}

// Note notes a packet that came without RED.
func (u *Unwrapper) Note(seq uint16, ts uint32) {
	u.recent[seq%unwrapReach] = placed{known: true, seq: seq, ts: ts}
}

// Unwrap makes p, whose payload is RED over the payload type pt, the packet that it carries, and returns
// the earlier ones in it which have not come, oldest first. They are valid until the next call.
func (u *Unwrapper) Unwrap(p *Packet, pt uint8) ([]Recovered, error) {
	if err := u.red.Parse(p.Payload, pt); err != nil {
		return nil, err
	}
	p.Payload, p.PayloadType = u.red.Primary, pt
	u.Note(p.Seq, p.Timestamp)
	n := 0
	for _, b := range u.red.Blocks() {
		ts := p.Timestamp - uint32(b.Offset)
		if b.Offset == 0 || len(b.Payload) == 0 {
			continue
		}
		seq, ok := u.place(p, ts)
		if !ok {
			continue
		}
		u.Note(seq, ts)
		u.found[n] = Recovered{Seq: seq, Timestamp: ts, Payload: b.Payload}
		n++
	}
	return u.found[:n], nil
}

// place finds the number of the packet with timestamp ts, older than p. False if that has come, or
// cannot be told: nothing is recovered under a guessed number, which may be another packet's.
func (u *Unwrapper) place(p *Packet, ts uint32) (seq uint16, ok bool) {
	before, after := placed{}, placed{known: true, seq: p.Seq, ts: p.Timestamp}
	for back := uint16(1); back < unwrapReach; back++ {
		x := u.recent[(p.Seq-back)%unwrapReach]
		if !x.known || x.seq != p.Seq-back || p.Timestamp-x.ts > 2*MaxREDOffset {
			continue
		}
		if x.ts == ts {
			return 0, false
		}
		if int32(ts-x.ts) > 0 {
			before = x
			break
		}
		after = x
	}
	if !before.known {
		return 0, false
	}
	missing := uint32(after.seq - before.seq - 1)
	if missing == 1 {
		return before.seq + 1, true
	}
	// Of several, which one it is can be told where all are as long.
	span := after.ts - before.ts
	if missing == 0 || span%(missing+1) != 0 {
		return 0, false
	}
	each := span / (missing + 1)
	if !opusDuration(each) || (ts-before.ts)%each != 0 {
		return 0, false
	}
	return before.seq + uint16((ts-before.ts)/each), true
}

// opusDuration tells whether a packet of Opus can be so long (RFC 6716 section 2.1.4, in units of
// 1/48000 s).
func opusDuration(d uint32) bool {
	switch d {
	case 120, 240, 480, 960, 1920, 2880, 3840, 4800, 5760:
		return true
	}
	return false
}
