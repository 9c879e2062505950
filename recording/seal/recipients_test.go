package seal_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/tag"

	"github.com/bedside-video/bedside/recording/seal"
)

func classic(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// tagged is a recipient on a hardware token, from age's own example.
const tagged = "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e"

// mistyped has another last letter, which the checksum finds whatever it is.
func mistyped(recipient string) string {
	last := len(recipient) - 1
	if recipient[last] == 'q' {
		return recipient[:last] + "p"
	}
	return recipient[:last] + "q"
}

func TestParseRecipients(t *testing.T) {
	pq1, pq2 := identity(t).Recipient().String(), identity(t).Recipient().String()
	x1, x2 := classic(t).Recipient().String(), classic(t).Recipient().String()
	if _, err := tag.ParseRecipient(tagged); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		lines   []string
		quantum bool
		err     error
	}{
		{"none", nil, false, seal.ErrNoRecipient},
		{"an empty one", []string{""}, false, seal.ErrBadRecipient},
		{"one", []string{pq1}, false, seal.ErrOneRecipient},
		{"the same twice", []string{pq1, " " + pq1 + "\n"}, false, seal.ErrOneRecipient},
		{"two", []string{pq1, pq2}, true, nil},
		{"two classic", []string{x1, x2}, false, nil},
		{"classic and a token", []string{x1, tagged}, false, nil},
		{"mixed", []string{pq1, pq2, x1}, false, seal.ErrMixedRecipients},
		{"mixed, classic first", []string{x1, pq1}, false, seal.ErrMixedRecipients},
		{"token and post-quantum", []string{tagged, pq1}, false, seal.ErrMixedRecipients},
		{"plugin", []string{pq1, "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"}, false, seal.ErrPluginRecipient},
		{"plugin with a path for a name", []string{"age1../../x1qwt50d05nh5vut", pq1}, false, seal.ErrPluginRecipient},
		{"a typing error", []string{pq1, mistyped(pq2)}, false, seal.ErrBadRecipient},
		{"secret key", []string{pq1, identity(t).String()}, false, seal.ErrSecretKey},
		{"classic secret key", []string{pq1, strings.ToLower(classic(t).String())}, false, seal.ErrSecretKey},
		{"identity of a plugin", []string{"AGE-PLUGIN-YUBIKEY-1XYZ", pq1}, false, seal.ErrSecretKey},
		{"an ssh key", []string{"ssh-ed25519 AAAA", pq1}, false, seal.ErrBadRecipient},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := seal.ParseRecipients(tt.lines)
			if !errors.Is(err, tt.err) {
				t.Fatalf("ParseRecipients: %v, want %v", err, tt.err)
			}
			for _, line := range tt.lines {
				if err != nil && len(line) > 10 && strings.Contains(err.Error(), line) {
					t.Errorf("the error repeats what was given: %v", err)
				}
			}
			if r.PostQuantum != tt.quantum || err == nil && len(r.Fingerprints()) != 2 {
				t.Errorf("post-quantum %t, fingerprints %v", r.PostQuantum, r.Fingerprints())
			}
		})
	}
}

func TestKeys(t *testing.T) {
	records, escrow, stranger := identity(t), identity(t), identity(t)
	to, err := seal.ParseRecipients([]string{records.Recipient().String(), escrow.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	k, err := seal.NewKey(to)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(k.Wrapped, []byte("SECRET-KEY")) || !seal.IsWrapped(k.Wrapped) {
		t.Error("the key is not wrapped")
	}
	for _, id := range []age.Identity{records, escrow} {
		secret, err := seal.Unwrap(k.Wrapped, id)
		if err != nil {
			t.Fatal(err)
		}
		if secret.Recipient().String() != k.Public {
			t.Error("the wrapped key is another recording's")
		}
	}
	if _, err := seal.Unwrap(k.Wrapped, stranger); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("a stranger's identity: %v", err)
	}

	two, err := seal.ParseRecipients([]string{stranger.Recipient().String(), identity(t).Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.Rewrap(k.Wrapped, two, records)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := seal.Unwrap(again, stranger); err != nil || secret.Recipient().String() != k.Public {
		t.Errorf("rewrapped: %v", err)
	}
	if _, err := seal.Unwrap(again, records); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("rewrapped, the former recipient: %v", err)
	}
	if _, err := seal.Rewrap(k.Wrapped, seal.Recipients{}, records); !errors.Is(err, seal.ErrOneRecipient) {
		t.Errorf("rewrapped to nobody: %v", err)
	}
}

// Two recordings never share a key.
func TestKeysAreFresh(t *testing.T) {
	to, err := seal.ParseRecipients([]string{identity(t).Recipient().String(), identity(t).Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	var public []string
	for range 3 {
		k, err := seal.NewKey(to)
		if err != nil {
			t.Fatal(err)
		}
		public = append(public, k.Public)
	}
	slices.Sort(public)
	if len(slices.Compact(public)) != 3 {
		t.Error("a key was used twice")
	}
}

func TestIsWrapped(t *testing.T) {
	one, two := identity(t).Recipient(), identity(t).Recipient()
	tests := []struct {
		name string
		to   []age.Recipient
		text string // in place of a sealed file
		want bool
	}{
		{"two recipients", []age.Recipient{one, two}, "", true},
		{"one recipient", []age.Recipient{one}, "", false},
		{"nothing", nil, "", false},
		{"a secret key", nil, "AGE-SECRET-KEY-PQ-1", false},
		{"too large", nil, strings.Repeat("x", 1<<20), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := bytes.NewBufferString(tt.text)
			if tt.to != nil {
				w, err := age.Encrypt(b, tt.to...)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(w, "x")
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := seal.IsWrapped(b.Bytes()); got != tt.want {
				t.Errorf("IsWrapped = %t", got)
			}
		})
	}
}
