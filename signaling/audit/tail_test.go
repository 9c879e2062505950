package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/signaling/audit"
)

// crashed returns the files of a log that ended with its last records not covered by a checkpoint:
// some that are, then as many writes of one record as tail says. The journal begins with record 0.
func crashed(t testing.TB, k audit.Key, signed, tail int) files {
	t.Helper()
	dir := tempDir(t)
	l := open(t, dir, options(k))
	appendEvents(t, l, 0, signed)
	closeLog(t, l)
	l, err := audit.Open(dir, options(k).WithFault(func(_, name string) error {
		if name == "checkpoint" || strings.HasPrefix(name, "tile") {
			return errors.New("not now")
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range tail {
		appendEvents(t, l, signed+i, signed+i+1)
	}
	closeLog(t, l)
	return load(t, dir)
}

// A journal that ends anywhere within its last write is one that was not finished: what was
// acknowledged before is there, what was not is not, and the log goes on.
func TestUnfinishedWrite(t *testing.T) {
	k := newKey(t)
	whole := crashed(t, k, 250, 10)
	journal := whole["journal"]
	before := bytes.LastIndex(journal[:len(journal)-1], []byte("\n{")) + 1
	for cut := before; cut < len(journal); cut++ {
		if os.Getenv("SOAK") == "" && cut > before+3 && cut < len(journal)-3 && cut%61 != 0 {
			continue
		}
		for _, filling := range []int{0, 2 * 512} { // as a crash leaves it, and as a power cut may
			dir := tempDir(t)
			whole.store(t, dir)
			whole.put(t, dir, "journal", append(slices.Clone(journal[:cut]), make([]byte, filling)...))
			r := mustVerify(t, dir, k, whole["checkpoint"])
			if r.Size != 259 || r.Signed != 250 || r.Torn != cut-before+filling {
				t.Fatalf("cut at %d with %d zeros: %d records, %d signed, %d bytes torn", cut, filling, r.Size, r.Signed, r.Torn)
			}
			l := open(t, dir, options(k))
			appendEvents(t, l, 259, 262)
			if n := len(readAll(t, l, 0)); n != 262 {
				t.Fatalf("cut at %d: %d records, want 262", cut, n)
			}
			closeLog(t, l)
			if r := mustVerify(t, dir, k, nil); r.Size != 262 || r.Signed != 262 || r.Torn != 0 {
				t.Fatalf("cut at %d: %+v", cut, r)
			}
		}
	}
}

// Every byte of the records that no checkpoint covers, flipped: Verify and Open find it.
func TestTailFlips(t *testing.T) {
	k := newKey(t)
	whole := crashed(t, k, 250, 10)
	journal := whole["journal"]
	dir := tempDir(t)
	whole.store(t, dir)
	from := bytes.Index(journal, []byte(`{"index":250,`))
	for i := from; i < len(journal); i++ {
		if os.Getenv("SOAK") == "" && i%37 != 0 && journal[i] != '\n' && i < len(journal)-3 {
			continue
		}
		for bit := range 8 {
			if os.Getenv("SOAK") == "" && bit != i%8 && journal[i] != '\n' {
				continue
			}
			changed := slices.Clone(journal)
			changed[i] ^= 1 << bit
			whole.put(t, dir, "journal", changed)
			if _, err := audit.Verify(context.Background(), dir, k.VerifierKeys(), nil); !errors.Is(err, audit.ErrTampered) {
				t.Fatalf("byte %d of %d, bit %d: error %v, want ErrTampered", i, len(journal), bit, err)
			}
			if bit != i%8 {
				continue
			}
			if _, err := audit.Open(dir, options(k)); !errors.Is(err, audit.ErrTampered) {
				t.Fatalf("byte %d of %d, bit %d: opened with error %v, want ErrTampered", i, len(journal), bit, err)
			}
		}
	}
}

// Records that no checkpoint covers, altered in every way, with and without the line that commits to
// them: it is found unless it looks exactly like a log that ended earlier.
func TestTailTampers(t *testing.T) {
	k := newKey(t)
	whole := crashed(t, k, 250, 10)
	var writes [][]byte // a record and its commit
	at := bytes.Index(whole["journal"], []byte(`{"index":250,`))
	head, rest := whole["journal"][:at], whole["journal"][at:]
	for len(rest) > 0 {
		end := bytes.Index(rest, []byte("\n= ")) + 1
		end += bytes.IndexByte(rest[end:], '\n') + 1
		writes = append(writes, rest[:end])
		rest = rest[end:]
	}
	if len(writes) != 10 {
		t.Fatalf("%d writes, want 10", len(writes))
	}
	for _, change := range tampers() {
		for i := range writes {
			t.Run(fmt.Sprint(change.name, i), func(t *testing.T) {
				changed := change.change(slices.Clone(writes), i)
				if changed == nil {
					return
				}
				dir := tempDir(t)
				whole.store(t, dir)
				whole.put(t, dir, "journal", slices.Concat(head, bytes.Join(changed, nil)))
				last := i == len(writes)-1
				switch {
				case change.name == "cut before",
					last && (change.name == "removed" || change.name == "emptied" || change.name == "cut"):
					if r := mustVerify(t, dir, k, nil); r.Size != uint64(250+i) {
						t.Errorf("%d records, want %d", r.Size, 250+i)
					}
				default:
					p := mustFail(t, dir, k, nil)
					if want := uint64(250 + change.first(i)); p.Index > want || p.Last < want {
						t.Errorf("%v, want record %d named", p, want)
					}
				}
			})
		}
	}
}

// A commit is made with the log's key and nothing else: a tail with roots that are right and
// signatures of another key is found.
func TestTailOfAnotherKey(t *testing.T) {
	k, other := newKey(t), newKey(t)
	ours, theirs := crashed(t, k, 250, 10), crashed(t, other, 250, 10)
	cut := func(f files) ([]byte, []byte) {
		i := bytes.Index(f["journal"], []byte(`{"index":255,`))
		return f["journal"][:i], f["journal"][i:]
	}
	begin, _ := cut(ours)
	_, tail := cut(theirs)
	dir := tempDir(t)
	ours.store(t, dir)
	ours.put(t, dir, "journal", slices.Concat(begin, tail))
	if p := mustFail(t, dir, k, nil); p.Index != 255 {
		t.Errorf("%v, want record 255 named", p)
	}
}
