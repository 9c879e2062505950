package seal_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording/seal"
)

const (
	chunk  = 64 << 10
	sealed = chunk + 16
	budget = 750 * time.Millisecond
)

func start() time.Time { return time.Unix(1_750_000_000, 0) }

func identity(t testing.TB) *age.HybridIdentity {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// part is content sealed in one piece, and where its first chunk begins.
func part(t testing.TB, to age.Recipient, content []byte) (file []byte, header int) {
	t.Helper()
	var b bytes.Buffer
	w, err := seal.NewWriter(&b, to, budget)
	if err != nil {
		t.Fatal(err)
	}
	header = b.Len()
	if err := w.Write(start(), content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(b.Len()) {
		t.Fatalf("Size %d of %d bytes", w.Size(), b.Len())
	}
	return b.Bytes(), header
}

// pattern is content in which no two chunks are alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i/chunk*31 + i)
	}
	return b
}

// released is what stock age gives of a file that may be cut short.
func released(t testing.TB, file []byte, id age.Identity) ([]byte, error) {
	t.Helper()
	r, err := age.Decrypt(bytes.NewReader(file), id)
	if err != nil {
		t.Fatal(err)
	}
	return io.ReadAll(r)
}

type hybrid = age.HybridIdentity

func newPower(t *testing.T, id *hybrid) *power {
	t.Helper()
	p := &power{t: t, id: id}
	var err error
	if p.w, err = seal.NewWriter(&p.disk, id.Recipient(), budget); err != nil {
		t.Fatal(err)
	}
	p.durable = p.disk.Len()
	return p
}

type failing struct {
	n   int
	err error
}

func (f failing) Write([]byte) (int, error) { return f.n, f.err }

// failAfter takes so many writes.
type failAfter struct {
	left int
	err  error
}

func (f *failAfter) Write(b []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, f.err
	}
	return len(b), nil
}
