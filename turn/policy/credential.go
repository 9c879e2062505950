// Package policy is what the relay decides: who may use it, to reach whom, and how much. It reads no
// clock and holds no lock; the relay does both for it.
package policy

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // see Password
	"encoding/base32"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	// NameBytes are the random bytes of a user name: 80 bits, as many as nobody guesses, and which say
	// nothing about a person.
	NameBytes = 10
	// SecretBytes is the least length of a secret.
	SecretBytes = 32
	// maxName bounds a user name that is looked at; ours have 27 bytes.
	maxName = 64
)

// ErrSecret tells that a secret is too short.
var ErrSecret = errors.New("policy: a relay's secret has 32 bytes at least")

// Credential lets somebody use the relay.
type Credential struct {
	Username string
	Password string
	Expires  time.Time // for new allocations
}

// Secrets make passwords of user names. Credentials of the previous secret stay good, so that a secret
// can be changed while people talk.
type Secrets struct{ current, previous string }

// NewSecrets takes the secret that makes new credentials, and the one before it, or nil.
func NewSecrets(current, previous []byte) (Secrets, error) {
	if len(current) < SecretBytes || (previous != nil && len(previous) < SecretBytes) {
		return Secrets{}, ErrSecret
	}
	return Secrets{current: string(current), previous: string(previous)}, nil
}

// Issue makes a credential that is good for new allocations until expires.
func (s Secrets) Issue(random [NameBytes]byte, expires time.Time) Credential {
	name := strconv.FormatInt(expires.Unix(), 10) + ":" + strings.ToLower(base32.StdEncoding.EncodeToString(random[:]))
	return Credential{Username: name, Password: password(s.current, name), Expires: expires}
}

// Passwords returns those that a user name may have, by each secret.
func (s Secrets) Passwords(username string) []string {
	all := []string{password(s.current, username)}
	if s.previous != "" {
		all = append(all, password(s.previous, username))
	}
	return all
}

// Expiry returns until when a user name is good for new allocations.
func Expiry(username string) (time.Time, bool) {
	if len(username) > maxName {
		return time.Time{}, false
	}
	at, name, ok := strings.Cut(username, ":")
	unix, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || name == "" || unix < 0 {
		return time.Time{}, false
	}
	return time.Unix(unix, 0), true
}

// password is that of draft-uberti-behave-turn-rest-00, which other relays know, too (coturn: use-auth-secret).
// That HMAC is with SHA-1, whose collisions do not matter to it (RFC 6151 says so even of MD5).
func password(secret, username string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
