// Package forward does the books of forwarding. On the way in, Receiver says what of one encoding
// has come and what is missing, and Cache keeps the last of it. On the way out, Rewriter renumbers
// everything that leaves one slot so that a browser sees a single stream for ever, whoever and
// whichever encoding is behind it, and History remembers how, for retransmissions.
//
// It is pure: no goroutine, clock, lock, socket or random source. Nothing here may be used by two
// goroutines at a time.
package forward

import "time"

// Stream identifies one incoming encoding for as long as the process lives. It is never used
// again; 0 is none.
type Stream uint64

// units converts a duration to units of an RTP clock, modulo 2^32.
func units(d time.Duration, clockRate uint32) uint32 {
	// In two steps: nanoseconds times 90,000 overflow an int64 after 28 hours.
	whole := int64(d/time.Second) * int64(clockRate)
	part := int64(d%time.Second) * int64(clockRate) / int64(time.Second)
	return uint32(whole + part)
}
