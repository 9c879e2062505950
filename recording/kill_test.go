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

// sentName is the file in which a victim notes until when it has handed packets to the recorder. What it was
// kept from sending, because other processes had the machine, the recorder cannot have lost.
func sentName(dir string) string { return dir + ".sent" }

func playNoted(d time.Duration, name string, all ...*sender) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		play(10*time.Millisecond, all...)
		if _, err := f.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano())), 0); err != nil {
			return err
		}
	}
	return errors.New("nobody killed it")
}

// startVictim starts one, under a command if there is one, and waits until it records.
func startVictim(t *testing.T, dir string, h hospital, under ...string) (c *exec.Cmd, id string, victim *os.Process) {
	t.Helper()
	args := append(under, "/proc/self/exe")
	if len(under) > 0 {
		args[len(args)-1], _ = os.Executable()
	}
	c = exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), victimVariable+"="+dir)
	c.Stdin = strings.NewReader(strings.Join(h.recipients(), " ") + "\n")
	c.Stderr = os.Stderr
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
		t.Fatal(err)
	}
	if victim, err = os.FindProcess(pid); err != nil {
		t.Fatal(err)
	}
	return c, id, victim
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
	sent, err := os.ReadFile(sentName(dir))
	if err != nil || len(sent) != 8 {
		t.Fatal(sent, err)
	}
	killed := time.Unix(0, int64(binary.BigEndian.Uint64(sent)))

	s := open(t, options(t, h, dir))
	m, err := s.Manifest(id)
	if err != nil || m.State != recording.Recovered || m.Verify(nil) != nil {
		t.Fatalf("%+v, %v", m, err)
	}
	if len(m.Parts) != 3 && killed.Sub(m.Created) > time.Second {
		t.Errorf("%d parts after %v", len(m.Parts), killed.Sub(m.Created))
	}
	for n := range m.Parts {
		if killed.Sub(m.Created) < time.Second {
			break // nothing had to be on the disk yet
		}
		plain, err := unsealed(t, dir, id, n, h)
		if err == nil {
			t.Error("a part that was cut has an end")
		}
		blocks := count(t, plain)
		for title, d := range ffprobe(t, plain) {
			// ffmpeg's exit code says nothing about a file that is cut: its frames do.
			if d.Frames < blocks[title] || d.Frames > blocks[title]+1 || d.Frames == 0 {
				t.Errorf("part %d, %s: ffmpeg decodes %d frames of %d", n, title, d.Frames, blocks[title])
			}
			missing := killed.Sub(m.Created) - time.Duration(d.End*float64(time.Second))
			if lost = max(lost, missing); missing > time.Second {
				t.Errorf("part %d, %s: %v before the end are lost", n, title, missing)
			}
		}
	}
	_, found, err := recording.Verify(t.Context(), source(t, dir, id), recording.Check{Identities: []age.Identity{h.records}})
	if err != nil || len(found) > 0 {
		t.Errorf("verify: %v, %v", found, err)
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
	last, worst, n := map[string]float64{}, 0.0, map[string]int{}
	for _, call := range regexp.MustCompile(`(?m)^\d+ +([\d.]+) (?:fdatasync\(|io_submit\(.*IOCB_CMD_FDSYNC, .*aio_fildes=)\d+<[^>]*/(`+id+`\.p\d+\.mkv\.age)>`).FindAllStringSubmatch(string(b), -1) {
		at, err := strconv.ParseFloat(call[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := last[call[2]]; ok {
			worst = max(worst, at-was)
		}
		last[call[2]] = at
		n[call[2]]++
	}
	t.Logf("figure: syncs of a part at most %.0f ms apart", worst*1000)
	if len(n) != 3 || worst > 1 {
		t.Errorf("syncs %v, %.3f s apart at worst", n, worst)
	}
	for name, syncs := range n {
		if syncs < 3 {
			t.Errorf("%s: %d syncs in 4 s", name, syncs)
		}
	}
}
