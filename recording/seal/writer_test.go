package seal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bedside-video/bedside/recording/seal"
)

// TestNothingOlderThanTheBudgetIsLost writes at many rates for 20 s and cuts the power whenever the
// Writer has said that there is nothing to do: stock age gives back all that was taken longer ago than
// the budget. Padding is only written where chunks do not fill by themselves.
func TestNothingOlderThanTheBudgetIsLost(t *testing.T) {
	id := identity(t)
	tests := []struct {
		name   string
		size   int // of a write, and every when
		every  time.Duration
		padded bool
	}{
		{"silence", 16, 400 * time.Millisecond, true},
		{"a voice", 100, 20 * time.Millisecond, true},
		{"a small picture", 1200, 33 * time.Millisecond, true},
		{"a picture", 6000, 33 * time.Millisecond, false},
		{"a shared screen", 70_000, 100 * time.Millisecond, false},
		{"one byte", 1, time.Hour, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPower(t, id)
			for ms := range 20_000 {
				now := start().Add(time.Duration(ms) * time.Millisecond)
				if now.Sub(start())%tt.every == 0 {
					p.take(now, tt.size)
				}
				p.flush(now)
				if ms%2999 == 0 {
					p.cut(now)
				}
			}
			if (p.padding > 0) != tt.padded {
				t.Errorf("%d bytes of padding", p.padding)
			}
			if rate := p.padding / 20; rate > chunk*4/3+chunk {
				t.Errorf("padding of %d B/s", rate)
			}
			t.Logf("figure: padding with %s: %d B/s, %d flushes in 20 s", tt.name, p.padding/20, p.flushes)
		})
	}
}

// TestRandomWrites is the same with writes of random sizes at random times.
func TestRandomWrites(t *testing.T) {
	id := identity(t)
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			p := newPower(t, id)
			now := start()
			for range 200 {
				now = now.Add(time.Duration(random.IntN(60)) * time.Millisecond)
				p.take(now, 8+random.IntN(1<<random.IntN(18)))
				p.flush(now)
				if random.IntN(20) == 0 {
					p.cut(now)
				}
			}
		})
	}
}

// power is a writer on a disk that loses what was not synced. Each write begins with its number.
type power struct {
	t       *testing.T
	id      *hybrid
	disk    bytes.Buffer
	w       *seal.Writer
	durable int
	ends    []int       // of each write in the plaintext
	taken   []time.Time // of each write
	at      int
	padding int
	flushes int
}

func (p *power) take(now time.Time, size int) {
	p.t.Helper()
	b := make([]byte, size)
	if size >= 8 {
		binary.BigEndian.PutUint64(b, uint64(len(p.ends)))
	}
	if err := p.w.Write(now, b); err != nil {
		p.t.Fatal(err)
	}
	p.at += size
	p.ends, p.taken = append(p.ends, p.at), append(p.taken, now)
}

func (p *power) flush(now time.Time) {
	p.t.Helper()
	switch p.w.Due(now) {
	case seal.Pad:
		n := p.w.Padding()
		if err := p.w.Write(now, make([]byte, n)); err != nil {
			p.t.Fatal(err)
		}
		p.at += n
		p.padding += n
		p.w.Padded()
		fallthrough
	case seal.Sync:
		p.w.Synced()
		p.durable = p.disk.Len()
		p.flushes++
	}
	if a := p.w.Due(now); a != seal.Nothing {
		p.t.Fatalf("after a flush there is still %d to do", a)
	}
}

func (p *power) cut(now time.Time) {
	p.t.Helper()
	plain, err := released(p.t, p.disk.Bytes()[:p.durable], p.id)
	if p.durable > 0 && err == nil {
		p.t.Fatal("a part that is still open has an end")
	}
	for i := len(p.ends) - 1; i >= 0; i-- {
		if p.taken[i].After(now.Add(-budget)) {
			continue
		}
		if len(plain) < p.ends[i] {
			p.t.Fatalf("write %d, taken %v ago, is lost", i, now.Sub(p.taken[i]))
		}
		return
	}
}

func TestErrorsOfTheDisk(t *testing.T) {
	id := identity(t)
	full := errors.New("disk full")
	if _, err := seal.NewWriter(failing{0, full}, id.Recipient(), budget); !errors.Is(err, full) {
		t.Errorf("NewWriter: %v", err)
	}
	w, err := seal.NewWriter(&failAfter{left: 3, err: full}, id.Recipient(), budget)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err = errors.Join(err, w.Write(start(), make([]byte, chunk+1)))
	}
	if !errors.Is(err, full) || !errors.Is(w.Close(), full) {
		t.Errorf("Write: %v", err)
	}
}

func BenchmarkWrite(b *testing.B) {
	id := identity(b)
	w, err := seal.NewWriter(&failAfter{left: 1 << 62}, id.Recipient(), budget)
	if err != nil {
		b.Fatal(err)
	}
	packet := make([]byte, 1100)
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(start(), packet); err != nil {
			b.Fatal(err)
		}
	}
}
