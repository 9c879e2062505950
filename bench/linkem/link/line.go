package link

import "time"

// line is the delay line: a heap by due time, then by the order of entry. It is written out because
// container/heap would allocate for every packet.
type line []travelling

type travelling struct {
	Packet
	due     time.Duration
	ordinal uint64
}

func (l line) before(i, j int) bool {
	return l[i].due < l[j].due || l[i].due == l[j].due && l[i].ordinal < l[j].ordinal
}

func (l *line) push(t travelling) {
	h := append(*l, t)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.before(i, up) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	*l = h
}

// pop takes the first; there must be one.
func (l *line) pop() travelling {
	h := *l
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], travelling{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < last; down++ {
			if h.before(down, least) {
				least = down
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*l = h
	return first
}
