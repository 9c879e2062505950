package seal_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/bedside-video/bedside/recording/seal"
)

// TestTampering: whatever is done to a part is found and named, and everything before it is released,
// by us and, where it can tell, by stock age.
func TestTampering(t *testing.T) {
	id := identity(t)
	content := pattern(4*chunk + 1000)
	file, header := part(t, id.Recipient(), content)
	at := func(n int) int { return header + n*sealed }
	chunkAt := func(n int) []byte { return file[at(n):min(at(n+1), len(file))] }
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	flip := func(n int) []byte {
		b := slices.Clone(file)
		b[n] ^= 0x10
		return b
	}
	tests := []struct {
		name string
		file []byte
		want seal.Report
	}{
		{"nothing", file, seal.Report{Damage: seal.Intact, Chunk: 5, Bytes: int64(len(content))}},
		{"a bit of the first chunk", flip(at(0)), seal.Report{Damage: seal.Changed}},
		{"a bit of the third chunk", flip(at(2) + 777), seal.Report{Damage: seal.Changed, Chunk: 2, Bytes: 2 * chunk}},
		{"a bit of a tag", flip(at(3) - 1), seal.Report{Damage: seal.Changed, Chunk: 2, Bytes: 2 * chunk}},
		{"a bit of the last chunk", flip(len(file) - 1), seal.Report{Damage: seal.Torn, Chunk: 4, Bytes: 4 * chunk}},
		{"a chunk dropped", join(file[:at(1)], file[at(2):]), seal.Report{Damage: seal.Dropped, Chunk: 1, Bytes: chunk}},
		{"all but the last dropped", join(file[:at(0)], file[at(4):]), seal.Report{Damage: seal.Dropped}},
		{"two chunks swapped", join(file[:at(1)], chunkAt(2), chunkAt(1), file[at(3):]), seal.Report{Damage: seal.Swapped, Chunk: 1, Bytes: chunk}},
		{"two far chunks swapped", join(file[:at(0)], chunkAt(3), chunkAt(1), chunkAt(2), chunkAt(0), file[at(4):]), seal.Report{Damage: seal.Swapped}},
		{"a chunk duplicated", join(file[:at(2)], chunkAt(1), file[at(2):]), seal.Report{Damage: seal.Duplicated, Chunk: 2, Bytes: 2 * chunk}},
		{"cut behind a chunk", file[:at(3)], seal.Report{Damage: seal.Truncated, Chunk: 3, Bytes: 3 * chunk}},
		{"cut inside a chunk", file[:at(3)+5000], seal.Report{Damage: seal.Torn, Chunk: 3, Bytes: 3 * chunk}},
		{"cut inside a tag", file[:at(3)+7], seal.Report{Damage: seal.Torn, Chunk: 3, Bytes: 3 * chunk}},
		{"cut inside the last chunk", file[:len(file)-1], seal.Report{Damage: seal.Torn, Chunk: 4, Bytes: 4 * chunk}},
		{"no chunk at all", file[:at(0)], seal.Report{Damage: seal.Truncated}},
		{"something behind the end", join(file, []byte{0}), seal.Report{Damage: seal.Torn, Chunk: 4, Bytes: 4 * chunk}},
		{"the last chunk twice", join(file, chunkAt(4)), seal.Report{Damage: seal.Torn, Chunk: 4, Bytes: 4 * chunk}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			rep, err := seal.Inspect(bytes.NewReader(tt.file), &out, id)
			if err != nil {
				t.Fatal(err)
			}
			if rep != tt.want {
				t.Errorf("%v (%+v), want %v", rep, rep, tt.want)
			}
			if !bytes.Equal(out.Bytes(), content[:rep.Bytes]) {
				t.Errorf("%d bytes released, not those before the damage", out.Len())
			}
			plain, err := released(t, tt.file, id)
			if (err == nil) != (rep.Damage == seal.Intact) || !bytes.Equal(plain, content[:rep.Bytes]) {
				t.Errorf("stock age: %d bytes, %v", len(plain), err)
			}
		})
	}
}

// Behind a last chunk that is full, more can be told apart from the end.
func TestTrailing(t *testing.T) {
	id := identity(t)
	file, _ := part(t, id.Recipient(), pattern(2*chunk))
	rep, err := seal.Inspect(bytes.NewReader(append(file, 1)), io.Discard, id)
	if err != nil || rep != (seal.Report{Damage: seal.Trailing, Chunk: 2, Bytes: 2 * chunk}) {
		t.Errorf("%v, %v", rep, err)
	}
}

// A bit anywhere in the header or the nonce is found, too.
func TestTamperedHeader(t *testing.T) {
	id := identity(t)
	file, header := part(t, id.Recipient(), pattern(100))
	for i := 0; i < header; i++ {
		b := slices.Clone(file)
		b[i] ^= 1
		rep, err := seal.Inspect(bytes.NewReader(b), io.Discard, id)
		if err == nil && rep.Damage == seal.Intact {
			t.Fatalf("a bit of byte %d of the header changed, and nobody noticed", i)
		}
	}
}

func TestWrongKey(t *testing.T) {
	file, _ := part(t, identity(t).Recipient(), pattern(100))
	if _, err := seal.Inspect(bytes.NewReader(file), io.Discard, identity(t)); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("Inspect: %v", err)
	}
}

func TestInspectTellsErrorsOfTheWriter(t *testing.T) {
	id := identity(t)
	file, _ := part(t, id.Recipient(), pattern(3*chunk))
	full := errors.New("disk full")
	rep, err := seal.Inspect(bytes.NewReader(file), &failAfter{left: 1, err: full}, id)
	if !errors.Is(err, full) || rep.Chunk != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
}
