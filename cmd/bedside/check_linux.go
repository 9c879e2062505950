package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	timeError     = 5      // TIME_ERROR of adjtimex(2): the clock is not synchronised
	statusUnsync  = 0x0040 // STA_UNSYNC
	adjtimexQuery = 0      // no bits in modes: change nothing
)

// kernelClock asks the kernel whether an NTP client keeps its clock, and how far off it may be.
func kernelClock() (synchronised bool, off time.Duration, known bool) {
	t := syscall.Timex{Modes: adjtimexQuery}
	state, err := syscall.Adjtimex(&t)
	if err != nil {
		return false, 0, false // a container may forbid it
	}
	return state != timeError && t.Status&statusUnsync == 0, time.Duration(t.Maxerror) * time.Microsecond, true
}

// diskSpace returns the bytes of dir's file system that are free for this user, and all of them.
func diskSpace(dir string) (free, total uint64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, false
	}
	size := uint64(s.Bsize) //nolint:gosec // positive by definition
	return s.Bavail * size, s.Blocks * size, true
}

// fileLimit is how many files a process that this user starts may have open: the Go runtime raises
// the soft limit to the hard one.
func fileLimit() (uint64, bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return l.Max, true
}

// inUse tells whether a server has the data directory: it holds the lock for as long as it lives.
func inUse(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false // none has ever run here, or this user may not see it
	}
	defer func() { _ = f.Close() }()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func ownerOf(info fs.FileInfo) (uid int, known bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(s.Uid), true
}
