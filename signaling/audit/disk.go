package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/mod/sumdb/tlog"
)

// disk is a log's directory. Files are never changed in place: they are written beside, synced and
// renamed, and only the journal grows. So a failed sync leaves nothing behind whose pages could be
// taken for written later (https://lwn.net/Articles/752063/): whatever is retried is a new file.
type disk struct {
	root *os.Root
	dir  *os.File // the directory itself, for syncs, for the free space and for the lock
	lock *os.File

	// fault, in tests, is asked before every system call that changes something: an error is returned
	// in its place, after half of the bytes if the call is a write.
	fault func(op, name string) error
	space func() (float64, error) // in tests, the answer of free
}

func openDisk(dir string) (*disk, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &disk{root: root, dir: self}, nil
}

func (d *disk) close() error {
	err := errors.Join(d.dir.Close(), d.root.Close())
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// acquire makes this process the only one that writes. The lock ends with the process.
func (d *disk) acquire() error {
	f, err := d.root.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrLocked, err), f.Close())
	}
	d.lock = f
	return nil
}

// free returns which part of the file system is left for us, from 0 to 1.
func (d *disk) free() (float64, error) {
	if d.space != nil {
		return d.space()
	}
	var s syscall.Statfs_t
	if err := syscall.Fstatfs(int(d.dir.Fd()), &s); err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	usable := s.Blocks - s.Bfree + s.Bavail // without what is kept for root
	if usable == 0 {
		return 0, nil
	}
	return float64(s.Bavail) / float64(usable), nil
}

func (d *disk) step(op, name string) error {
	if d.fault == nil {
		return nil
	}
	if err := d.fault(op, name); err != nil {
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	return nil
}

// replace makes data the content of name, durably, or leaves what was there.
func (d *disk) replace(name string, data []byte) error {
	f, err := d.create(name, data)
	if err != nil {
		return err
	}
	return f.Close()
}

// create is replace, and returns the file for appending.
func (d *disk) create(name string, data []byte) (*os.File, error) {
	temp := tempFile
	if name == journalFile {
		temp = tempJournal // it is written while a checkpoint is made
	}
	if err := d.root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := d.step("create", name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	err = d.append(f, name, data)
	if err == nil {
		err = d.rename(temp, name)
	}
	if err != nil {
		// What is left of it would take space that may be short. Should it stay, the next one removes it.
		_ = d.root.Remove(temp)
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// append writes and syncs. After an error nothing is known of what the file holds.
func (d *disk) append(f *os.File, name string, data []byte) error {
	if err := d.step("write", name); err != nil {
		_, _ = f.Write(data[:len(data)/2])
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := d.step("sync", name); err != nil {
		return err
	}
	return f.Sync()
}

// rename moves the temporary file to its name, making directories on the way.
func (d *disk) rename(temp, name string) error {
	if err := d.step("rename", name); err != nil {
		return err
	}
	err := d.root.Rename(temp, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.mkdir(path.Dir(name)); err != nil {
			return err
		}
		err = d.root.Rename(temp, name)
	}
	if err != nil {
		return err
	}
	return d.syncDir(path.Dir(name))
}

func (d *disk) mkdir(name string) error {
	if name == "." {
		return nil
	}
	if err := d.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := d.step("mkdir", name); err != nil {
		return err
	}
	if err := d.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(path.Dir(name))
}

func (d *disk) syncDir(name string) error {
	if err := d.step("syncdir", name); err != nil {
		return err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// maxFile bounds what is read into memory: a full bundle of the longest records has 0.4 MB, a
// journal of maxPending of them 20 MB.
const maxFile = 64 << 20

// read returns the content of a file.
func (d *disk) read(name string) ([]byte, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("read %s: %d bytes, or not a file", name, info.Size())
	}
	return d.root.ReadFile(name)
}

// readTile returns a tile or bundle in a tree in which it is width wide, and how wide it is: a narrower
// version may have been removed after the full one was written, which is returned then.
func (d *disk) readTile(path func(width int) string, width int) ([]byte, int, error) {
	b, err := d.read(path(width))
	if errors.Is(err, fs.ErrNotExist) && width < tileWidth {
		if full, fullErr := d.read(path(tileWidth)); fullErr == nil {
			return full, tileWidth, nil
		}
	}
	return b, width, err
}

// bundle returns the entries of a bundle in a tree in which it has width of them.
func (d *disk) bundle(n uint64, width int) ([][]byte, error) {
	b, found, err := d.readTile(func(width int) string { return entriesPath(n, width) }, width)
	if err != nil {
		return nil, err
	}
	lines, err := decodeBundle(b, found)
	return lines[:min(width, len(lines))], err
}

// hashes returns a tile of hashes in a tree in which it has width of them.
func (d *disk) hashes(level int, n uint64, width int) ([]tlog.Hash, error) {
	b, found, err := d.readTile(func(width int) string { return hashesPath(level, n, width) }, width)
	if err != nil {
		return nil, err
	}
	if len(b) != found*tlog.HashSize {
		return nil, fmt.Errorf("it has %d bytes instead of %d", len(b), found*tlog.HashSize)
	}
	return decodeHashes(b)[:width], nil
}
