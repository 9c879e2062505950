package signaling

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

// A PIN goes to the person by another way than the link: whoever finds the link in a mailbox does
// not get in with it. Six digits withstand guessing only because of the lock: five guesses hit with
// 1 in 200,000.
const (
	pinDigits    = 6
	pinLock      = 15 * time.Minute
	pinTries     = 5  // wrong ones, for one invitation
	networkTries = 20 // for a /24 or /48: a provider may put a whole town behind one address
	// maxLocks bounds the memory of a lockout to some 10 MB.
	maxLocks = 1 << 16
)

// pin returns a participant's PIN of an epoch: like the invitation, it need not be stored.
func (t *tokens) pin(consultation, participant string, epoch uint32) string {
	sum := t.digest("pin", consultation, participant, string(binary.BigEndian.AppendUint32(nil, epoch)))
	// 2^64 modulo 10^6 favours some PINs by less than 1 in 10^13.
	return fmt.Sprintf("%0*d", pinDigits, binary.BigEndian.Uint64(sum)%1_000_000)
}

// checkPIN refuses unless the PIN is the person's and neither invitation nor network are locked.
func (s *Server) checkPIN(now time.Time, rec record, p *person, pin, remote string) error {
	if pin == "" {
		return problem(http.StatusForbidden, wire.CodePINRequired, "the participant got a PIN beside the link: send it, too")
	}
	right := subtle.ConstantTimeCompare([]byte(pin), []byte(s.tokens.pin(rec.ID, p.ID, p.Epoch))) == 1
	until, ok := s.pins.try(now, p.ID, prefixOf(remote), right)
	event := audit.Event{Tenant: rec.Tenant, Consultation: rec.ID, Actor: p.actor(), Net: prefixOf(remote)}
	switch {
	case ok:
		return nil
	case until.IsZero():
		err := problem(http.StatusForbidden, wire.CodePINWrong, "not the participant's PIN")
		s.refused(audit.PINFailed, &event, err)
		return err
	}
	err := problem(http.StatusTooManyRequests, wire.CodePINLocked, "too many wrong PINs: try again later, or ask for another link")
	s.refused(audit.PINLocked, &event, err)
	err.retryAfter = until.Sub(now)
	return err
}

// lockout counts wrong PINs. It is in memory: whoever can restart the server needs no PIN.
type lockout struct {
	mu    sync.Mutex
	wrong map[string]*wrongPINs
	swept time.Time
}

type wrongPINs struct {
	count int
	last  time.Time // the first of a row is forgotten pinLock after the last
}

func newLockout() *lockout { return &lockout{wrong: make(map[string]*wrongPINs)} }

// try counts one attempt. It reports whether it is good; if not, until is when the lock ends, or zero
// if there is none. The right PIN does not open a lock, and trying does not lengthen it.
func (l *lockout) try(now time.Time, invitation, network string, right bool) (until time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine, theirs := l.of(now, "i"+invitation), l.of(now, "n"+network)
	if mine == nil || theirs == nil {
		return now.Add(pinLock), false // no room to count: nobody guesses meanwhile
	}
	for _, lock := range []struct {
		w     *wrongPINs
		tries int
	}{{mine, pinTries}, {theirs, networkTries}} {
		if end := lock.w.last.Add(pinLock); lock.w.count >= lock.tries && end.After(until) {
			until = end
		}
	}
	switch {
	case !until.IsZero():
		return until, false
	case right:
		mine.count = 0
		return time.Time{}, true
	}
	mine.count++
	theirs.count++
	mine.last, theirs.last = now, now
	return time.Time{}, false
}

// of returns the count of a key, or nil when there is no room for another.
func (l *lockout) of(now time.Time, key string) *wrongPINs {
	w := l.wrong[key]
	if w != nil {
		if now.Sub(w.last) >= pinLock {
			w.count = 0
		}
		return w
	}
	if len(l.wrong) >= maxLocks && now.Sub(l.swept) >= time.Second {
		l.swept = now
		for k, w := range l.wrong {
			if w.count == 0 || now.Sub(w.last) >= pinLock {
				delete(l.wrong, k)
			}
		}
	}
	if len(l.wrong) >= maxLocks {
		return nil
	}
	w = new(wrongPINs)
	l.wrong[key] = w
	return w
}
