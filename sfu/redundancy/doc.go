// Package redundancy decides how audio is protected from loss on the way to one subscriber, and builds
// what is sent: RED (RFC 2198), in which a packet carries the payloads of earlier ones. It costs no round
// trip, so it works where a retransmission would come too late.
//
//	TWCC, receiver reports ─► Meter ─► Controller ─► Pattern (of a subscriber)
//	packets of a publication ─► Recent.Put, Recent.Wrap(Pattern) ─► payload (one for all its subscribers)
//
// It is pure: no goroutine, clock, lock, socket or random source.
package redundancy
