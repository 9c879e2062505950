package recording

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/recording/seal"
	"github.com/bedside-video/bedside/sfu/codec"
)

// part is one file that is being written.
type part struct {
	n      int // its number in the manifest
	file   *os.File
	sync   func([]*os.File) error
	sum    hash.Hash
	sealed *seal.Writer
	mkv    mkv.Writer
	tracks trackList
	buf    []byte
	told   int64 // bytes, by news
	begun  time.Time
	full   time.Time // since when it is to be followed by another; zero: it is not
}

// newPart creates the file and writes its header. Its name must be in the manifest already.
func newPart(d disk, sync func([]*os.File) error, id string, n int, to age.Recipient, budget time.Duration, now time.Time, h mkv.Header) (*part, error) {
	file, err := d.create(partName(id, n))
	if err != nil {
		return nil, fmt.Errorf("part %d: %w", n, err)
	}
	p := &part{n: n, file: file, sync: sync, sum: sha256.New(), begun: now}
	if p.sealed, err = seal.NewWriter(io.MultiWriter(file, p.sum), to, budget); err != nil {
		return nil, errors.Join(fmt.Errorf("part %d: %w", n, err), file.Close())
	}
	for _, t := range h.Tracks {
		p.tracks[t.Number] = t
	}
	p.buf = p.mkv.AppendHeader(nil, h)
	if err := p.sealed.Write(now, p.buf); err != nil {
		return nil, errors.Join(fmt.Errorf("part %d: %w", n, err), file.Close())
	}
	return p, nil
}

// has tells whether a track of that codec is in the part.
func (p *part) has(track int, c codec.Name) bool {
	return p.tracks[track].Number != 0 && p.tracks[track].Codec == c
}

func (p *part) write(track int, f *frame) error {
	p.buf = p.mkv.AppendFrame(p.buf[:0], track, f.at, f.Key, f.Data)
	return p.sealed.Write(f.Taken, p.buf)
}

// flush makes durable what has waited long enough.
func (p *part) flush(now time.Time) error {
	switch p.sealed.Due(now) {
	case seal.Nothing:
		return nil
	case seal.Pad:
		p.buf = mkv.AppendVoid(p.buf[:0], p.sealed.Padding())
		if err := p.sealed.Write(now, p.buf); err != nil {
			return err
		}
		p.sealed.Padded()
	}
	if err := p.sync([]*os.File{p.file}); err != nil {
		return err
	}
	p.sealed.Synced()
	return nil
}

// fill tells whether the part has just reached one of its limits.
func (p *part) fill(now time.Time, most time.Duration, size int64) bool {
	if !p.full.IsZero() || now.Sub(p.begun) < most && p.sealed.Size() < size {
		return false
	}
	p.full = now
	return true
}

// news is how many bytes there are more than at the last call.
func (p *part) news() int64 {
	more := p.sealed.Size() - p.told
	p.told += more
	return more
}

// close ends the file and says what it is.
func (p *part) close() (size int64, sum string, err error) {
	err = errors.Join(p.sealed.Close(), p.file.Sync(), p.file.Close())
	return p.sealed.Size(), hex.EncodeToString(p.sum.Sum(nil)), err
}

// measure says what a file is that was cut.
func measure(d disk, name string) (size int64, sum string, err error) {
	f, err := d.root.Open(name)
	if err != nil {
		return 0, "", err
	}
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}
