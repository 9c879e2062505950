package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/bedside-video/bedside/signaling/audit"
)

// files is a log's directory in memory.
type files map[string][]byte

func load(t testing.TB, dir string) files {
	t.Helper()
	f := make(files)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f files) store(t testing.TB, dir string) {
	t.Helper()
	for name, text := range f {
		f.put(t, dir, name, text)
	}
}

func (f files) put(t testing.TB, dir, name string, text []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// names returns the names of files that matter, in order.
func (f files) names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(f)), func(name string) bool {
		return name == "lock" || name == "key.pub"
	})
}

// mustFail verifies and returns the problem that must be there.
func mustFail(t testing.TB, dir string, k audit.Key, trusted []byte) *audit.Problem {
	t.Helper()
	_, err := audit.Verify(context.Background(), dir, k.VerifierKeys(), trusted)
	p, ok := errors.AsType[*audit.Problem](err)
	if !ok || !errors.Is(err, audit.ErrTampered) {
		t.Fatalf("error %v, want a Problem", err)
	}
	return p
}

func mustVerify(t testing.TB, dir string, k audit.Key, trusted []byte) audit.Report {
	t.Helper()
	r, err := audit.Verify(context.Background(), dir, k.VerifierKeys(), trusted)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerify(t *testing.T) {
	for _, size := range []int{0, 1, 255, 256, 257, 700} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			dir, k := tempDir(t), newKey(t)
			l := open(t, dir, options(k))
			appendEvents(t, l, 0, size)
			for range 2 { // while it is in use, and after
				r := mustVerify(t, dir, k, nil)
				if r.Size != uint64(size) || r.Origin != origin || r.Torn != 0 {
					t.Errorf("report %+v", r)
				}
				if size > 0 && (!r.First.Equal(event(0).Time) || !r.Last.Equal(event(size-1).Time)) {
					t.Errorf("from %v to %v", r.First, r.Last)
				}
				closeLog(t, l)
			}
			if r := mustVerify(t, dir, k, load(t, dir)["checkpoint"]); r.Signed != uint64(size) {
				t.Errorf("%d records signed, want %d", r.Signed, size)
			}
			keys, err := audit.VerifierKeys(dir)
			if err != nil || !slices.Equal(keys, k.VerifierKeys()) {
				t.Errorf("keys %v, error %v", keys, err)
			}
		})
	}
}

// The tree is that of tlog, which computes it in another way.
func TestRootIsThatOfRFC6962(t *testing.T) {
	var lines [][]byte
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var list []tlog.Hash
		for _, i := range indexes {
			list = append(list, stored[i])
		}
		return list, nil
	})
	for n := range int64(70_000) {
		line := binary.BigEndian.AppendUint64(nil, uint64(n))
		hashes, err := tlog.StoredHashes(n, line, read)
		if err != nil {
			t.Fatal(err)
		}
		lines, stored = append(lines, line), append(stored, hashes...)
		if size := n + 1; size < 600 && size%7 == 0 || size%9999 == 0 || size == 65536 {
			want, err := tlog.TreeHash(size, read)
			if err != nil {
				t.Fatal(err)
			}
			if got := audit.TreeRoot(lines); got != want {
				t.Fatalf("root of %d records is %v, want %v", size, got, want)
			}
		}
	}
	if got := audit.TreeRoot(nil); got != sha256.Sum256(nil) {
		t.Errorf("root of no records is %v", got)
	}
}

// bundleOf splits a bundle into its records' lines.
func bundleOf(t testing.TB, b []byte) [][]byte {
	t.Helper()
	var lines [][]byte
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b))
		lines = append(lines, b[2:2+n])
		b = b[2+n:]
	}
	return lines
}

func joinBundle(lines [][]byte) []byte {
	var b []byte
	for _, line := range lines {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(line))), line...)
	}
	return b
}

// tamper is a change of one record in a list of lines.
type tamper struct {
	name   string
	change func(lines [][]byte, i int) [][]byte // nil where it does not apply
	first  func(i int) int                      // the first record that is wrong then
}

func tampers() []tamper {
	same := func(i int) int { return i }
	edit := func(old, with string) func([][]byte, int) [][]byte {
		return func(lines [][]byte, i int) [][]byte {
			lines[i] = []byte(strings.Replace(string(lines[i]), old, with, 1))
			return lines
		}
	}
	return []tamper{
		{"altered", edit(`"outcome":"ok"`, `"outcome":"refused"`), same},
		{"altered by a letter", edit(`"role":"clinician"`, `"role":"clinicibn"`), same},
		{"not canonical", edit(`"tenant"`, ` "tenant"`), same},
		{"removed", func(lines [][]byte, i int) [][]byte { return slices.Delete(lines, i, i+1) }, same},
		{"doubled", func(lines [][]byte, i int) [][]byte { return slices.Insert(lines, i, lines[i]) }, func(i int) int { return i + 1 }},
		{"swapped with the next", func(lines [][]byte, i int) [][]byte {
			if i+1 == len(lines) {
				return nil
			}
			lines[i], lines[i+1] = lines[i+1], lines[i]
			return lines
		}, same},
		{"cut", func(lines [][]byte, i int) [][]byte {
			lines[i] = lines[i][:len(lines[i])/2]
			return lines
		}, same},
		{"cut before", func(lines [][]byte, i int) [][]byte { return lines[:i] }, same},
		{"emptied", func(lines [][]byte, i int) [][]byte { lines[i] = nil; return lines }, same},
	}
}

