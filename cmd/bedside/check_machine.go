package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu/port"
)

const (
	// fsyncWrites are timed, and slowFsync is the bound of their 99th percentile: each admission waits
	// for one, and somebody waits for it.
	fsyncWrites = 50
	slowFsync   = 10 * time.Millisecond
	// clockSlack is how far the newest file may be ahead of the clock: file systems round, and two
	// clocks may have written it.
	clockSlack = 2 * time.Minute
	// filesPerSession is a WebSocket; filesOfServer is everything else, generously.
	filesPerSession = 1
	filesOfServer   = 1024
	// maxDataEntries bounds the search for the newest file.
	maxDataEntries = 100_000
)

// checkClock asks whether the time can be right. Tokens, windows and the audit log are worth what the
// clock is worth.
func (h host) checkClock(context.Context) []finding {
	const check = "clock"
	now := h.clock()
	if !h.build.Time.IsZero() && now.Before(h.build.Time) {
		return []finding{fail(check, fmt.Sprintf("says %s, and this program was made on %s", now.UTC().Format(time.RFC3339), h.build.Time.UTC().Format(time.RFC3339)),
			"set the clock: timedatectl set-ntp true")}
	}
	if newest, name := h.newest(); newest.After(now.Add(clockSlack)) {
		return []finding{fail(check, fmt.Sprintf("is %s behind %s: it has gone back", newest.Sub(now).Round(time.Second), name),
			"set the clock: timedatectl set-ntp true; records would be out of order")}
	}
	switch synchronised, off, known := kernelClock(); {
	case !known:
		return []finding{warn(check, "whether it is synchronised is not known on this system", "run an NTP client")}
	case !synchronised:
		return []finding{warn(check, "no NTP client keeps it right", "timedatectl set-ntp true, or install chrony")}
	default:
		return []finding{ok(check, "synchronised, off by %s at most", off.Round(time.Millisecond))}
	}
}

// newest finds the last change below the data directory.
func (h host) newest() (at time.Time, name string) {
	seen := 0
	_ = filepath.WalkDir(h.cfg.DataDir, func(path string, d fs.DirEntry, err error) error { // what cannot be read is checkData's affair
		if seen++; err != nil || seen > maxDataEntries {
			return fs.SkipDir
		}
		if info, err := d.Info(); err == nil && info.ModTime().After(at) {
			at, name = info.ModTime(), path
		}
		return nil
	})
	return at, name
}

