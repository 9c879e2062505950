package transport

import "time"

// keptPackets is how many packets of audio a slot keeps as they left: 640 ms. A power of two.
const keptPackets = 32

// keptPacket is a packet of audio as it left, sealed. It is sent again bit by bit: under one nonce
// nothing else may ever be sealed, not even with another transport-wide number in the header
// (RFC 7714 section 8.1).
type keptPacket struct {
	used     bool
	seq      uint16
	sequence uint16 // transport-wide
	sent     time.Time
	sealed   []byte
}

// keep returns where the packet seq is to be kept; nil where nothing is. What is never sent leaves its
// place empty.
func (s *Slot) keep(b *binding, seq uint16) *keptPacket {
	if !b.repeats {
		s.kept = nil
		return nil
	}
	if s.kept == nil {
		s.kept = new([keptPackets]keptPacket)
	}
	k := &s.kept[seq%keptPackets]
	k.used, k.seq = false, seq
	return k
}

func (k *keptPacket) take(now time.Time, sealed []byte, sequence uint16) {
	k.used, k.sent, k.sequence = true, now, sequence
	k.sealed = append(k.sealed[:0], sealed...)
}

// Repeat sends a packet of audio once more, unless it is older than most: then it would be late. It
// returns its size as an IP packet, 0 for what is not sent. It must not run at the same time as Write;
// whose packet it is, and how often it goes out, is the caller's affair.
func (s *Slot) Repeat(now time.Time, seq uint16, most time.Duration) (bytes int) {
	if s.kept == nil {
		return 0
	}
	k := &s.kept[seq%keptPackets]
	if !k.used || k.seq != seq || now.Sub(k.sent) > most || s.conn.again(k) != nil {
		return 0
	}
	return len(k.sealed) + ipOverhead
}

// again sends a kept packet.
func (c *Conn) again(k *keptPacket) error {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	to := c.path.Load()
	if to == nil {
		return errNoPath
	}
	o.bytes += uint64(len(k.sealed) + ipOverhead)
	o.history.Repeated(k.sequence)
	return c.engine.o.Port.Write(k.sealed, *to)
}
