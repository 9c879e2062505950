package transport

// onceWindow is how far behind the newest a packet may leave: more than a subscriber's history.
const onceWindow = 1024

// once counts the packets of an SSRC (RFC 3711 section 3.3.1), and sees to it that no index is used twice:
// with one key, AES-GCM must never seal two packets under one nonce, which is made of SSRC and index
// (RFC 7714 section 8.1). Whoever forwards numbers packets so; this does not depend on it. The zero value
// has seen nothing.
type once struct {
	begun  bool
	newest uint64                  // index: sequence number and rollover counter
	seen   [onceWindow / 64]uint64 // of the last onceWindow indices, by index modulo onceWindow
}

// take returns the index of a packet; false means that it was used before, or may have been.
func (o *once) take(seq uint16) (index uint64, ok bool) {
	if !o.begun {
		o.begun, o.newest = true, uint64(seq)
		o.mark(o.newest)
		return o.newest, true
	}
	ahead := int64(int16(seq - uint16(o.newest)))
	if ahead <= -onceWindow || int64(o.newest)+ahead < 0 {
		return 0, false
	}
	index = uint64(int64(o.newest) + ahead)
	if ahead >= onceWindow {
		o.seen = [len(o.seen)]uint64{}
	} else {
		for n := o.newest + 1; n <= index; n++ {
			o.seen[n%onceWindow/64] &^= 1 << (n % 64)
		}
	}
	o.newest = max(o.newest, index)
	if o.seen[index%onceWindow/64]&(1<<(index%64)) != 0 {
		return 0, false
	}
	o.mark(index)
	return index, true
}

func (o *once) mark(index uint64) { o.seen[index%onceWindow/64] |= 1 << (index % 64) }
