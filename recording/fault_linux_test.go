package recording_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/sfu/codec"
)

// told are the events of a session.
type told struct {
	mu  sync.Mutex
	all []recording.Event
}

func (x *told) notify(e recording.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, e)
}

func (x *told) kinds() (kinds []recording.EventKind) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.all {
		if e.Kind != recording.Lossy {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// TestDiskFull fills a disk of 16 MB under a recording: the room is told, what was flushed can be read,
// and when there is space again the recording goes on by itself.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("SKIPPED: this user may not mount a small disk: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t)
		s := open(t, options(t, h, dir))
		var events told
		x := start(t, s, events.notify)
		mic := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		camera := newSender(x, "a", codec.Camera, codec.VP8, time.Now())
		play(3*time.Second, mic, camera)
		ballast := filepath.Join(dir, "ballast")
		fill(t, ballast)
		full := time.Now()
		play(5*time.Second, mic, camera)
		if kinds := events.kinds(); !slices.Equal(kinds, []recording.EventKind{recording.Failed}) || events.all[0].Reason != recording.NoSpace {
			t.Fatalf("told %+v", events.all)
		}
		late := events.all[0].At.Sub(full)
		t.Logf("figure: told of a full disk after %v", late)
		if late > time.Second {
			t.Errorf("told after %v", late)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		play(5*time.Second, mic, camera)
		if kinds := events.kinds(); !slices.Equal(kinds, []recording.EventKind{recording.Failed, recording.Resumed}) {
			t.Errorf("told %+v", events.all)
		}
		m := stop(t, x)
		if len(m.Parts) != 2 || !m.Parts[0].Cut || m.Parts[1].Cut {
			t.Fatalf("parts %+v", m.Parts)
		}
		before, err := unsealed(t, dir, m.ID, 0, h)
		if err == nil {
			t.Error("the part that was cut has an end")
		}
		if d := ffprobe(t, before)["mic"]; d.End < full.Sub(m.Created).Seconds()-1 {
			t.Errorf("before the disk was full: %+v", d)
		}
		after, err := unsealed(t, dir, m.ID, 1, h)
		if d := ffprobe(t, after)["mic"]; err != nil || d.Start > 8+2.5 || d.End < 12.9 {
			t.Errorf("after: %+v, %v", d, err)
		}
	})
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

// TestDiskStandsStill stops the disk for ten seconds: people are told within one, nobody waits for it, and
// nothing is lost that has room in memory.
func TestDiskStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		s := open(t, options(t, h, dir))
		var still atomic.Bool
		var since atomic.Pointer[time.Time]
		s.SlowDisk(func() {
			if still.CompareAndSwap(true, false) {
				now := time.Now()
				since.Store(&now)
				<-time.After(10 * time.Second)
			}
		})
		var events told
		x := start(t, s, events.notify)
		mic := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		camera := newSender(x, "a", codec.Camera, codec.VP8, time.Now())
		play(3*time.Second, mic, camera)
		still.Store(true)
		play(15*time.Second, mic, camera) // it never waits: the time that it takes is virtual
		if kinds := events.kinds(); !slices.Equal(kinds, []recording.EventKind{recording.Failed, recording.Resumed}) || events.all[0].Reason != recording.Stalled {
			t.Fatalf("told %+v", events.all)
		}
		if late := events.all[0].At.Sub(*since.Load()); late > time.Second {
			t.Errorf("told after %v", late)
		}
		m := stop(t, x)
		plain, err := unsealed(t, dir, m.ID, 0, h)
		if err != nil {
			t.Fatal(err)
		}
		if d := ffprobe(t, plain); len(m.Gaps) != 0 || len(m.Parts) != 1 || d["mic"].Frames != 901 || d["camera"].Frames < 540 {
			t.Errorf("%+v, gaps %v", d, m.Gaps)
		}
	})
}

// TestCrowdedDisk: the floor is kept while recording, too, because the audit log is on the same disk.
func TestCrowdedDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, newHospital(t), t.TempDir())
		o.MinFreePercent = 5
		s := open(t, o)
		var full atomic.Bool
		s.Crowded(&full)
		var events told
		x := start(t, s, events.notify)
		mic := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		play(2*time.Second, mic)
		full.Store(true)
		play(3*time.Second, mic)
		full.Store(false)
		play(3*time.Second, mic)
		if kinds := events.kinds(); !slices.Equal(kinds, []recording.EventKind{recording.Failed, recording.Resumed}) || events.all[0].Reason != recording.NoSpace {
			t.Errorf("told %+v", events.all)
		}
		if m := stop(t, x); len(m.Parts) != 2 || m.State != recording.Complete {
			t.Errorf("%+v", m)
		}
	})
}
