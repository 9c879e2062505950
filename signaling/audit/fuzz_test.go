package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/bedside-video/bedside/signaling/audit"
)

// fixedKey is the same in every process of a fuzzing run: seeds are signed with it.
func fixedKey(t testing.TB) audit.Key {
	t.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	vkey, err := note.NewEd25519VerifierKey(origin, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.Split(vkey, "+")[1]
	secret := base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...)) // 1 stands for Ed25519
	path := filepath.Join(tempDir(t), "key")
	if err := os.WriteFile(path, []byte("PRIVATE+KEY+"+origin+"+"+hash+"+"+secret+"\n"+vkey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := audit.LoadOrCreateKey(path, origin)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// FuzzJournal gives Verify and Open any journal. Whatever it is: no panic, and what Verify accepts
// Open accepts, with as many records.
func FuzzJournal(f *testing.F) {
	k := fixedKey(f)
	whole := crashed(f, k, 3, 3)
	journal := whole["journal"]
	f.Add(journal)
	f.Add(journal[:len(journal)-30])
	f.Add(append(bytes.Clone(journal), make([]byte, 600)...))
	f.Add([]byte("= 0 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= x\n"))
	f.Add([]byte("{\"index\":256}\n= 257"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := tempDir(t)
		whole.store(t, dir)
		whole.put(t, dir, "journal", text)
		r, err := audit.Verify(t.Context(), dir, k.VerifierKeys(), nil)
		l, openErr := audit.Open(dir, options(k))
		if (err == nil) != (openErr == nil) {
			t.Fatalf("verified with error %v, opened with error %v", err, openErr)
		}
		if openErr != nil {
			return
		}
		if n := len(readAll(t, l, 0)); uint64(n) != r.Size {
			t.Errorf("%d records, verified %d", n, r.Size)
		}
		closeLog(t, l)
	})
}

// FuzzFiles gives Verify any bundle, tile or checkpoint: it accepts those that were written and no
// others.
func FuzzFiles(f *testing.F) {
	k := fixedKey(f)
	dir := tempDir(f)
	l := open(f, dir, options(k))
	appendEvents(f, l, 0, 270)
	closeLog(f, l)
	whole := load(f, dir)
	names := whole.names()
	for i, name := range names {
		f.Add(uint8(i), whole[name])
		f.Add(uint8(i), append(bytes.Clone(whole[name]), 0))
	}
	f.Fuzz(func(t *testing.T, i uint8, text []byte) {
		name := names[int(i)%len(names)]
		if name == "journal" {
			return // see FuzzJournal
		}
		whole.put(t, dir, name, text)
		defer whole.put(t, dir, name, whole[name])
		_, err := audit.Verify(t.Context(), dir, k.VerifierKeys(), nil)
		if same := bytes.Equal(text, whole[name]); same != (err == nil) {
			t.Errorf("%s, the same as written: %v: error %v", name, same, err)
		}
	})
}