// Every record of a log, altered in every way, in its bundle and in the journal: Verify names it.
func TestVerifyNamesTheRecord(t *testing.T) {
	const size = 600 // two full tiles and 88 records
	dir, k := tempDir(t), newKey(t)
	l := open(t, dir, options(k))
	appendEvents(t, l, 0, size)
	closeLog(t, l)
	whole := load(t, dir)
	bundles := []string{"tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"}
	for _, change := range tampers() {
		t.Run(change.name, func(t *testing.T) {
			whole.store(t, dir)
			for _, i := range some(size) {
				name := bundles[i/256]
				lines := change.change(bundleOf(t, whole[name]), i%256)
				if lines == nil {
					continue
				}
				whole.put(t, dir, name, joinBundle(lines))
				p := mustFail(t, dir, k, nil)
				if want := uint64(change.first(i)); p.Index != want || p.Last != want {
					t.Fatalf("record %d: %v, want record %d named", i, p, want)
				}
				whole.put(t, dir, name, whole[name])
			}
			for _, i := range some(size) {
				if i < 512 {
					continue
				}
				changed := changeJournal(whole["journal"], i-512, change)
				if changed == nil {
					continue
				}
				whole.put(t, dir, "journal", changed)
				p := mustFail(t, dir, k, nil)
				if want := uint64(change.first(i)); p.Index > want || p.Last < want {
					t.Fatalf("record %d of the journal: %v, want record %d named", i, p, want)
				}
				whole.put(t, dir, "journal", whole["journal"])
			}
		})
	}
	whole.store(t, dir)
	mustVerify(t, dir, k, nil)
}

// some returns all numbers below size in a long run, else those around the ends of tiles and some
// between.
func some(size int) []int {
	var list []int
	for i := range size {
		if os.Getenv("SOAK") != "" || i%101 == 50 || i%256 == 0 || i%256 == 255 || i == size-1 {
			list = append(list, i)
		}
	}
	return list
}

// changeJournal changes the n-th record of a journal, among the lines of records only.
func changeJournal(journal []byte, n int, change tamper) []byte {
	var records, commits [][]byte
	for line := range strings.Lines(string(journal)) {
		if strings.HasPrefix(line, "{") {
			records = append(records, []byte(strings.TrimSuffix(line, "\n")))
		} else {
			commits = append(commits, []byte(strings.TrimSuffix(line, "\n")))
		}
	}
	records = change.change(records, n)
	if records == nil {
		return nil
	}
	var b []byte
	for _, line := range append(records, commits[len(commits)-1]) {
		b = append(append(b, line...), '\n')
	}
	return b
}

// A bit of every byte of every file, flipped: nothing goes unnoticed.
func TestVerifyFindsEveryFlip(t *testing.T) {
	const size = 270
	dir, k := tempDir(t), newKey(t)
	l := open(t, dir, options(k))
	appendEvents(t, l, 0, 260)
	closeLog(t, l)
	l = open(t, dir, options(k))
	appendEvents(t, l, 260, size)
	closeLog(t, l)
	whole := load(t, dir)
	flips := 0
	for _, name := range whole.names() {
		step := 1
		if len(whole[name]) > 200 && os.Getenv("SOAK") == "" {
			step = len(whole[name])/50 | 1 // odd, so that every kind of place has its turn
		}
		for i := 0; i < len(whole[name]); i += step {
			changed := slices.Clone(whole[name])
			changed[i] ^= 1 << ((i / step) % 8)
			whole.put(t, dir, name, changed)
			if _, err := audit.Verify(t.Context(), dir, k.VerifierKeys(), nil); !errors.Is(err, audit.ErrTampered) {
				t.Fatalf("byte %d of %s: error %v, want ErrTampered", i, name, err)
			}
			flips++
		}
		whole.put(t, dir, name, whole[name])
	}
	mustVerify(t, dir, k, nil)
	t.Logf("%d flips in %d files", flips, len(whole.names()))
}

