package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// layout is the version of what is in a data directory. It changes when an older bedside could no
// longer make sense of it.
const layout = 1

// The entries of a data directory.
const (
	versionFile = "VERSION"
	lockFile    = "lock"
	stateDir    = "state"
	auditDir    = "audit"
	keysDir     = "keys"
	acmeDir     = "acme"
)

// dataDir is where one server keeps what must survive it. It is locked against a second one.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory, or checks that it is one of ours, and locks it until close.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if err := ownAlone(path, "chmod 700"); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	d := &dataDir{path: path, lock: lock}
	// The kernel lets go of the lock when the process ends, however it does.
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.close()
		return nil, fmt.Errorf("data_dir: %s is in use by another bedside: %w", path, err)
	}
	if err := d.checkVersion(); err != nil {
		d.close()
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	return d, nil
}

func (d *dataDir) close() { _ = d.lock.Close() }

func (d *dataDir) file(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// checkVersion refuses what another bedside wrote that knew more than this one, and directories that
// belong to something else. An empty one becomes ours.
func (d *dataDir) checkVersion() error {
	text, err := os.ReadFile(d.file(versionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d.claim()
	}
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil || version < 1:
		return fmt.Errorf("%s does not hold a number: restore it from a backup (it is %d for this bedside)", d.file(versionFile), layout)
	case version > layout:
		return fmt.Errorf("%s was written by a newer bedside (layout %d, this one knows %d): run that one, or restore the backup from before the upgrade",
			d.path, version, layout)
	}
	return nil
}

func (d *dataDir) claim() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{lockFile, "lost+found"}, e.Name()) && !strings.HasPrefix(e.Name(), temporary) {
			return fmt.Errorf("%s holds %s and no %s: it is not a data directory of bedside; choose an empty one", d.path, e.Name(), versionFile)
		}
	}
	return writeFile(d.file(versionFile), fmt.Appendln(nil, layout))
}

// temporary is how the names of files start that are not complete.
const temporary = ".new-"

// writeFile puts a file in place that is complete and on disk, or leaves what was there. Nobody else
// can read it.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, temporary+"*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// syncDir puts the names in a directory on disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ownAlone refuses a file or directory that other users may open; remedy is the command without the
// name.
func ownAlone(path, remedy string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s is open to other users (%#o): %s %s", path, mode, remedy, path)
	}
	return nil
}
