package policy

import (
	"net/netip"
	"time"
)

const (
	// AnswersPerSecond is how many answers one source gets that has not shown a password: what is sent
	// to an address that somebody else may have written there. coturn's default is the same.
	AnswersPerSecond = 10
	// answerSlots bounds what is remembered of sources: half a megabyte. Sources that meet in a slot
	// share what it allows, so that nobody ever gets more.
	answerSlots = 1 << 16
)

// Answers bounds answers to strangers.
type Answers struct {
	hash  func(netip.Prefix) uint64
	slots []answerSlot
}

type answerSlot struct {
	second uint32 // of the count, modulo 2^32
	count  uint32
}

// NewAnswers takes a hash with a secret of its own, so that nobody can choose with whom to share a slot.
func NewAnswers(hash func(netip.Prefix) uint64) *Answers {
	return &Answers{hash: hash, slots: make([]answerSlot, answerSlots)}
}

// Allow tells whether a source may be answered now, and counts that it is.
func (a *Answers) Allow(now time.Time, from netip.Addr) bool {
	s := &a.slots[a.hash(Source(from))%answerSlots]
	if second := uint32(now.Unix()); s.second != second {
		*s = answerSlot{second: second}
	}
	if s.count >= AnswersPerSecond {
		return false
	}
	s.count++
	return true
}

// Source is what one customer of a provider has: an IPv4 address or an IPv6 /64 (RFC 6177 section 2).
func Source(a netip.Addr) netip.Prefix {
	a = a.WithZone("").Unmap()
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // fails for the zero Addr only, of which the zero Prefix is right
	return p
}
