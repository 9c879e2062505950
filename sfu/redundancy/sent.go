package redundancy

// Sent remembers what the last packets of a slot carried, to tell of what a client asks for whether it
// has it already. The zero value is empty.
type Sent struct {
	packets [kept]struct {
		seq     uint16
		pattern Pattern
	}
}

// Note notes a packet that left with all that its pattern means.
func (s *Sent) Note(seq uint16, p Pattern) {
	x := &s.packets[seq%kept]
	x.seq, x.pattern = seq, p
}

// Came tells which packet made a client ask for others: the one right after the last that it misses.
// libwebrtc asks as soon as that comes, before it looks what is in it (channel_receive.cc).
func Came(missing []uint16) (seq uint16) {
	for i, m := range missing {
		if i == 0 || int16(m+1-seq) > 0 {
			seq = m + 1
		}
	}
	return seq
}

// Carried tells whether the packet in had the packet seq in it.
func (s *Sent) Carried(in, seq uint16) bool {
	x := s.packets[in%kept]
	if x.seq != in || x.pattern == None {
		return false
	}
	distances := x.pattern.distances()
	for _, d := range distances[:x.pattern.Depth()] {
		if in-d == seq {
			return true
		}
	}
	return false
}
