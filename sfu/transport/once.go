package transport

// onceWindow is how far behind the newest a packet may leave: more than a subscriber's history.
const onceWindow = 1024

// once sees to it that no sequence number of an SSRC is sent twice: with the same key, AES-GCM must never
// seal two packets under one nonce, which is made of SSRC and packet index (RFC 7714 section 8.1). Whoever
// forwards numbers packets so; this does not depend on it. The zero value has seen nothing.
type once struct {
	begun  bool
	newest uint16
	seen   [onceWindow / 64]uint64 // of the last onceWindow numbers, by number modulo onceWindow
}

// take tells whether a number may be used, which it is then.
func (o *once) take(seq uint16) bool {
	if !o.begun {
		o.begun, o.newest = true, seq-1
	}
	switch ahead := int16(seq - o.newest); {
	case ahead >= onceWindow:
		o.seen = [len(o.seen)]uint64{}
		o.newest = seq
	case ahead > 0:
		for n := o.newest + 1; n != seq; n++ {
			o.clear(n)
		}
		o.clear(seq)
		o.newest = seq
	case ahead <= -onceWindow:
		return false
	}
	bit, word := uint64(1)<<(seq%64), &o.seen[seq%onceWindow/64]
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

func (o *once) clear(seq uint16) { o.seen[seq%onceWindow/64] &^= 1 << (seq % 64) }
