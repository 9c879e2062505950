package recording_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/seal"
	"github.com/bedside-video/bedside/sfu/codec"
)

// shelf is a Remote that fails in every way that one can.
type shelf struct {
	mu     sync.Mutex
	random *rand.Rand
	faults int // of a hundred calls
	down   bool
	things map[string][]byte
	calls  int
}

var errDown = errors.New("connection refused")

func newShelf(seed uint64, faults int) *shelf {
	return &shelf{random: rand.New(rand.NewPCG(seed, 3)), faults: faults, things: make(map[string][]byte)}
}

// fault is what goes wrong with a call; 0 is nothing.
func (s *shelf) fault() int {
	s.calls++
	switch {
	case s.down:
		return 1
	case s.random.IntN(100) >= s.faults:
		return 0
	}
	return 1 + s.random.IntN(4)
}

func (s *shelf) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		return fmt.Errorf("%d bytes of %d: %w", len(b), size, err)
	}
	switch s.fault() {
	case 1:
		return errDown
	case 2: // stored, and the answer lost
		s.things[name] = b
		return errDown
	case 3: // half of it stored, and said to be all
		b = b[:len(b)/2]
	case 4: // a bit fell over
		b[s.random.IntN(len(b))] ^= 1
	}
	s.things[name] = b
	return nil
}

func (s *shelf) Get(ctx context.Context, name string) (io.ReadSeekCloser, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault() != 0 {
		return nil, 0, errDown
	}
	b, ok := s.things[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return book{bytes.NewReader(b)}, int64(len(b)), nil
}

func (s *shelf) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault() != 0 {
		return errDown
	}
	delete(s.things, name)
	return nil
}

func (s *shelf) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.things))
}

func (s *shelf) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

type book struct{ *bytes.Reader }

func (book) Close() error { return nil }

// TestUploadLosesNothing uploads through a store that fails at a third of the calls, at other places each
// time, and restarts in between: at the end every part is there as it was written, and none here.
func TestUploadLosesNothing(t *testing.T) {
	trials := 20
	if os.Getenv("SOAK") != "" {
		trials = 1000
	}
	calls, h := 0, newHospital(t)
	to, err := seal.ParseRecipients(h.recipients())
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.NewKey(to)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(trials) {
		synctest.Test(t, func(t *testing.T) {
			remote, dir := newShelf(seed, 35), t.TempDir()
			o := options(t, h, dir)
			o.Remote = remote
			// Making one takes longer than all the rest of a trial.
			o.NewKey = func(context.Context, seal.Recipients) (seal.Key, error) { return key, nil }
			s := open(t, o)
			m := recorded(t, s, recording.Start{})
			other := recorded(t, s, recording.Start{})
			<-time.After(time.Duration(seed) * 700 * time.Millisecond % (20 * time.Second))
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			s = open(t, o)
			if err := s.Erase(other.ID, "asked for"); err != nil {
				t.Fatal(err)
			}
			<-time.After(30 * time.Minute)
			checkUploaded(t, s, remote, dir, m, other.ID)
			calls += remote.calls
		})
	}
	t.Logf("figure: %d trials of uploading with a third of %d calls failing: 0 objects lost", trials, calls)
}

func checkUploaded(t *testing.T, s *recording.Store, remote *shelf, dir string, m recording.Manifest, erased string) {
	t.Helper()
	want := []string{"keys/" + m.ID + ".key.age", "media/" + m.ID + "/" + m.ID + ".json", "media/" + m.ID + "/" + partName(m.ID, 0), "media/" + erased + "/" + erased + ".json"}
	slices.Sort(want)
	if got := remote.names(); !slices.Equal(got, want) {
		t.Fatalf("at the remote %v, want %v", got, want)
	}
	if left := files(t, dir, m.ID); !slices.Equal(left, []string{m.ID + ".json", m.ID + ".key.age", m.ID + ".stored"}) {
		t.Errorf("here: %v", left)
	}
	if left := files(t, dir, erased); !slices.Equal(left, []string{erased + ".json", erased + ".stored"}) {
		t.Errorf("here, of what was erased: %v", left)
	}
	remote.faults = 0
	r, size, err := s.Part(m.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if sum := sha256.Sum256(b); err != nil || size != m.Parts[0].Size || hex.EncodeToString(sum[:]) != m.Parts[0].SHA256 {
		t.Errorf("the part that comes back: %d bytes, %v", len(b), err)
	}
	if _, _, err := s.Part(m.ID, 7); !errors.Is(err, recording.ErrNotFound) {
		t.Errorf("a part that there is not: %v", err)
	}
}

// TestUploadResumes: a store that was down for an hour has everything within a minute after, and the
// recordings made meanwhile are whole.
func TestUploadResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		remote := newShelf(1, 0)
		remote.setDown(true)
		o := options(t, h, dir)
		o.Remote = remote
		s := open(t, o)
		var events told
		x := start(t, s, events.notify)
		mic := newSender(x, "a", codec.Mic, codec.Opus, time.Now())
		play(5*time.Second, mic)
		m := stop(t, x)
		<-time.After(time.Hour)
		if len(events.kinds()) != 0 || len(m.Gaps) != 0 {
			t.Errorf("the recording noticed: %v, %v", events.kinds(), m.Gaps)
		}
		plain, err := unsealed(t, dir, m.ID, 0, h)
		if err != nil || ffprobe(t, plain)["mic"].Frames != 251 {
			t.Errorf("what is kept here: %v", err)
		}
		remote.setDown(false)
		up := time.Now()
		for !slices.ContainsFunc(files(t, dir, m.ID), func(n string) bool { return strings.HasSuffix(n, ".stored") }) {
			if time.Since(up) > 2*time.Minute {
				t.Fatal("never uploaded")
			}
			<-time.After(time.Second)
		}
		t.Logf("figure: uploaded %v after the store was back from an hour", time.Since(up))
		if time.Since(up) > time.Minute {
			t.Errorf("uploaded after %v", time.Since(up))
		}
	})
}

// TestRewrapUploads: a key that is replaced is replaced elsewhere, too.
func TestRewrapUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t)
		remote := newShelf(1, 0)
		o := options(t, h, t.TempDir())
		o.Remote = remote
		s := open(t, o)
		m := recorded(t, s, recording.Start{})
		<-time.After(time.Minute)
		wrapped := mustWrap(t, h)
		if err := s.PutKey(m.ID, wrapped); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		if !bytes.Equal(remote.things["keys/"+m.ID+".key.age"], wrapped) {
			t.Error("the former key is still there")
		}
	})
}
