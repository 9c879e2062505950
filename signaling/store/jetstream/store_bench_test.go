package jetstream_test

import (
	"fmt"
	"testing"

	"github.com/bedside-video/bedside/signaling/store"
)

func BenchmarkCreate(b *testing.B) {
	s := open(b, options(b.TempDir()))
	defer shut(b, s)
	value := make([]byte, 600)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key := fmt.Sprint(i)
		create(b, s, key, value)
		if i >= 1000 {
			if err := s.Delete(b.Context(), bucket, fmt.Sprint(i-1000)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, options(b.TempDir()))
	defer shut(b, s)
	create(b, s, "a", make([]byte, 600))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), bucket, "a"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEach(b *testing.B) {
	s := open(b, options(b.TempDir()))
	defer shut(b, s)
	for i := range 2000 {
		create(b, s, fmt.Sprint(i), make([]byte, 600))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Each(b.Context(), bucket, func(store.Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is what a start costs with 2,000 entries.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, options(dir))
	for i := range 2000 {
		create(b, s, fmt.Sprint(i), make([]byte, 600))
	}
	shut(b, s)
	b.ReportAllocs()
	for b.Loop() {
		shut(b, open(b, options(dir)))
	}
}
