// Package seal encrypts recordings while they are written, in the stock format of age v1
// (https://age-encryption.org/v1), so that a crash or a power cut costs no more than a bounded time
// and nobody but the hospital can read them. format.md has the bytes.
//
// It is pure: what is written goes to an io.Writer, the time is an argument, and when to flush is
// answered, not done. Randomness is age's own.
package seal

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
)

// Sizes of age's payload (C2SP age, section "Payload").
const (
	chunkSize = 64 << 10 // of plaintext
	overhead  = 16       // of one sealed chunk: the tag of ChaCha20-Poly1305
)

// MinPadding is the least that Padding asks for: the smallest element that Matroska can be padded
// with has two bytes.
const MinPadding = 2

// Action is what a Writer wants done.
type Action uint8

// The actions.
const (
	Nothing Action = iota
	Sync           // what was written must reach the disk
	Pad            // padding must be written, then all must reach the disk
)

// Writer seals one part. age puts a chunk of 64 KiB out when its first byte is known not to be the
// last one of the file, so what was written may wait in memory: Due tells when it has waited long
// enough, and Padding how many bytes push it out. The zero value is not ready.
type Writer struct {
	out    counter
	sealed io.WriteCloser
	budget time.Duration // how long what was taken may be lost

	written  int64     // plaintext
	buffered time.Time // when the oldest byte in age's buffer was taken; zero if none is
	unsynced time.Time // when the oldest byte that was put out since the last Synced was taken
}

// counter counts what passes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// NewWriter starts a sealed part, which only the identity of to will open, and writes its header.
// Due asks for action once something was taken budget ago.
func NewWriter(w io.Writer, to age.Recipient, budget time.Duration) (*Writer, error) {
	var header bytes.Buffer // age writes it in a dozen pieces
	s := &Writer{out: counter{w: &header}, budget: budget}
	var err error
	if s.sealed, err = age.Encrypt(&s.out, to); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	s.out.w = w
	if _, err := w.Write(header.Bytes()); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return s, nil
}

// Write seals b, whose oldest content was taken from the network at that time. After an error the
// Writer is of no use: part of a chunk may be on the disk.
func (s *Writer) Write(taken time.Time, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	inBuffer := s.inBuffer()
	if _, err := s.sealed.Write(b); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	s.written += int64(len(b))
	if inBuffer == 0 {
		s.buffered = taken
	}
	s.buffered = earlier(s.buffered, taken)
	if inBuffer+len(b) > chunkSize {
		s.unsynced = earlier(s.unsynced, s.buffered)
		s.buffered = taken
	}
	return nil
}

// inBuffer is how much age holds back: up to a whole chunk, which may turn out to be the last.
func (s *Writer) inBuffer() int {
	if s.written == 0 {
		return 0
	}
	return int((s.written-1)%chunkSize) + 1
}

// Due tells what has to be done now so that nothing older than the budget can be lost.
func (s *Writer) Due(now time.Time) Action {
	switch {
	case overdue(s.buffered, now, s.budget):
		return Pad
	case overdue(s.unsynced, now, s.budget):
		return Sync
	}
	return Nothing
}

func overdue(taken, now time.Time, budget time.Duration) bool {
	return !taken.IsZero() && now.Sub(taken) >= budget
}

// Padding is how many bytes of padding put out everything taken so far: up to the end of the chunk,
// and one byte more. At least MinPadding.
func (s *Writer) Padding() int { return max(chunkSize-s.inBuffer()+1, MinPadding) }

// Padded tells that everything in age's buffer is padding, which may be lost.
func (s *Writer) Padded() { s.buffered = time.Time{} }

// Unsynced tells whether anything was put out since the last Synced.
func (s *Writer) Unsynced() bool { return !s.unsynced.IsZero() }

// Synced tells that everything put out so far is on the disk.
func (s *Writer) Synced() { s.unsynced = time.Time{} }

// Size of the sealed part so far, in bytes.
func (s *Writer) Size() int64 { return s.out.n }

// Close puts out the rest, marked as the end. Without it the part is one that was cut short, and
// everything up to the last chunk put out can be read.
func (s *Writer) Close() error {
	if err := s.sealed.Close(); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// earlier of two times, of which a may be none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
