package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key signs a log and knows the keys that signed it before. Its name is the log's origin.
type Key struct {
	signer note.Signer
	secret string   // as NewSigner takes it
	vkeys  []string // its own first, then the retired ones, newest first
}

// NewKey makes a key for the log called origin: a name without spaces and plus signs, by which its
// checkpoints are told from those of other logs, for instance "video.hospital.example/audit".
func NewKey(origin string, random io.Reader) (Key, error) {
	secret, vkey, err := note.GenerateKey(random, origin)
	if err != nil {
		return Key{}, fmt.Errorf("audit: new key: %w", err)
	}
	k, err := parseKey([]byte(secret + "\n" + vkey + "\n"))
	if err != nil {
		return Key{}, fmt.Errorf("audit: new key for %q: %w", origin, err)
	}
	return k, nil
}

// LoadOrCreateKey reads the key at path, or makes one for origin and writes it there. The file is
// readable by its owner only; whoever has it can rewrite the log.
func LoadOrCreateKey(path, origin string) (Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		k, err := NewKey(origin, rand.Reader)
		if err != nil {
			return Key{}, err
		}
		return k, k.save(path)
	}
	if err != nil {
		return Key{}, fmt.Errorf("audit: load key: %w", err)
	}
	k, err := parseKey(text)
	if err != nil {
		return Key{}, fmt.Errorf("audit: load key from %s: %w", path, err)
	}
	return k, nil
}

// RotateKey replaces the key at path by a new one for the same log. What the old one signed stays
// valid. It takes effect when the log is opened with the new key.
func RotateKey(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("audit: rotate key: %w", err)
	}
	old, err := parseKey(text)
	if err != nil {
		return Key{}, fmt.Errorf("audit: rotate key in %s: %w", path, err)
	}
	k, err := NewKey(old.Origin(), rand.Reader)
	if err != nil {
		return Key{}, err
	}
	k.vkeys = append(k.vkeys, old.vkeys...)
	return k, k.save(path)
}

// Origin names the log that the key belongs to.
func (k Key) Origin() string { return k.signer.Name() }

// VerifierKeys returns what anybody may have who checks the log: the keys to verify its signatures
// with, the one in use first.
func (k Key) VerifierKeys() []string { return append([]string(nil), k.vkeys...) }

// The file has the secret key on its first line and verifier keys, one a line, after it.
func parseKey(text []byte) (Key, error) {
	lines := strings.Fields(string(text))
	if len(lines) < 2 {
		return Key{}, errors.New("not a key file")
	}
	signer, err := note.NewSigner(lines[0])
	if err != nil {
		return Key{}, errors.New("not a key file: the first line is no signing key")
	}
	k := Key{signer: signer, secret: lines[0], vkeys: lines[1:]}
	v, err := newVerifier(k.vkeys)
	if err != nil {
		return Key{}, err
	}
	if own, err := note.NewVerifier(k.vkeys[0]); err != nil || own.KeyHash() != signer.KeyHash() || v.origin != signer.Name() {
		return Key{}, errors.New("not a key file: its verifier key belongs to another signing key")
	}
	return k, nil
}

// save replaces the file in one step.
func (k Key) save(path string) error {
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(filepath.Clean(dir), 0o700); err != nil {
		return fmt.Errorf("audit: save key: %w", err)
	}
	d, err := openDisk(filepath.Clean(dir))
	if err != nil {
		return fmt.Errorf("audit: save key: %w", err)
	}
	err = d.replace(name, []byte(k.secret+"\n"+strings.Join(k.vkeys, "\n")+"\n"))
	if err := errors.Join(err, d.close()); err != nil {
		return fmt.Errorf("audit: save key: %w", err)
	}
	return nil
}

// verifier knows a log's keys.
type verifier struct {
	origin string
	keys   note.Verifiers
}

func newVerifier(vkeys []string) (verifier, error) {
	var v verifier
	var list []note.Verifier
	for _, text := range vkeys {
		one, err := note.NewVerifier(text)
		if err != nil {
			return v, fmt.Errorf("verifier key: %w", err)
		}
		if v.origin != "" && v.origin != one.Name() {
			return v, fmt.Errorf("verifier keys of different logs: %s and %s", v.origin, one.Name())
		}
		v.origin = one.Name()
		list = append(list, one)
	}
	if len(list) == 0 {
		return v, errors.New("no verifier key")
	}
	v.keys = note.VerifierList(list...)
	return v, nil
}