// checkData asks whether the data directory is the server's own, has room and is fast enough.
func (h host) checkData(context.Context) []finding {
	const check = "data_dir"
	dir := h.cfg.DataDir
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		parent := filepath.Dir(dir)
		if _, err := os.Stat(parent); err != nil {
			return []finding{fail(check, dir+" does not exist, nor does "+parent, "install -d -m 700 -o bedside "+dir)}
		}
		if err := writable(parent); err != nil {
			return []finding{fail(check, dir+" does not exist, and this user cannot make it", "install -d -m 700 -o bedside "+dir)}
		}
		return []finding{warn(check, dir+" does not exist yet: the server makes it at its first start", "nothing, if this is the first start")}
	}
	own := h.checkOwn(dir, 0o700)
	own.Check = check
	found := []finding{own}
	if err := writable(dir); err != nil {
		return append(found, fail(check, dir+" cannot be written to", "chown -R bedside "+dir+"; is the disk mounted read-only?"))
	}
	return append(found, h.checkSpace(), checkFsync(dir))
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".new-check-*")
	if err != nil {
		return err
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

func (h host) checkSpace() finding {
	free, total, known := h.space(h.cfg.DataDir)
	if !known {
		return warn("data_dir", "how much of the disk is free is not known on this system", "keep an eye on it")
	}
	return judgeSpace(free, total, h.cfg.Audit.MinFreePercent)
}

// alarmPercent is below which part of the disk somebody should make room, as the alert rules say, too.
const alarmPercent = 10

func judgeSpace(free, total uint64, least int) finding {
	const check = "data_dir"
	percent := float64(free) / float64(max(total, 1)) * 100
	text := fmt.Sprintf("%.0f %% of the disk is free (%.1f GB)", percent, float64(free)/1e9)
	switch {
	case percent < float64(least):
		return fail(check, fmt.Sprintf("%s, and audit.min_free_percent is %d: the audit log refuses to write", text, least), "make room, or give data_dir a disk of its own")
	case percent < alarmPercent:
		return warn(check, fmt.Sprintf("%s; below %d %% the audit log refuses to write", text, least), "make room soon")
	}
	return ok(check, "%s", text)
}

// checkFsync times what an admission waits for: a record written and on the disk.
func checkFsync(dir string) finding {
	took, err := timeFsync(dir)
	if err != nil {
		return fail("data_dir", fmt.Sprintf("write and fsync: %v", err), "see the kernel's log: dmesg")
	}
	return judgeFsync(took)
}

func timeFsync(dir string) ([]time.Duration, error) {
	f, err := os.CreateTemp(dir, ".new-check-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	record := make([]byte, 512)
	took := make([]time.Duration, fsyncWrites)
	for i := range took {
		start := time.Now()
		if _, err := f.Write(record); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took[i] = time.Since(start)
	}
	return took, nil
}

func judgeFsync(took []time.Duration) finding {
	const check = "data_dir"
	sorted := slices.Sorted(slices.Values(took))
	p50, p99 := sorted[len(sorted)/2], sorted[len(sorted)*99/100]
	text := fmt.Sprintf("fsync takes %s, at worst %s", p50.Round(10*time.Microsecond), p99.Round(10*time.Microsecond))
	if p99 > slowFsync {
		return warn(check, text+": every admission waits for one", "give data_dir an SSD of its own, not a network file system")
	}
	return ok(check, "%s", text)
}

// checkLimits asks whether the system lets the server have what its configuration promises.
func (h host) checkLimits(context.Context) []finding {
	var found []finding
	if limit, known := fileLimit(); known {
		found = append(found, judgeFiles(limit, h.cfg.Signaling.Limits.Sessions))
	}
	for _, name := range []string{"rmem_max", "wmem_max"} {
		content, err := os.ReadFile(filepath.Join(h.proc, "sys/net/core", name))
		if err != nil {
			continue // not Linux, or a container that hides it
		}
		if bytes, err := strconv.Atoi(strings.TrimSpace(string(content))); err == nil {
			found = append(found, judgeBuffer("net.core."+name, bytes))
		}
	}
	return found
}

// checkGSO asks whether the kernel does what sending in batches lives on.
func (h host) checkGSO(context.Context) []finding {
	return []finding{judgeGSO(h.cfg.Media.GSO, port.CanSegment)}
}

// judgeGSO tells what media.gso comes to on this machine.
func judgeGSO(configured string, can func() (bool, string)) finding {
	const check = "gso"
	if configured == config.GSOOff {
		return ok(check, "off, as media.gso says: each datagram goes through the network alone")
	}
	if works, why := can(); !works {
		return warn(check, "not used: "+why, "nothing needs it; it halves what sending costs")
	}
	return ok(check, "the kernel cuts bursts into datagrams")
}

func judgeFiles(limit uint64, sessions int) finding {
	const check = "limits"
	if need := uint64(sessions*filesPerSession + filesOfServer); limit < need {
		return warn(check, fmt.Sprintf("%d open files here, and %d sessions need %d", limit, sessions, need),
			fmt.Sprintf("LimitNOFILE=%d in the systemd unit (ulimit -n elsewhere)", need))
	}
	return ok(check, "%d open files for %d sessions", limit, sessions)
}

func judgeBuffer(name string, bytes int) finding {
	const check = "limits"
	if bytes < port.SocketBuffer {
		return warn(check, fmt.Sprintf("%s is %d: bursts of media are lost when the machine is busy", name, bytes),
			fmt.Sprintf("sysctl -w %s=%d (deploy/sysctl.conf)", name, port.SocketBuffer))
	}
	return ok(check, "%s is %d", name, bytes)
}
