package turn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
)

// nonceLife is how long a nonce is good: RFC 8656 section 5 wants an hour at most. After it a request
// costs one more round trip.
const nonceLife = time.Hour

// nonces makes nonces that need not be remembered: a time and a MAC over it and the client's address.
type nonces struct{ key [32]byte }

const nonceBytes = 8 + 16

func (n *nonces) make(now time.Time, from netip.Addr) string {
	return hex.EncodeToString(n.sign(uint64(now.Unix()), from))
}

func (n *nonces) sign(at uint64, from netip.Addr) []byte {
	mac := hmac.New(sha256.New, n.key[:])
	b := binary.BigEndian.AppendUint64(make([]byte, 0, nonceBytes+sha256.Size), at)
	mac.Write(b)
	ip := from.As16()
	mac.Write(ip[:])
	return mac.Sum(b)[:nonceBytes]
}

// good tells whether a nonce is ours and not too old.
func (n *nonces) good(now time.Time, nonce []byte, from netip.Addr) bool {
	var b [nonceBytes]byte
	if len(nonce) != hex.EncodedLen(nonceBytes) {
		return false
	}
	if _, err := hex.Decode(b[:], nonce); err != nil {
		return false
	}
	at := binary.BigEndian.Uint64(b[:])
	if !hmac.Equal(b[:], n.sign(at, from)) {
		return false
	}
	age := now.Sub(time.Unix(int64(at), 0))
	return age < nonceLife
}

// identity is who has shown a password.
type identity struct {
	Grant
	username string
	key      stun.MessageIntegrity
}

// errUnanswered tells that a request was refused, and the client told so if it may be.
var errUnanswered = errors.New("refused")

// authenticate finds out who asks (RFC 8489 section 9.2.4). Whoever it is not is answered seldom: see
// Relay.mayAnswer.
func (r *Relay) authenticate(now time.Time, c client, m *stun.Message) (identity, error) {
	from := c.address().Addr()
	integrity, err := m.Get(stun.AttrMessageIntegrity)
	if err != nil {
		return identity{}, r.challenge(now, c, m, stun.CodeUnauthorized)
	}
	username, noName := m.Get(stun.AttrUsername)
	realm, noRealm := m.Get(stun.AttrRealm)
	nonce, noNonce := m.Get(stun.AttrNonce)
	if noName != nil || noRealm != nil || noNonce != nil || len(integrity) != 20 {
		return identity{}, r.challenge(now, c, m, stun.CodeBadRequest)
	}
	if !r.nonces.good(now, nonce, from) {
		return identity{}, r.challenge(now, c, m, stun.CodeStaleNonce)
	}
	grant, known := r.o.Authority.Find(now, string(username))
	if !known || string(realm) != r.o.Realm {
		return identity{}, r.challenge(now, c, m, stun.CodeUnauthorized)
	}
	for _, p := range grant.Passwords {
		key := stun.NewLongTermIntegrity(string(username), r.o.Realm, p)
		if key.Check(m) == nil {
			return identity{Grant: grant, username: string(username), key: key}, nil
		}
	}
	return identity{}, r.challenge(now, c, m, stun.CodeUnauthorized)
}

// challenge refuses somebody who has shown no password.
func (r *Relay) challenge(now time.Time, c client, m *stun.Message, code stun.ErrorCode) error {
	r.stats.refused(m.Type.Method, code)
	if !r.mayAnswer(now, c) {
		r.stats.silenced.Add(1)
		return errUnanswered
	}
	if code == stun.CodeBadRequest {
		say(c, answer(m, stun.ClassErrorResponse, code))
		return errUnanswered
	}
	say(c, answer(m, stun.ClassErrorResponse, code, stun.NewRealm(r.o.Realm), stun.NewNonce(r.nonces.make(now, c.address().Addr()))))
	return errUnanswered
}

// refuse tells somebody who has shown a password that it may not be.
func (r *Relay) refuse(c client, m *stun.Message, id identity, code stun.ErrorCode, more ...stun.Setter) {
	r.stats.refused(m.Type.Method, code)
	say(c, answer(m, stun.ClassErrorResponse, append(append([]stun.Setter{code}, more...), id.key)...))
}

// grant tells that it is done.
func (r *Relay) grant(c client, m *stun.Message, id identity, what ...stun.Setter) {
	r.stats.granted(m.Type.Method)
	say(c, answer(m, stun.ClassSuccessResponse, append(what, id.key)...))
}
