package redundancy

// Pattern says which earlier packets a packet of audio carries.
type Pattern uint8

// The patterns. Near ones carry the packet right before, so that a single loss is mended with the next
// one, 20 ms later. Far ones leave room between them: a burst takes a packet and the ones after it,
// and what lies in there is lost with it. Pairs and triples are far ones of packets of two and three frames: RED reaches
// back 341 ms, which are eight and five of these.
const (
	None Pattern = iota
	Near1
	Near2
	Near3
	Far1
	Far2
	Far3
	Pairs1
	Pairs2
	Pairs3
	Triples1
	Triples2
	Triples3

	patterns = int(Triples3) + 1
)

// MaxDepth is how many earlier packets a packet carries at most.
const MaxDepth = 3

// MaxReach is how many packets back the farthest one of any pattern is.
const MaxReach = 9

// of returns the pattern of a depth.
func of(depth int, far bool, frames int) Pattern {
	switch {
	case depth == 0 || !far:
		return Pattern(depth)
	case frames > 2:
		return Triples1 + Pattern(depth-1)
	case frames > 1:
		return Pairs1 + Pattern(depth-1)
	}
	return Far1 + Pattern(depth-1)
}

// Depth is how many earlier packets are carried.
func (p Pattern) Depth() int {
	if p > None {
		return int(p-Near1)%MaxDepth + 1
	}
	return int(p)
}

// distances of the packets carried from the one that carries them, the nearest first. The near ones are
// not all in a row either: of frames lost together, some then come. At a random loss of 20 %, with 1 and 2
// one window of 10 s in eight has three frames in a row missing, with 1 and 3 one in 39. With bursts of
// three packets on average (Gilbert, 20 %), near ones leave 86.7, 93.7 and 95.8 % by depth, far ones 94.9,
// 98.5 and 99.1: of all that reach back nine packets at most, which is 180 ms, these leave most. By the same
// arithmetic pairs leave 94.9, 98.3 and 98.8, triples 94.1, 96.6 and 97.0.
func (p Pattern) distances() [MaxDepth]uint16 {
	switch p {
	case Near2:
		return [MaxDepth]uint16{1, 3}
	case Near3:
		return [MaxDepth]uint16{1, 2, 4}
	case Far1, Pairs1:
		return [MaxDepth]uint16{5}
	case Far2:
		return [MaxDepth]uint16{4, 9}
	case Far3:
		return [MaxDepth]uint16{3, 6, 9}
	case Pairs2:
		return [MaxDepth]uint16{4, 8}
	case Pairs3:
		return [MaxDepth]uint16{3, 6, 8}
	case Triples1:
		return [MaxDepth]uint16{4}
	case Triples2:
		return [MaxDepth]uint16{2, 5}
	case Triples3:
		return [MaxDepth]uint16{1, 3, 5}
	}
	return [MaxDepth]uint16{1}
}

// Far tells whether there is room between the packets that are carried.
func (p Pattern) Far() bool { return p >= Far1 }

// Distances returns which earlier packets are carried, counted back from the one that carries them, the
// nearest first; nil for None.
func (p Pattern) Distances() []int {
	if p == None {
		return nil
	}
	var out []int
	distances := p.distances()
	for _, d := range distances[:p.Depth()] {
		out = append(out, int(d))
	}
	return out
}

// Reach is how many packets back the farthest one is.
func (p Pattern) Reach() int {
	if p == None {
		return 0
	}
	return int(p.distances()[p.Depth()-1])
}

func (p Pattern) String() string {
	return [patterns]string{"none", "near 1", "near 2", "near 3", "far 1", "far 2", "far 3", "pairs 1", "pairs 2", "pairs 3",
		"triples 1", "triples 2", "triples 3"}[p]
}
