package jetstream_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/store/jetstream"
)

const stream = "jetstream/$G/streams/KV_things/"

// Damage is told, and the unfinished write of a killed process is not taken for it.
func TestDamage(t *testing.T) {
	edit := func(name string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(data []byte) []byte { data[at] ^= 1; return data }
	}
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   error
		left   int // entries of 10
	}{
		{"none", func(*testing.T, string) {}, nil, 10},
		{"a bit of the first record", edit(stream+"msgs/1.blk", flip(30)), jetstream.ErrDamaged, 0},
		{"the length of the first record", edit(stream+"msgs/1.blk", flip(1)), jetstream.ErrDamaged, 0},
		{"an unfinished last record", edit(stream+"msgs/1.blk", func(d []byte) []byte { return d[:len(d)-5] }), nil, 9},
		{"another file in its place", edit(stream+"msgs/1.blk", func([]byte) []byte { return []byte("hello, world") }), jetstream.ErrDamaged, 0},
		{"the stream's description", edit(stream+"meta.inf", flip(20)), jetstream.ErrDamaged, 0},
		{"the index, which is made anew", edit(stream+"msgs/index.db", flip(20)), nil, 10},
		{"another block in its place", func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, stream, "msgs/1.blk"), filepath.Join(dir, stream, "msgs/2.blk")); err != nil {
				t.Fatal(err)
			}
		}, jetstream.ErrDamaged, 0},
		{"a file in place of the directory", func(t *testing.T, dir string) {
			if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, syscall.ENOTDIR, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			s := open(t, options(dir))
			for i := range 10 {
				create(t, s, fmt.Sprint("key", i), fmt.Appendf(nil, "value %d", i))
			}
			shut(t, s)
			tt.damage(t, dir)
			s, err := jetstream.Open(options(dir))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				if !strings.Contains(err.Error(), dir) {
					t.Errorf("%v does not say where", err)
				}
				return
			}
			defer shut(t, s)
			n := 0
			err = s.Each(t.Context(), bucket, func(e store.Entry) error {
				if string(e.Value) != "value "+strings.TrimPrefix(e.Key, "key") {
					t.Errorf("%s is %q", e.Key, e.Value)
				}
				n++
				return nil
			})
			if err != nil || n != tt.left {
				t.Errorf("%d entries, %v; want %d", n, err, tt.left)
			}
		})
	}
}
