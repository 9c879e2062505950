package recording

import (
	"fmt"
	"os"
	"syscall"
)

// datasync makes a file's content durable, and of its metadata only the length.
func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }

// space is how much of a directory's disk is free for this user, and how large it is, in bytes.
func space(dir string) (free, size uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil
}