func TestVerifyFindsMissingFiles(t *testing.T) {
	dir, k := tempDir(t), newKey(t)
	l := open(t, dir, options(k))
	appendEvents(t, l, 0, 600)
	closeLog(t, l)
	whole := load(t, dir)
	index := map[string]uint64{
		"checkpoint": 0, "journal": 512,
		"tile/entries/000": 0, "tile/entries/001": 256, "tile/entries/002.p/88": 512,
		"tile/0/000": 0, "tile/0/001": 256, "tile/0/002.p/88": 512, "tile/1/000.p/2": 0,
	}
	if got := whole.names(); len(got) != len(index) {
		t.Fatalf("files %v, want %d", got, len(index))
	}
	for _, name := range whole.names() {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if p := mustFail(t, dir, k, nil); p.Index != index[name] {
			t.Errorf("without %s: %v, want record %d", name, p, index[name])
		}
		// Opening reads the end of the log only.
		l, err := audit.Open(dir, options(k))
		unseen := strings.HasPrefix(name, "tile/entries") || strings.HasPrefix(name, "tile/0")
		if errors.Is(err, audit.ErrTampered) == unseen {
			t.Errorf("opened without %s: error %v", name, err)
		}
		if err == nil {
			closeLog(t, l)
		}
		whole.store(t, dir)
		for stray := range load(t, dir) {
			if _, ok := whole[stray]; !ok {
				t.Fatalf("%s appeared", stray)
			}
		}
	}
	mustVerify(t, dir, k, nil)
}

func TestVerifyFindsOlderCopies(t *testing.T) {
	dir, k := tempDir(t), newKey(t)
	l := open(t, dir, options(k))
	appendEvents(t, l, 0, 300)
	closeLog(t, l)
	old := load(t, dir)
	l = open(t, dir, options(k))
	appendEvents(t, l, 300, 700)
	closeLog(t, l)
	now := load(t, dir)
	tests := []struct {
		name    string
		back    []string // what of the old copy is put back; nil for all of it
		trusted []byte
		index   uint64
	}{
		{"everything, against a trusted checkpoint", nil, now["checkpoint"], 300},
		{"the checkpoint", []string{"checkpoint"}, nil, 300},
		{"the journal", []string{"journal"}, nil, 300},
		{"checkpoint and journal", []string{"checkpoint", "journal"}, nil, 300},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tempDir(t)
			if tt.back == nil {
				old.store(t, dir)
				mustVerify(t, dir, k, nil) // nothing tells
				mustVerify(t, dir, k, old["checkpoint"])
			} else {
				now.store(t, dir)
			}
			for _, name := range tt.back {
				old.put(t, dir, name, old[name])
			}
			if p := mustFail(t, dir, k, tt.trusted); p.Index != tt.index {
				t.Errorf("%v, want record %d named", p, tt.index)
			}
		})
	}
}

// Whoever has the key can write another log; not one that agrees with a trusted checkpoint.
func TestVerifyFindsAnotherHistory(t *testing.T) {
	k := newKey(t)
	history := func(from int) (string, []byte) {
		dir := tempDir(t)
		l := open(t, dir, options(k))
		appendEvents(t, l, from, from+300)
		closeLog(t, l)
		return dir, load(t, dir)["checkpoint"]
	}
	dir, _ := history(0)
	_, trusted := history(1)
	if p := mustFail(t, dir, k, trusted); p.Index != 0 || p.Last != 299 {
		t.Errorf("%v, want records 0 to 299 named", p)
	}
	other := newKey(t)
	if p := mustFail(t, dir, other, nil); p.Index != 0 {
		t.Errorf("with another key: %v", p)
	}
	if _, err := audit.Verify(t.Context(), dir, nil, nil); err == nil {
		t.Error("verified with no key")
	}
	if _, err := audit.Verify(t.Context(), dir, k.VerifierKeys(), []byte("x")); err == nil || errors.Is(err, audit.ErrTampered) {
		t.Errorf("a trusted checkpoint that is none: error %v", err)
	}
}

// Read does not return what was altered.
func TestReadRefusesAltered(t *testing.T) {
	dir := tempDir(t)
	opts := options(newKey(t))
	l := open(t, dir, opts)
	appendEvents(t, l, 0, 600)
	closeLog(t, l) // the tiles are written now, and not after a second
	l = open(t, dir, opts)
	closing := load(t, dir)
	for i, name := range []string{"tile/entries/000", "tile/0/000"} {
		for try := range 5 {
			t.Run(fmt.Sprint(name, try), func(t *testing.T) {
				if _, err := l.Read(t.Context(), audit.Query{}); err != nil {
					t.Fatal(err)
				}
				changed := slices.Clone(closing[name])
				changed[try*len(changed)/5+40*i] ^= 1
				closing.put(t, dir, name, changed)
				if _, err := l.Read(t.Context(), audit.Query{}); !errors.Is(err, audit.ErrTampered) {
					t.Errorf("error %v, want ErrTampered", err)
				}
				p, err := l.Read(t.Context(), audit.Query{After: 256})
				if err != nil || len(p.Records) != 344 {
					t.Errorf("%d records after it, error %v", len(p.Records), err)
				}
				closing.put(t, dir, name, closing[name])
			})
		}
	}
}
