package signaling

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	sessionTokenLife = 60 * time.Second // from POST /v1/join to the first WebSocket message
	resumeTokenLife  = 10 * time.Minute
	resumeRotation   = 5 * time.Minute // so that a client always has one with 5 minutes left
	usedTokenMemory  = 2 * time.Minute // longer than sessionTokenLife
	maxUsedTokens    = 1 << 16         // of 2 minutes: 546 joins a second
	maxTokenBytes    = 4 << 10         // before any parsing (CVE-2025-30204: splitting at dots)
	// tokenHeader is {"alg":"EdDSA","typ":"JWT"}, with which all our tokens begin. What begins otherwise
	// is not read: no header can choose how it is checked, or name a key (RFC 8725 section 3.1, 3.10).
	tokenHeader     = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9."
	audienceSession = "bedside-session"
	audienceResume  = "bedside-resume"
)

// claims are what both kinds of token say. They name nobody: ids only.
type claims struct {
	jwt.RegisteredClaims
	Consultation string `json:"cid"`
	Epoch        uint32 `json:"epoch"`
	Session      string `json:"sid,omitempty"`  // of a resume token: the session it continues
	Boot         string `json:"boot,omitempty"` // of a session token: which run of the server remembers its use
}

// tokens makes and checks tokens and invitations. It is safe for concurrent use.
type tokens struct {
	key    ed25519.PrivateKey
	secret []byte // of invitations
	issuer string
	boot   string // new at each start
	clock  func() time.Time
	rand   io.Reader

	mu   sync.Mutex
	used map[string]bool
	fifo []usedToken // in the order of use, which is the order in which they are forgotten
}

type usedToken struct {
	id string
	at time.Time
}

// session returns a token with which the participant can open one session.
func (t *tokens) session(consultation, participant string, epoch uint32) (string, error) {
	id, err := t.newID("t_")
	if err != nil {
		return "", err
	}
	return t.sign(audienceSession, sessionTokenLife, claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: participant, ID: id},
		Consultation:     consultation, Epoch: epoch, Boot: t.boot,
	})
}

// resume returns a token with which the participant can continue a session that was lost.
func (t *tokens) resume(consultation, participant, session string, epoch uint32) (string, error) {
	return t.sign(audienceResume, resumeTokenLife, claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: participant},
		Consultation:     consultation, Epoch: epoch, Session: session,
	})
}

func (t *tokens) sign(audience string, life time.Duration, c claims) (string, error) {
	now := t.clock()
	c.Issuer, c.Audience = t.issuer, jwt.ClaimStrings{audience}
	c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now.Add(life))
	signed, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c).SignedString(t.key)
	if err != nil {
		return "", fmt.Errorf("signaling: sign token: %w", err)
	}
	return signed, nil
}

// check returns what a token of the audience says. A session token is good once. The error is a
// *consult.Error.
func (t *tokens) check(raw, audience string) (claims, error) {
	invalid := &consult.Error{Code: wire.CodeTokenInvalid, Detail: "the token is not one of this server's"}
	// encoding/base64 skips line ends, so that they have to be looked for.
	if len(raw) > maxTokenBytes || !strings.HasPrefix(raw, tokenHeader) || strings.ContainsAny(raw, "\r\n") {
		return claims{}, invalid
	}
	var c claims
	_, err := jwt.ParseWithClaims(raw, &c, func(*jwt.Token) (any, error) { return t.key.Public(), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(),
		jwt.WithAudience(audience), jwt.WithIssuer(t.issuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(t.clock))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return claims{}, &consult.Error{Code: wire.CodeTokenExpired, Detail: "the token has expired"}
	case err != nil || !c.complete(audience):
		return claims{}, invalid
	case audience == audienceSession && c.Boot != t.boot:
		// Which tokens had been used is forgotten with the process; one of before might be used twice.
		return claims{}, &consult.Error{Code: wire.CodeTokenExpired, Detail: "the server has started again meanwhile"}
	case audience == audienceSession:
		if err := t.use(c.ID); err != nil {
			return claims{}, err
		}
	}
	return c, nil
}

// complete reports whether a token says what those of its audience do, and lives no longer. Only
// whoever has our key can make one that does not; it is good for as little as ours then.
func (c claims) complete(audience string) bool {
	life, id := resumeTokenLife, c.Session
	if audience == audienceSession {
		life, id = sessionTokenLife, c.ID
	}
	return id != "" && c.IssuedAt != nil && c.ExpiresAt.Sub(c.IssuedAt.Time) <= life
}

// use remembers a token's id, and refuses one that it remembers.
func (t *tokens) use(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock()
	for len(t.fifo) > 0 && now.Sub(t.fifo[0].at) >= usedTokenMemory {
		delete(t.used, t.fifo[0].id)
		t.fifo = t.fifo[1:]
	}
	if t.used[id] {
		return &consult.Error{Code: wire.CodeTokenUsed, Detail: "the token has been used"}
	}
	if len(t.fifo) >= maxUsedTokens {
		// Forgetting one early would make it good twice.
		return &consult.Error{Code: wire.CodeUnavailable, Detail: "too many people join at once"}
	}
	t.used[id] = true
	t.fifo = append(t.fifo, usedToken{id, now})
	return nil
}

// newID returns prefix and 128 random bits in base64url.
func (t *tokens) newID(prefix string) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(t.rand, b[:]); err != nil {
		return "", fmt.Errorf("signaling: random numbers: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// invitation returns a participant's invitation of an epoch: 132 bits that can be shown again
// without having been stored.
func (t *tokens) invitation(consultation, participant string, epoch uint32) string {
	return t.mac("invitation", consultation, participant, string(binary.BigEndian.AppendUint32(nil, epoch)))
}

// consultation returns the id of the consultation with a tenant's external id: the same for the
// same, so that a scheduler may repeat a request whose answer was lost.
func (t *tokens) consultation(tenant, externalID string) string {
	return "c_" + t.mac("consultation", tenant, externalID)
}

func (t *tokens) mac(parts ...string) string {
	return base64.RawURLEncoding.EncodeToString(t.digest(parts...))[:22]
}

func (t *tokens) digest(parts ...string) []byte {
	h := hmac.New(sha256.New, t.secret)
	for _, p := range parts {
		// The length before each part keeps ("ab", "c") and ("a", "bc") apart.
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// hashOf is under what an invitation or an API key is looked up: whoever reads the store or the
// configuration does not learn it.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
