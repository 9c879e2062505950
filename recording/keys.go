package recording

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording/seal"
)

// Former keys. Whether what replaces a recording's key is the same one, sealed to others, only they can tell:
// the server cannot open it. So the one before is kept, and neither a mistake nor malice destroys a recording
// by replacing its key; that is what Erase is for, which says so. Whoever must not open it any more has the
// former keys destroyed (ForgetKeys) once the new one is known to open.
const (
	maxFormer  = 64 // times that a key can be replaced, also if the former ones were destroyed
	maxKeyFile = 1 << 20
)

// ErrManyKeys tells that a key was replaced as often as it can be.
var ErrManyKeys = fmt.Errorf("a recording's key can be replaced %d times", maxFormer)

// ErrOtherKey tells that a key is none of this recording's.
var ErrOtherKey = errors.New("the key is another recording's, and no former one opens it")

// formerKeyName is the name of the n-th key that there was before the present one, from 1.
func formerKeyName(id string, n int) string { return fmt.Sprintf("%s.key.%d.age", id, n) }

// formerKeys is how many former keys there are, with those that were destroyed.
func (d disk) formerKeys(id string) (n int, err error) {
	for ; n < maxFormer; n++ {
		if _, err := d.root.Stat(formerKeyName(id, n+1)); errors.Is(err, fs.ErrNotExist) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
	return n, nil
}

// formerKey is the n-th former key; fs.ErrNotExist if there is none, or no longer.
func (d disk) formerKey(id string, n int) ([]byte, error) {
	if n < 1 || n > maxFormer {
		return nil, fs.ErrNotExist
	}
	b, err := d.read(formerKeyName(id, n), maxKeyFile)
	if err == nil && len(b) == 0 {
		err = fs.ErrNotExist
	}
	return b, err
}

// keySet tells one state of a recording's keys from another.
func (d disk) keySet(id string) (set [sha256.Size]byte, err error) {
	all, err := d.read(keyName(id), maxKeyFile)
	if err != nil {
		return set, err
	}
	last, err := d.formerKeys(id)
	for n := 1; n <= last && err == nil; n++ {
		var b []byte
		if b, err = d.formerKey(id, n); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		all = fmt.Appendf(all, "\n%d:", len(b))
		all = append(all, b...)
	}
	return sha256.Sum256(all), err
}

// putKey replaces the key, and keeps the one that there was.
func (d disk) putKey(id string, wrapped []byte) error {
	if !seal.IsWrapped(wrapped) {
		return ErrBadKey
	}
	was, err := d.read(keyName(id), maxKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrErased
	case err != nil || bytes.Equal(was, wrapped):
		return err
	}
	n, err := d.formerKeys(id)
	if err != nil {
		return err
	}
	if n == maxFormer {
		return ErrManyKeys
	}
	if err := d.replace(formerKeyName(id, n+1), was); err != nil {
		return err
	}
	return d.replace(keyName(id), wrapped)
}

// forgetKeys destroys the former keys. Their numbers stay taken, by files without content, so that it is
// known what is to be destroyed elsewhere, too.
func (d disk) forgetKeys(id string) error {
	n, err := d.formerKeys(id)
	for ; n > 0 && err == nil; n-- {
		err = d.replace(formerKeyName(id, n), nil)
	}
	return err
}

// PutKey replaces a recording's key by the same sealed to others. Whether it is the same only they can
// tell, so the former one is kept.
func (s *Store) PutKey(id string, wrapped []byte) error {
	if !seal.IsWrapped(wrapped) {
		return ErrBadKey
	}
	return s.changeKeys(id, func(d disk) error { return d.putKey(id, wrapped) })
}

// ForgetKeys destroys the keys that were replaced: whom only they let in cannot open the recording any more,
// unless they have a copy.
func (s *Store) ForgetKeys(id string) error {
	return s.changeKeys(id, func(d disk) error { return d.forgetKeys(id) })
}

func (s *Store) changeKeys(id string, change func(disk) error) error {
	return s.with(id, func(d disk) error {
		s.changing.Lock()
		defer s.changing.Unlock()
		if _, err := d.root.Stat(keyName(id)); err != nil {
			return ErrErased
		}
		defer s.wakeUp()
		return errors.Join(s.unsettle(d, id), change(d))
	})
}

// FormerKey is the n-th key that there was before the present one, from 1; ErrNotFound if there is none.
func (s *Store) FormerKey(id string, n int) (b []byte, err error) {
	err = s.with(id, func(d disk) error {
		b, err = d.formerKey(id, n)
		if errors.Is(err, fs.ErrNotExist) {
			return ErrNotFound
		}
		return err
	})
	return b, err
}

// unlock opens the recording's key; nil without identities. A key that is not this recording's, or that these
// identities do not open, is found; if a former one does, that is used.
func unlock(src Source, m *Manifest, with []age.Identity) (key *age.HybridIdentity, found []Finding, err error) {
	if len(with) == 0 {
		return nil, nil, nil
	}
	wrapped, err := src.Key()
	if err != nil {
		return nil, nil, fmt.Errorf("key: %w", err)
	}
	key, err = fitting(wrapped, m, with)
	if err == nil {
		return key, nil, nil
	}
	for n := 1; n <= maxFormer; n++ {
		wrapped, read := src.FormerKey(n)
		if errors.Is(read, fs.ErrNotExist) || errors.Is(read, ErrNotFound) {
			break
		}
		if read != nil {
			return nil, nil, errors.Join(err, fmt.Errorf("former key %d: %w", n, read))
		}
		if key, fits := fitting(wrapped, m, with); fits == nil {
			what := "the key is another recording's"
			if !errors.Is(err, ErrOtherKey) {
				what = "the key is not opened by these identities"
			}
			return key, []Finding{{-1, fmt.Sprintf("%s; former key %d, which was replaced, opens the parts: rewrap puts it back", what, n)}}, nil
		}
	}
	return nil, nil, err
}

// fitting opens a key; ErrOtherKey if it is not that of the parts.
func fitting(wrapped []byte, m *Manifest, with []age.Identity) (*age.HybridIdentity, error) {
	key, err := seal.Unwrap(wrapped, with...)
	if err == nil && key.Recipient().String() != m.Key.Public {
		err = ErrOtherKey
	}
	return key, err
}

// Rewrap seals a recording's key to other recipients.
func Rewrap(src Source, to seal.Recipients, with ...age.Identity) ([]byte, error) {
	m, err := manifestOf(src)
	if err != nil {
		return nil, err
	}
	key, _, err := unlock(src, &m, with)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, seal.ErrWrongKey
	}
	return seal.Wrap(key, to)
}
