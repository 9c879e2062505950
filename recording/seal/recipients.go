package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/tag"
)

// Why recipients are refused. The text that follows names the place in the list, never the string:
// one that was pasted into the wrong field may be a secret.
var (
	ErrNoRecipient     = errors.New("no recipient: nobody could ever open a recording")
	ErrOneRecipient    = errors.New("only one recipient: with its key lost, every recording is lost; name a second one, kept elsewhere")
	ErrMixedRecipients = errors.New("classic and post-quantum recipients mixed: whoever breaks the classic one reads everything")
	ErrPluginRecipient = errors.New("recipient of a plugin: the server runs no programs of others")
	ErrSecretKey       = errors.New("a secret key among the recipients: it must not be on this machine; it counts as lost")
	ErrBadRecipient    = errors.New("not a recipient of age")
)

// Recipients are those to whom a recording's key is sealed. The zero value has none.
type Recipients struct {
	list  []age.Recipient
	names []string
	// PostQuantum tells that no recipient can be opened by a quantum computer (ML-KEM-768).
	PostQuantum bool
}

const minRecipients = 2

// ParseRecipients reads public keys: at least two different ones, all classic (age1…, age1tag1…) or
// all post-quantum (age1pq1…, age1tagpq1…).
func ParseRecipients(lines []string) (Recipients, error) {
	var r Recipients
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if slices.Contains(r.names, line) {
			continue
		}
		to, quantum, err := parseRecipient(line)
		if err != nil {
			return Recipients{}, fmt.Errorf("recipient %d: %w", i+1, err)
		}
		if len(r.list) > 0 && quantum != r.PostQuantum {
			return Recipients{}, fmt.Errorf("recipient %d: %w", i+1, ErrMixedRecipients)
		}
		r.PostQuantum = quantum
		r.list, r.names = append(r.list, to), append(r.names, line)
	}
	switch len(r.list) {
	case 0:
		return Recipients{}, ErrNoRecipient
	case minRecipients - 1:
		return Recipients{}, ErrOneRecipient
	}
	return r, nil
}

// parseRecipient never runs anything: of the recipients that age's command would hand to a plugin it
// knows the two that the format itself defines.
func parseRecipient(line string) (to age.Recipient, quantum bool, err error) {
	kind, _, isKey := strings.Cut(strings.TrimPrefix(line, "age1"), "1")
	switch {
	case strings.HasPrefix(strings.ToUpper(line), "AGE-SECRET-KEY-") || strings.HasPrefix(strings.ToUpper(line), "AGE-PLUGIN-"):
		return nil, false, ErrSecretKey
	case !strings.HasPrefix(line, "age1"):
		return nil, false, ErrBadRecipient
	case !isKey:
		to, err = age.ParseX25519Recipient(line)
	case kind == "pq":
		to, err = age.ParseHybridRecipient(line)
		quantum = true
	case kind == "tag" || kind == "tagpq":
		to, err = tag.ParseRecipient(line)
		quantum = kind == "tagpq"
	default:
		return nil, false, ErrPluginRecipient
	}
	if err != nil {
		return nil, false, ErrBadRecipient
	}
	return to, quantum, nil
}

// Fingerprints name the recipients, in the order given: what a manifest says of them.
func (r *Recipients) Fingerprints() []string {
	var all []string
	for _, name := range r.names {
		all = append(all, Fingerprint(name))
	}
	return all
}

// Lines are the recipients as text, in the order given.
func (r *Recipients) Lines() []string { return slices.Clone(r.names) }

// Fingerprint of one recipient: the SHA-256 of its text, in hexadecimal.
func Fingerprint(recipient string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(recipient)))
	return hex.EncodeToString(sum[:])
}
