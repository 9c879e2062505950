package forward

import "time"

// keyFrameInterval is the least time between two requests for a key frame of one encoding. The
// encoders of Chromium and Firefox answer a second request within 300 to 500 ms with nothing
// (2026-11-22).
const keyFrameInterval = 500 * time.Millisecond

// KeyFrameRequests decides when to ask a publisher for a key frame of one encoding, whoever and
// however many want one: at once, at most every 500 ms, and again until it comes. The zero value
// wants none.
type KeyFrameRequests struct {
	pending bool
	sent    time.Time // the last request; zero before any
}

// Want notes that somebody needs a key frame, and tells whether to request it now.
func (k *KeyFrameRequests) Want(now time.Time) (send bool) {
	k.pending = true
	return k.Due(now)
}

// Arrived notes that a key frame has come.
func (k *KeyFrameRequests) Arrived() { k.pending = false }

// Cancel notes that nobody needs a key frame any more.
func (k *KeyFrameRequests) Cancel() { k.pending = false }

// Due tells whether to request a key frame now, and takes it that the caller does.
func (k *KeyFrameRequests) Due(now time.Time) (send bool) {
	if at, ok := k.Next(); !ok || now.Before(at) {
		return false
	}
	k.sent = now
	return true
}

// Next is when Due becomes true, false for never. It may be in the past.
func (k *KeyFrameRequests) Next() (at time.Time, ok bool) {
	if !k.pending {
		return time.Time{}, false
	}
	if k.sent.IsZero() {
		return time.Time{}, true
	}
	return k.sent.Add(keyFrameInterval), true
}

// Pending tells whether a key frame is waited for.
func (k *KeyFrameRequests) Pending() bool { return k.pending }
