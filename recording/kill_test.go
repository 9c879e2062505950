package recording_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

// victimVariable makes the test binary a server that records three people, into the directory it names,
// until it is killed.
const victimVariable = "RECORDING_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// victim takes the recipients from its first line.
func victim(dir string) error {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return err
	}
	s, err := recording.New(recording.Options{
		Dir: dir, Recipients: strings.Fields(line), Node: "n", Key: nodeKey(), Clock: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	x, err := s.Start(context.Background(), recording.Start{})
	if err != nil {
		return err
	}
	now := time.Now()
	all := []*sender{
		newSender(x, "a", codec.Mic, codec.Opus, now), newSender(x, "a", codec.Camera, codec.VP8, now),
		newSender(x, "b", codec.Mic, codec.Opus, now), newSender(x, "b", codec.Camera, codec.H264, now),
		newSender(x, "c", codec.Mic, codec.Opus, now), // by telephone, as it were: nothing fills its chunks but padding
	}
	fmt.Println(x.ID(), os.Getpid())
	return playNoted(time.Minute, sentName(dir), all...)
}

// sentName is the file in which a victim notes until when it has handed packets to the recorder, and for how long it
// has stood still at most. What it was kept from sending, because other processes had the machine, the recorder cannot
// have lost; and while it stands still, so does the recorder, whose second is longer by so much.
func sentName(dir string) string { return dir + ".sent" }

func playNoted(d time.Duration, name string, all ...*sender) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	const step = 10 * time.Millisecond
	still, last := time.Duration(0), time.Now()
	for end := last.Add(d); last.Before(end); {
		play(step, all...)
		now := time.Now()
		still, last = max(still, now.Sub(last)-2*step), now
		note := binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))
		if _, err := f.WriteAt(binary.BigEndian.AppendUint64(note, uint64(still)), 0); err != nil {
			return err
		}
	}
	return errors.New("nobody killed it")
}

// readSent is what a victim has noted.
func readSent(t *testing.T, dir string) (until time.Time, still time.Duration) {
	t.Helper()
	b, err := os.ReadFile(sentName(dir))
	if err != nil || len(b) != 16 {
		t.Fatalf("it has noted %x of when it sent, %v", b, err)
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(b))), time.Duration(binary.BigEndian.Uint64(b[8:]))
}

// startVictim starts one, under a command if there is one, and waits until it records. What it says is shown if the
// test fails.
func startVictim(t *testing.T, dir string, h hospital, under ...string) (c *exec.Cmd, id string, victim *os.Process) {
	t.Helper()
	said := new(bytes.Buffer)
	t.Cleanup(func() {
		if t.Failed() {
			tellAll(t, dir, said)
		}
	})
	args := append(under, "/proc/self/exe")
	if len(under) > 0 {
		args[len(args)-1], _ = os.Executable()
	}
	c = exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), victimVariable+"="+dir)
	c.Stdin = strings.NewReader(strings.Join(h.recipients(), " ") + "\n")
	c.Stderr = said // whole when Wait has returned
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &id, &pid); err != nil {
		_ = c.Process.Kill()
		t.Fatalf("it says nothing: %v; it ended: %v", err, c.Wait())
	}
	if victim, err = os.FindProcess(pid); err != nil {
		t.Fatal(err)
	}
	return c, id, victim
}

// tellAll shows what a victim has said and left, and how busy the machine is.
func tellAll(t *testing.T, dir string, said *bytes.Buffer) {
	load, _ := os.ReadFile("/proc/loadavg")
	t.Logf("now %v, load %sthe process said %q", time.Now().UTC(), load, said)
	for _, root := range []string{dir, sentName(dir)} {
		err := filepath.WalkDir(root, func(name string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			t.Logf("%s: %d bytes, %v", e.Name(), info.Size(), info.ModTime().UTC())
			if filepath.Ext(name) == ".json" {
				b, err := os.ReadFile(name)
				t.Logf("%s, %v", b, err)
			}
			return nil
		})
		if err != nil {
			t.Logf("%s: %v", root, err)
		}
	}
}

// TestKilled ends a recording of three people with kill -9 at a random moment: all up to a second before
// is there, for stock age and for ffmpeg, and the next start makes a whole recording of it.
func TestKilled(t *testing.T) {
	rounds := 5
	if os.Getenv("SOAK") != "" {
		rounds = 100
	}
	t.Parallel()
	var mu sync.Mutex
	var worst time.Duration
	t.Run("rounds", func(t *testing.T) {
		for i := range rounds {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				lost := kill(t, 1100*time.Millisecond+time.Duration(mathrand.IntN(1400))*time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				worst = max(worst, lost)
			})
		}
	})
	t.Logf("figure: kill -9 of a recording, %d rounds: %d ms lost at worst", rounds, worst.Milliseconds())
}

