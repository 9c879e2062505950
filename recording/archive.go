package recording

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Source is where the files of one recording come from: a directory, or a server.
type Source interface {
	Manifest() ([]byte, error)
	Key() ([]byte, error)
	// FormerKey is the n-th key that was replaced, from 1; fs.ErrNotExist or ErrNotFound behind the last.
	FormerKey(n int) ([]byte, error)
	Part(n int) (io.ReadCloser, error)
}

// Archive is a directory of recordings as whoever holds the keys sees it: that of a server or a copy.
type Archive struct{ root *os.Root }

// OpenArchive opens a directory of recordings.
func OpenArchive(dir string) (*Archive, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	return &Archive{root}, nil
}

// Close closes the directory.
func (a *Archive) Close() error { return a.root.Close() }

// IDs lists the recordings, the oldest first.
func (a *Archive) IDs() ([]string, error) {
	entries, err := fs.ReadDir(a.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && validID(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Recording is one of the directory's.
func (a *Archive) Recording(id string) (*Files, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	root, err := a.root.OpenRoot(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w", id, err)
	}
	return &Files{id, disk{root}}, nil
}

// Files are one recording in a directory.
type Files struct {
	id string
	d  disk
}

// Close closes the directory.
func (f *Files) Close() error { return f.d.root.Close() }

// Manifest as it is stored.
func (f *Files) Manifest() ([]byte, error) { return f.d.read(manifestName(f.id), maxEncoded) }

// Key as it is stored, sealed.
func (f *Files) Key() ([]byte, error) {
	b, err := f.d.read(keyName(f.id), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrErased
	}
	return b, err
}

// Part as it is stored, sealed.
func (f *Files) Part(n int) (io.ReadCloser, error) { return f.d.root.Open(partName(f.id, n)) }

// FormerKey is one that was replaced.
func (f *Files) FormerKey(n int) ([]byte, error) { return f.d.formerKey(f.id, n) }

// PutKey replaces the key, and keeps the former one.
func (f *Files) PutKey(wrapped []byte) error { return f.d.putKey(f.id, wrapped) }

// ForgetKeys destroys the keys that were replaced.
func (f *Files) ForgetKeys() error { return f.d.forgetKeys(f.id) }

// Shred destroys the key and the media of this copy and leaves the manifest, without a signature.
func (f *Files) Shred(reason string) error {
	m, err := manifestOf(f)
	if err != nil {
		return err
	}
	m.State, m.Reason, m.Signature = Erased, reason, nil
	b, err := m.encode()
	if err != nil {
		return err
	}
	if err := f.d.replace(manifestName(f.id), b); err != nil {
		return err
	}
	return (&Store{}).shred(f.d, f.id)
}

func manifestOf(src Source) (Manifest, error) {
	b, err := src.Manifest()
	if err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	return ParseManifest(b)
}
