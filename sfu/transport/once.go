package transport

// onceWindow is how far behind the newest a packet may leave: more than a subscriber's history.
const onceWindow = 1024

// once counts the packets of an SSRC (RFC 3711 section 3.3.1), and sees to it that no index is used twice:
// with one key, AES-GCM must never seal two packets under one nonce, which is made of SSRC and index
// (RFC 7714 section 8.1). Whoever forwards numbers packets so; this does not depend on it. The zero value
// has seen nothing. Of what is received it is the replay window (RFC 3711 section 3.3.2).
type once struct {
	begun  bool
	newest uint64                  // index: sequence number and rollover counter
	seen   [onceWindow / 64]uint64 // of the last onceWindow indices, by index modulo onceWindow
}

// take returns the index of a packet; false means that it was used before, or may have been.
func (o *once) take(seq uint16) (index uint64, ok bool) {
	if index, ok = o.peek(seq); ok {
		o.mark(index)
	}
	return index, ok
}

// peek is take without the taking: of what has come, a sender is believed when it has opened.
func (o *once) peek(seq uint16) (index uint64, ok bool) {
	if !o.begun {
		return uint64(seq), true
	}
	ahead := int64(int16(seq - uint16(o.newest)))
	if ahead <= -onceWindow || int64(o.newest)+ahead < 0 {
		return 0, false
	}
	index = uint64(int64(o.newest) + ahead)
	return index, ahead > 0 || o.seen[index%onceWindow/64]&(1<<(index%64)) == 0
}

// mark takes an index that peek has returned.
func (o *once) mark(index uint64) {
	switch {
	case !o.begun:
		o.begun, o.newest = true, index
	case index >= o.newest+onceWindow:
		o.seen, o.newest = [len(o.seen)]uint64{}, index
	default:
		for o.newest < index {
			o.newest++
			o.seen[o.newest%onceWindow/64] &^= 1 << (o.newest % 64)
		}
	}
	o.seen[index%onceWindow/64] |= 1 << (index % 64)
}
