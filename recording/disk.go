package recording

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Modes of what is made: nobody but the server's user.
const (
	dirMode  = 0o700
	fileMode = 0o600
)

// disk is one recording's directory. Nothing outside of it can be named.
type disk struct{ root *os.Root }

// The names of its files.
func manifestName(id string) string    { return id + ".json" }
func keyName(id string) string         { return id + ".key.age" }
func partName(id string, n int) string { return fmt.Sprintf("%s.p%03d.mkv.age", id, n) }

// create makes a new file whose name is on the disk when it returns.
func (d disk) create(name string) (*os.File, error) {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	if err := d.sync(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// replace makes b the content of a file, whole or not at all.
func (d disk) replace(name string, b []byte) error {
	temp := name + ".new"
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, d.root.Remove(temp))
	}
	if err := d.root.Rename(temp, name); err != nil {
		return err
	}
	return d.sync()
}

// read returns a whole file of at most so many bytes.
func (d disk) read(name string, most int64) ([]byte, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: larger than %d bytes", name, most)
	}
	return b, err
}

// sync makes names durable.
func (d disk) sync() error {
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// remove deletes a file that may be gone already.
func (d disk) remove(name string) error {
	if err := d.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
