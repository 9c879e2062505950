package recording_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/seal"
	"github.com/bedside-video/bedside/sfu/codec"
)

// two is a recording of two people, of five seconds, in a directory.
func two(t *testing.T, h hospital) (dir string, m recording.Manifest) {
	t.Helper()
	dir = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		x := start(t, open(t, options(t, h, dir)), nil)
		now := time.Now()
		all := []*sender{
			newSender(x, "a", codec.Mic, codec.Opus, now), newSender(x, "a", codec.Camera, codec.VP8, now),
			newSender(x, "b", codec.Mic, codec.Opus, now), newSender(x, "b", codec.Camera, codec.H264, now),
		}
		play(3*time.Second, all...)
		all = append(all, newSender(x, "b", codec.Screen, codec.VP8, time.Now()))
		play(2*time.Second, all...)
		m = stop(t, x)
	})
	return dir, m
}

func source(t *testing.T, dir, id string) *recording.Files {
	t.Helper()
	a, err := recording.OpenArchive(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	f, err := a.Recording(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func film(t *testing.T, src recording.Source, with age.Identity) (name string, found []recording.Finding) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "film.mkv")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	f := recording.Film{Identities: []age.Identity{with}}
	found, err = f.Write(t.Context(), src, out)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	return name, found
}

func TestFilm(t *testing.T) {
	h := newHospital(t)
	dir, m := two(t, h)
	name, found := film(t, source(t, dir, m.ID), h.records)
	b, err := os.ReadFile(name)
	if err != nil || len(found) != 0 {
		t.Fatal(err, found)
	}
	got := ffprobe(t, b)
	for title, want := range map[string]int{"a mic": 251, "a camera": 150, "b mic": 251, "b camera": 150, "b screen": 60} {
		if d := got[title]; d.Frames < want || d.Frames > want+1 {
			t.Errorf("%s: %+v, %d frames wanted", title, d, want)
		}
	}
	if d := got["b screen"]; d.Start < 2.98 || d.Start > 3.1 {
		t.Errorf("the screen begins at %v s", d.Start)
	}
	if len(got) != 5 || len(m.Parts) != 3 {
		t.Errorf("%d tracks of %d parts", len(got), len(m.Parts))
	}
	// Seeking reads the index; without one ffmpeg finds places in a file, but not its length.
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", name).CombinedOutput()
	if s := strings.TrimSpace(string(out)); err != nil || !strings.HasPrefix(s, "5.0") && !strings.HasPrefix(s, "4.99") {
		t.Errorf("duration %s, %v", s, err)
	}
	out, err = exec.Command("ffprobe", "-v", "error", "-select_streams", "v:0", "-read_intervals", "4%+#1", "-show_entries", "packet=pts_time", "-of", "csv=p=0", name).CombinedOutput()
	if s := strings.TrimSpace(string(out)); err != nil || !strings.HasPrefix(s, "4.0") && !strings.HasPrefix(s, "3.9") {
		t.Errorf("4 s into it there is the picture of %s s, %v", s, err)
	}
}

// TestVerify: what is done to the files is found and named, with the keys to the chunk.
func TestVerify(t *testing.T) {
	h := newHospital(t)
	dir, m := two(t, h)
	part := func(n int) string { return filepath.Join(dir, m.ID, partName(m.ID, n)) }
	var originals [3][]byte
	for n := range originals {
		b, err := os.ReadFile(part(n))
		if err != nil {
			t.Fatal(err)
		}
		originals[n] = b
	}
	write := func(t *testing.T, n int, b []byte) {
		t.Helper()
		if err := os.WriteFile(part(n), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flipped := slices.Clone(originals[0])
	flipped[100_000] ^= 1
	tests := []struct {
		name   string
		tamper func(t *testing.T)
		want   []string // what is found without keys, and what with keys
		keys   []string
	}{
		{"nothing", func(*testing.T) {}, nil, nil},
		{"flipped bit", func(t *testing.T) { write(t, 0, flipped) },
			[]string{"part 0: its SHA-256 is not that of the manifest"}, []string{"part 0: changed at chunk 1"}},
		{"truncated", func(t *testing.T) { write(t, 1, originals[1][:90_000]) },
			[]string{"part 1: has 90000 bytes, the manifest says"}, []string{"part 1: torn"}},
		{"missing", func(t *testing.T) { _ = os.Remove(part(2)) }, []string{"part 2: missing"}, []string{"part 2: missing"}},
		{"two parts swapped", func(t *testing.T) { write(t, 0, originals[1]); write(t, 1, originals[0]) },
			[]string{"part 0: is the file of part 1", "part 1: is the file of part 0"}, []string{"part 0: is the file of part 1", "part 1: is the file of part 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for n, b := range originals {
				write(t, n, b)
			}
			tt.tamper(t)
			checkFindings(t, source(t, dir, m.ID), recording.Check{}, tt.want)
			checkFindings(t, source(t, dir, m.ID), recording.Check{Identities: []age.Identity{h.records}}, tt.keys)
		})
	}
	_, _, err := recording.Verify(t.Context(), source(t, dir, m.ID), recording.Check{Identities: []age.Identity{newHospital(t).records}})
	if !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("wrong key: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := recording.Verify(ctx, source(t, dir, m.ID), recording.Check{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func checkFindings(t *testing.T, src recording.Source, c recording.Check, want []string) {
	t.Helper()
	_, found, err := recording.Verify(t.Context(), src, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !slices.ContainsFunc(found, func(f recording.Finding) bool { return strings.HasPrefix(f.String(), w) }) {
			t.Errorf("%q is not among %v", w, found)
		}
	}
	if len(want) == 0 && len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// A film is made of what is left of a damaged recording, and says what is not.
func TestFilmOfDamaged(t *testing.T) {
	h := newHospital(t)
	dir, m := two(t, h)
	name := filepath.Join(dir, m.ID, partName(m.ID, 0))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[150_000] ^= 1
	if err := errors.Join(os.WriteFile(name, b, 0o600), os.Remove(filepath.Join(dir, m.ID, partName(m.ID, 1)))); err != nil {
		t.Fatal(err)
	}
	film, found := film(t, source(t, dir, m.ID), h.escrow)
	if len(found) != 2 || found[0].Part != 1 || found[1].Part != 0 || !strings.Contains(found[1].What, "damaged after") {
		t.Errorf("found %v", found)
	}
	file, err := os.ReadFile(film)
	if err != nil {
		t.Fatal(err)
	}
	got := ffprobe(t, file)
	if d := got["a camera"]; d.Frames < 30 || d.Frames > 149 || got["b screen"].Frames < 60 {
		t.Errorf("%+v", got)
	}
}

// TestTimeBeginsWithTheFirstTap: people may take a while to be recorded after there is a recorder.
func TestTimeBeginsWithTheFirstTap(t *testing.T) {
	h := newHospital(t)
	dir := t.TempDir()
	var m recording.Manifest
	var tapped time.Time
	synctest.Test(t, func(t *testing.T) {
		x := start(t, open(t, options(t, h, dir)), nil)
		play(3 * time.Second)
		tapped = time.Now()
		play(2*time.Second, newSender(x, "a", codec.Mic, codec.Opus, tapped), newSender(x, "a", codec.Camera, codec.VP8, tapped))
		m = stop(t, x)
	})
	if !m.Created.Equal(tapped) {
		t.Errorf("time 0 is %v after the first tap", m.Created.Sub(tapped))
	}
	name, _ := film(t, source(t, dir, m.ID), h.records)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for title, d := range ffprobe(t, b) {
		if d.Start != 0 || d.End < 1.95 || d.End > 2.05 {
			t.Errorf("%s goes from %v to %v s", title, d.Start, d.End)
		}
	}
}
