package turn

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bedside-video/bedside/turn/policy"
)

const (
	// CredentialLife is how long a credential makes new allocations. A session gets another one before.
	CredentialLife = 10 * time.Minute
	// RenewAfter is when a session is to get it: a client has then the rest of the time to notice.
	RenewAfter = 8 * time.Minute
	// sessionNames bounds the user names of one session: a day and a half of calling. The oldest is
	// forgotten then, and what it has allocated expires.
	sessionNames = 256
)

// Credentials are those of the sessions of this process. They die with their session.
type Credentials struct {
	secrets policy.Secrets
	clock   func() time.Time
	rand    io.Reader

	mu       sync.Mutex
	names    map[string]issued   // by user name
	sessions map[string][]string // user names of each, oldest first; <= sessionNames
}

type issued struct {
	session string
	expires time.Time
}

// NewCredentials returns a set that is empty.
func NewCredentials(s policy.Secrets, clock func() time.Time, random io.Reader) *Credentials {
	return &Credentials{secrets: s, clock: clock, rand: random, names: map[string]issued{}, sessions: map[string][]string{}}
}

// Issue makes a credential of a session.
func (c *Credentials) Issue(session string) (policy.Credential, error) {
	var random [policy.NameBytes]byte
	if _, err := io.ReadFull(c.rand, random[:]); err != nil {
		return policy.Credential{}, fmt.Errorf("turn: random numbers: %w", err)
	}
	out := c.secrets.Issue(random, c.clock().Add(CredentialLife))
	c.mu.Lock()
	defer c.mu.Unlock()
	names := append(c.sessions[session], out.Username)
	if len(names) > sessionNames {
		delete(c.names, names[0])
		names = names[1:]
	}
	c.sessions[session] = names
	c.names[out.Username] = issued{session: session, expires: out.Expires}
	return out, nil
}

// End makes all credentials of a session worthless.
func (c *Credentials) End(session string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.sessions[session] {
		delete(c.names, n)
	}
	delete(c.sessions, session)
}

// Find implements Authority.
func (c *Credentials) Find(now time.Time, username string) (Grant, bool) {
	c.mu.Lock()
	i, known := c.names[username]
	c.mu.Unlock()
	if !known {
		return Grant{}, false
	}
	return Grant{Owner: i.session, Passwords: c.secrets.Passwords(username), Fresh: now.Before(i.expires)}, true
}

// lastRefresh is how long after its expiry a credential may keep what it has allocated at a relay that
// does not know its session: as long as a consultation lasts.
const lastRefresh = 24 * time.Hour

// Shared is the authority of a relay that knows nothing but the secrets of the media server.
type Shared struct{ secrets policy.Secrets }

// NewShared returns an authority for a relay of its own.
func NewShared(s policy.Secrets) Shared { return Shared{secrets: s} }

// Find implements Authority.
func (s Shared) Find(now time.Time, username string) (Grant, bool) {
	expires, ok := policy.Expiry(username)
	if !ok || now.After(expires.Add(lastRefresh)) || expires.After(now.Add(lastRefresh)) {
		return Grant{}, false
	}
	return Grant{Owner: username, Passwords: s.secrets.Passwords(username), Fresh: now.Before(expires)}, true
}
