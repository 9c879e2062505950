package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// maxKey bounds a sealed key: some 2 kB for each recipient.
const maxKey = 256 << 10

// ErrWrongKey tells that none of the identities is one of those to whom something is sealed.
var ErrWrongKey = errors.New("none of these identities opens it")

// Key is one recording's own, made anew for each. Nothing of it can open the recording: the secret
// half is in Wrapped, sealed to the hospital.
type Key struct {
	Public  string // age1pq1…: what the parts are sealed to
	Wrapped []byte // the file R.key.age
}

// NewKey makes the key of one recording. The secret half has left every variable when it returns, but
// not the memory that the garbage collector has yet to clean: a server makes keys in a process of
// their own, which ends.
func NewKey(to Recipients) (Key, error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return Key{}, fmt.Errorf("new key: %w", err)
	}
	wrapped, err := wrap(id.String(), to)
	if err != nil {
		return Key{}, err
	}
	return Key{Public: id.Recipient().String(), Wrapped: wrapped}, nil
}

func wrap(identity string, to Recipients) ([]byte, error) {
	if len(to.list) < minRecipients {
		return nil, ErrOneRecipient
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to.list...)
	if err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	if _, err := io.WriteString(w, identity+"\n"); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	return b.Bytes(), nil
}

// Unwrap opens a recording's key with the hospital's identities. ErrWrongKey if none fits.
func Unwrap(wrapped []byte, with ...age.Identity) (*age.HybridIdentity, error) {
	text, err := unwrap(wrapped, with)
	if err != nil {
		return nil, err
	}
	id, err := age.ParseHybridIdentity(text)
	if err != nil {
		return nil, errors.New("unwrap key: what is sealed is no recording's key")
	}
	return id, nil
}

func unwrap(wrapped []byte, with []age.Identity) (string, error) {
	if len(wrapped) > maxKey {
		return "", fmt.Errorf("unwrap key: larger than %d bytes", maxKey)
	}
	r, err := age.Decrypt(bytes.NewReader(wrapped), with...)
	if err != nil {
		if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
			return "", fmt.Errorf("unwrap key: %w", ErrWrongKey)
		}
		return "", fmt.Errorf("unwrap key: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxKey))
	if err != nil {
		return "", fmt.Errorf("unwrap key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// Wrap seals a recording's key to recipients.
func Wrap(key *age.HybridIdentity, to Recipients) ([]byte, error) { return wrap(key.String(), to) }

// Rewrap seals a recording's key to other recipients: the recording itself stays as it is.
func Rewrap(wrapped []byte, to Recipients, with ...age.Identity) ([]byte, error) {
	id, err := Unwrap(wrapped, with...)
	if err != nil {
		return nil, err
	}
	return wrap(id.String(), to)
}

// IsWrapped tells whether b looks like what a key file must be: a file of age that is sealed to at
// least two. To whom cannot be told without an identity.
func IsWrapped(b []byte) bool {
	if len(b) > maxKey {
		return false
	}
	header, err := age.ExtractHeader(bytes.NewReader(b))
	return err == nil && bytes.Count(header, []byte("\n-> ")) >= minRecipients && len(b) > len(header)
}
