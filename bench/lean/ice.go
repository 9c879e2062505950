package lean

import (
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
)

const (
	// The first checks come fast, because a join waits for them; RFC 8445 section 14.2 paces them by
	// at least 5 ms and repeats after 500 ms, which Chromium does not wait for either.
	checkRepeat = 50 * time.Millisecond
	// RFC 7675 section 5.1: a check every 5 s, and no sending 30 s after the last answer.
	consentInterval = 5 * time.Second
	consentExpiry   = 30 * time.Second
	// giveUp ends a connection that never came up.
	giveUp = 30 * time.Second
	// checkPriority is that of a peer-reflexive candidate (RFC 8445 section 5.1.2.2).
	checkPriority   = 110<<24 | 65535<<8 | 255
	maxTransactions = 64 // whose answers are awaited; older ones are forgotten
)

// agent is the controlling side of ICE against one peer of known addresses: it checks all of them at
// once, nominates with each check and takes the first that answers, as RFC 8445 lets an agent do whose
// peer is lite; a full peer is answered, too. It is stepped: now is an argument.
type agent struct {
	ufrag, password             string
	remoteUfrag, remotePassword string
	tiebreaker                  uint64
	candidates                  []netip.AddrPort
	began                       time.Time
	due                         time.Time // of the next checks
	checks                      int
	pending                     []transaction // oldest first
	selected                    netip.AddrPort
	heard                       time.Time     // last answer from selected
	rtt                         time.Duration // of the last check of selected that was answered
	expired                     bool
}

type transaction struct {
	id [stun.TransactionIDSize]byte
	to netip.AddrPort
	at time.Time
}

// datagram is one to send.
type datagram struct {
	b  []byte
	to netip.AddrPort
}

// start begins to check.
func (a *agent) start(now time.Time, remote *Answer) {
	a.remoteUfrag, a.remotePassword, a.candidates = remote.ufrag, remote.password, remote.candidates
	a.began, a.due, a.heard = now, now, now
}

// tick returns the checks that are due, and when to tick next. Once consent has expired there are none.
func (a *agent) tick(now time.Time) ([]datagram, time.Time) {
	if a.began.IsZero() || a.expired {
		return nil, time.Time{}
	}
	if !a.selected.IsValid() && now.Sub(a.began) >= giveUp || a.selected.IsValid() && now.Sub(a.heard) >= consentExpiry {
		a.expired = true
		return nil, time.Time{}
	}
	if now.Before(a.due) {
		return nil, a.due
	}
	if a.selected.IsValid() {
		a.due = now.Add(consentInterval)
		return a.check(nil, now, a.selected), a.due
	}
	// 50, 100, 200 ms and so on to 1.6 s.
	a.due = now.Add(checkRepeat << min(a.checks, 5))
	a.checks++
	var out []datagram
	for _, to := range a.candidates {
		out = a.check(out, now, to)
	}
	return out, a.due
}

// check appends a binding request.
func (a *agent) check(out []datagram, now time.Time, to netip.AddrPort) []datagram {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(a.remoteUfrag+":"+a.ufrag),
		priority(checkPriority), controlling(a.tiebreaker), useCandidate{},
		stun.NewShortTermIntegrity(a.remotePassword), stun.Fingerprint)
	if err != nil {
		return out // a user name too long for STUN: nothing will ever answer, and the connection gives up
	}
	if len(a.pending) == maxTransactions {
		a.pending = append(a.pending[:0], a.pending[1:]...)
	}
	a.pending = append(a.pending, transaction{m.TransactionID, to, now})
	return append(out, datagram{m.Raw, to})
}

// handle takes a STUN message and returns the answer to it, if there is one.
func (a *agent) handle(now time.Time, b []byte, from netip.AddrPort) []byte {
	m := stun.New()
	if err := stun.Decode(b, m); err != nil || a.began.IsZero() {
		return nil
	}
	switch m.Type {
	case stun.BindingRequest:
		return a.respond(m, from)
	case stun.BindingSuccess:
		a.succeed(now, m, from)
	}
	return nil
}

// succeed takes the answer to a check.
func (a *agent) succeed(now time.Time, m *stun.Message, from netip.AddrPort) {
	if stun.NewShortTermIntegrity(a.remotePassword).Check(m) != nil {
		return
	}
	for i, t := range a.pending {
		if t.id != m.TransactionID || t.to != from { // RFC 8445 section 7.2.5.2.1: symmetric addresses
			continue
		}
		a.pending = append(a.pending[:i], a.pending[i+1:]...)
		if !a.selected.IsValid() {
			a.selected, a.due = from, now.Add(consentInterval)
		}
		if from == a.selected {
			a.heard, a.rtt = now, now.Sub(t.at)
		}
		return
	}
}

// respond answers the check of a peer that is not lite.
func (a *agent) respond(m *stun.Message, from netip.AddrPort) []byte {
	var user stun.Username
	if user.GetFrom(m) != nil || user.String() != a.ufrag+":"+a.remoteUfrag {
		return nil
	}
	integrity := stun.NewShortTermIntegrity(a.password)
	if integrity.Check(m) != nil {
		return nil
	}
	out, err := stun.Build(m, stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}, integrity, stun.Fingerprint)
	if err != nil {
		return nil
	}
	return out.Raw
}

// The attributes of RFC 8445 section 16.1.
type (
	priority     uint32
	controlling  uint64
	useCandidate struct{}
)

func (p priority) AddTo(m *stun.Message) error {
	m.Add(stun.AttrPriority, []byte{byte(p >> 24), byte(p >> 16), byte(p >> 8), byte(p)})
	return nil
}

func (c controlling) AddTo(m *stun.Message) error {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(c >> (56 - 8*i))
	}
	m.Add(stun.AttrICEControlling, b)
	return nil
}

func (useCandidate) AddTo(m *stun.Message) error {
	m.Add(stun.AttrUseCandidate, nil)
	return nil
}