// kill runs one round and tells how much was lost.
func kill(t *testing.T, after time.Duration) (lost time.Duration) {
	h, dir := newHospital(t), filepath.Join(t.TempDir(), "r")
	c, id, victim := startVictim(t, dir, h)
	wait := time.NewTimer(after)
	<-wait.C
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // killed
	killed, still := readSent(t, dir)
	most := time.Second + still
	if still > 100*time.Millisecond {
		t.Logf("it stood still for %v", still)
	}
	s := open(t, options(t, h, dir))
	m, err := s.Manifest(id)
	if err != nil || m.State != recording.Recovered || m.Verify(nil) != nil {
		t.Fatalf("%+v, %v, %v", m, err, m.Verify(nil))
	}
	if killed.Sub(m.Created) >= most { // before, nothing has to be on the disk
		lost = checkKilled(t, dir, h, m, killed, most)
	}
	_, found, err := recording.Verify(t.Context(), source(t, dir, id), recording.Check{Identities: []age.Identity{h.records}})
	if err != nil || len(found) > 0 {
		t.Errorf("verify: %v, %v", found, err)
	}
	return lost
}

// checkKilled opens what there is of three people, each of whom has one part that was cut, and has lost no more than
// so much. On a busy machine a voice may have had to wait so long for its picture that it has a part before that, and
// a part may have been announced that was not begun.
func checkKilled(t *testing.T, dir string, h hospital, m recording.Manifest, killed time.Time, most time.Duration) (lost time.Duration) {
	t.Helper()
	had := map[string]bool{}
	for n, part := range m.Parts {
		if part.SHA256 == "" || killed.Sub(part.Started) < most && had[part.Participant] {
			continue // nothing of it had to be on the disk yet, and what was before it is checked
		}
		had[part.Participant] = true
		plain, err := unsealed(t, dir, m.ID, n, h)
		if (err != nil) != part.Cut {
			t.Errorf("part %d: cut %v, and age says: %v", n, part.Cut, err)
		}
		blocks := count(t, plain)
		for title, d := range ffprobe(t, plain) {
			// ffmpeg's exit code says nothing about a file that is cut: its frames do.
			if d.Frames < blocks[title] || d.Frames > blocks[title]+1 || d.Frames == 0 {
				t.Errorf("part %d, %s: ffmpeg decodes %d frames of %d", n, title, d.Frames, blocks[title])
			}
			if !part.Cut {
				continue
			}
			missing := killed.Sub(m.Created) - time.Duration(d.End*float64(time.Second))
			if lost = max(lost, missing); missing > most {
				t.Errorf("part %d, %s: %v before the end are lost of at most %v", n, title, missing, most)
			}
		}
	}
	if !had["a"] || !had["b"] || !had["c"] {
		t.Errorf("after %v there are parts of %v", killed.Sub(m.Created), had)
	}
	return lost
}

// count counts the whole frames of a file by title of the track.
func count(t *testing.T, file []byte) map[string]int {
	t.Helper()
	r, err := mkv.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	names := map[int]string{}
	for _, track := range r.Header.Tracks {
		names[track.Number] = track.Name
	}
	blocks := map[string]int{}
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return blocks
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks[names[b.Track]]++
	}
}

// TestSyncs watches the system calls: what was written to a part reaches the disk within a second, which
// a kill -9 does not show because the kernel survives it.
func TestSyncs(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED for want of strace: nothing shows that a power cut costs no more than a kill")
	}
	t.Parallel()
	var worst float64
	var n map[string]int
	// Who syncs too seldom does so each time; a machine that gives the recorder no processor for a while does not.
	// Long runs have one try.
	tries := 3
	if os.Getenv("SOAK") == "1" {
		tries = 1
	}
	for range tries {
		worst, n = measureSyncs(t, strace)
		t.Logf("figure: syncs of a part at most %.0f ms apart", worst*1000)
		if worst <= 1 {
			break
		}
	}
	if len(n) != 3 || worst > 1 {
		t.Errorf("syncs %v, %.3f s apart at worst", n, worst)
	}
	for name, syncs := range n {
		if syncs < 3 {
			t.Errorf("%s: %d syncs in 4 s", name, syncs)
		}
	}
}

// measureSyncs records for four seconds, and returns how many syncs each part had, and how far apart they were at worst, s.
func measureSyncs(t *testing.T, strace string) (worst float64, n map[string]int) {
	t.Helper()
	h, dir := newHospital(t), filepath.Join(t.TempDir(), "r")
	log := filepath.Join(t.TempDir(), "calls")
	c, id, victim := startVictim(t, dir, h, strace, "-f", "-y", "-ttt", "-e", "trace=fdatasync,io_submit", "-o", log)
	wait := time.NewTimer(4 * time.Second)
	<-wait.C
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // killed
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]float64{}
	n = map[string]int{}
	calls := regexp.MustCompile(`(?m)^\d+ +([\d.]+) (fdatasync|io_submit)\(.*$`)
	files := regexp.MustCompile(`(?:fdatasync\(|IOCB_CMD_FDSYNC, [^}]*aio_fildes=)\d+<[^>]*/(` + id + `\.p\d+\.mkv\.age)>`)
	for _, call := range calls.FindAllStringSubmatch(string(b), -1) {
		at, err := strconv.ParseFloat(call[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files.FindAllStringSubmatch(call[0], -1) {
			if was, ok := last[file[1]]; ok {
				worst = max(worst, at-was)
			}
			last[file[1]] = at
			n[file[1]]++
		}
	}
	return worst, n
}
