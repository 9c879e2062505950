package jetstream

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// written returns a block as NATS writes it, with records of every kind, and where each starts.
func written(t testing.TB) (block, []int) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir, EntriesPerBucket: 100, BytesPerBucket: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ctx := t.Context()
	for i := range 5 {
		if _, err := s.Create(ctx, "b", fmt.Sprint("key", i), fmt.Appendf(nil, "value %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Update(ctx, "b", "key1", nil, 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "b", "key3"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, "b", "last", []byte("one")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "jetstream", "$G", "streams", "KV_b", "msgs", "1.blk"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBlock("KV_b", 1, data)
	var starts []int
	for at := 0; at < len(data); {
		n := b.record(at)
		if n == 0 {
			t.Fatalf("what NATS wrote is no record at byte %d of %d", at, len(data))
		}
		starts = append(starts, at)
		at += n
	}
	if len(starts) != 8 {
		t.Fatalf("%d records, want 8", len(starts))
	}
	return b, starts
}

func TestBlockWithEveryBitFlipped(t *testing.T) {
	b, starts := written(t)
	last := starts[len(starts)-1]
	for i := range b.data {
		for bit := range 8 {
			b.data[i] ^= 1 << bit
			_, newest := b.check(true)
			_, older := b.check(false)
			if newest && i < last || older {
				t.Errorf("bit %d of byte %d: passes (newest %v, older %v)", bit, i, newest, older)
			}
			b.data[i] ^= 1 << bit
		}
	}
}

func TestBlockCutAtEveryByte(t *testing.T) {
	b, starts := written(t)
	whole := make(map[int]bool)
	for _, at := range append(starts, len(b.data)) {
		whole[at] = true
	}
	for n := range len(b.data) + 1 {
		cut := b
		cut.data = b.data[:n]
		if _, ok := cut.check(true); !ok {
			t.Errorf("the newest block, cut at %d, is not taken for an unfinished write", n)
		}
		if _, ok := cut.check(false); ok != whole[n] {
			t.Errorf("an older block, cut at %d: %v", n, ok)
		}
	}
}

// The seed in testdata is a block that NATS has written.
func FuzzBlock(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzed := newBlock("KV_b", 1, data)
		at, ok := fuzzed.check(true)
		if at > len(data) || at < len(data) && fuzzed.record(at) != 0 {
			t.Errorf("stopped at %d of %d, %v", at, len(data), ok)
		}
		if _, older := fuzzed.check(false); older && !ok {
			t.Error("right as an older block, but not as the newest")
		}
	})
}
