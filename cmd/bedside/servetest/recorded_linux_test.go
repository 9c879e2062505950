package servetest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/signaling/wire"
)

// judge fails the test if something took more than the second in which a room is to know that nothing is recorded,
// and of which a recording may lack. Only the long runs judge, which have the machine to themselves: a process that
// others keep from running is late by so much. Otherwise recording's TestDiskFull and TestDiskStandsStill hold that
// second, in virtual time.
func judge(t *testing.T, took time.Duration, format string, args ...any) {
	t.Helper()
	if took > time.Second && os.Getenv("SOAK") != "" {
		t.Errorf(format, args...)
	}
}

// TestRecordingDiskFullBesideACall fills the disk of 16 MB that three people are recorded onto: none of them misses
// a packet, all know within a second, and with room on the disk it goes on by itself.
func TestRecordingDiskFullBesideACall(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m,mode=0700"); err != nil {
		t.Skipf("SKIPPED: a small disk needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	c := newCall(t, disk, "")
	c.mark()
	begun := time.Now()
	pass(2 * time.Second)
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	full := time.Now()
	late := c.await(t, full, wire.RecordingPaused, wire.RecordingStorage)
	t.Logf("figure: full disk: the last of three was told after %v", late)
	judge(t, late, "told after %v", late)
	pass(time.Second)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	free := time.Now()
	t.Logf("figure: full disk: recorded again %v after there was room", c.await(t, free, wire.RecordingOn, ""))
	pass(2 * time.Second)
	c.checkUnhurt(t, "a full disk", time.Since(begun))
	stopped := time.Now()
	m := c.stop(t)
	ends := c.ends(t, m)
	cut := 0
	for i, end := range ends {
		if m.Parts[i].Cut {
			cut++
			lost := full.Sub(end)
			judge(t, lost, "part %d: %v before the disk was full are missing", i, lost)
		}
	}
	if cut != len(c.people) {
		t.Errorf("%d parts were cut: %+v", cut, m.Parts)
	}
	c.checkEnds(t, m, ends, stopped)
}

// checkEnds fails the test if anything of anybody's last second is missing.
func (c *call) checkEnds(t *testing.T, m recording.Manifest, ends []time.Time, stopped time.Time) {
	t.Helper()
	last := map[string]int{}
	for i, p := range m.Parts {
		last[p.Participant] = i
	}
	if len(last) != len(c.people) {
		t.Errorf("parts of %d people", len(last))
	}
	for who, i := range last {
		if m.Parts[i].Cut {
			t.Errorf("part %d of %s is cut", i, who)
		}
		lost := stopped.Sub(ends[i])
		judge(t, lost, "part %d of %s: %v before the end are missing", i, who, lost)
	}
}

func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRecordingStalledDiskBesideACall freezes the disk: whoever writes to it waits in the kernel and cannot even
// be killed. The call does not notice, the room knows within a second, and nothing of the recording is lost.
func TestRecordingStalledDiskBesideACall(t *testing.T) {
	t.Parallel()
	stall := 2 * time.Second
	if os.Getenv("SOAK") != "" {
		stall = 10 * time.Second
	}
	disk := mountSmall(t)
	c := newCall(t, disk.dir, "")
	t.Cleanup(disk.thaw) // before the process is waited for
	c.mark()
	begun := time.Now()
	pass(2 * time.Second)
	frozen := time.Now()
	disk.freeze(t)
	asked := c.process.untilStuck(t)
	known := c.await(t, frozen, wire.RecordingPaused, wire.RecordingStorage)
	late := frozen.Add(known).Sub(asked)
	t.Logf("figure: stalled disk: the last of three was told %v after it was first waited for, %v after it stood still", late, known)
	judge(t, late, "told after %v", late)
	pass(time.Until(frozen.Add(stall)))
	disk.thaw()
	thawed := time.Now()
	t.Logf("figure: stalled disk: recorded again %v after it moved", c.await(t, thawed, wire.RecordingOn, ""))
	pass(time.Second)
	c.checkUnhurt(t, "a disk that stalls", time.Since(begun))
	stopped := time.Now()
	m := c.stop(t)
	for i, p := range m.Parts {
		if p.Cut || len(m.Gaps) > 0 {
			t.Errorf("part %d: cut %v; gaps %+v", i, p.Cut, m.Gaps)
		}
	}
	c.checkEnds(t, m, c.ends(t, m), stopped)
}

// untilStuck waits until a thread of the process waits in the kernel for a disk: until then it has not asked it.
func (p *process) untilStuck(t *testing.T) time.Time {
	t.Helper()
	end := time.After(callPatience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		now := time.Now()
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.command.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tasks {
			text, _ := os.ReadFile(name) // a thread may have ended
			if strings.Contains(string(text), ") D ") {
				return now
			}
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("nobody waits for the disk")
		}
	}
}

// smallDisk is a file with a file system in it.
type smallDisk struct{ dir string }

func mountSmall(t *testing.T) smallDisk {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: a disk that can stall needs mkfs.ext4 and the right to mount one: %v %s", err, out)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return smallDisk{dir}
}

// Requests of linux/fs.h.
const (
	requestFreeze = 0xC0045877
	requestThaw   = 0xC0045878
)

func (d smallDisk) freeze(t *testing.T) {
	t.Helper()
	if err := d.control(requestFreeze); err != nil {
		t.Fatal(err)
	}
}

// thaw does nothing to a disk that moves.
func (d smallDisk) thaw() { _ = d.control(requestThaw) }

func (d smallDisk) control(request uint) error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.IoctlSetInt(int(f.Fd()), request, 0)
}
