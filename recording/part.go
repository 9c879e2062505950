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
)

// part is one file that is being written.
type part struct {
	n      int // its number in the manifest
	file   *os.File
	sum    hash.Hash
	sealed *seal.Writer
	buf    []byte
	told   int64 // bytes, by news
	begun  time.Time
	full   bool // it is to be followed by another
}

// newPart creates the file and writes its header. Its name must be in the manifest already.
func newPart(d disk, id string, n int, to age.Recipient, budget time.Duration, now time.Time, h mkv.Header) (*part, error) {
	file, err := d.create(partName(id, n))
	if err != nil {
		return nil, fmt.Errorf("part %d: %w", n, err)
	}
	p := &part{n: n, file: file, sum: sha256.New(), begun: now}
	if p.sealed, err = seal.NewWriter(io.MultiWriter(file, p.sum), to, budget); err != nil {
		return nil, errors.Join(fmt.Errorf("part %d: %w", n, err), file.Close())
	}
	p.buf = mkv.AppendHeader(nil, h)
	if err := p.sealed.Write(now, p.buf); err != nil {
		return nil, errors.Join(fmt.Errorf("part %d: %w", n, err), file.Close())
	}
	return p, nil
}

// seal takes what was made of media.
func (p *part) seal(t text) error {
	from := 0
	for i := range t.pieces {
		x := &t.pieces[i]
		if err := p.sealed.Write(x.taken, t.bytes[from:x.end]); err != nil {
			return err
		}
		if err := p.sealed.Write(x.taken, x.picture); err != nil {
			return err
		}
		from = x.end
	}
	return nil
}

// flush puts out what has waited long enough, and tells whether the file is to be synced now.
func (p *part) flush(now time.Time) (due bool, err error) {
	switch p.sealed.Due(now) {
	case seal.Nothing:
		return false, nil
	case seal.Pad:
		p.buf = mkv.AppendVoid(p.buf[:0], p.sealed.Padding())
		if err := p.sealed.Write(now, p.buf); err != nil {
			return false, err
		}
		p.sealed.Padded()
	}
	return true, nil
}

// fill tells whether the part has just reached one of its limits.
func (p *part) fill(now time.Time, most time.Duration, size int64) bool {
	if p.full || now.Sub(p.begun) < most && p.sealed.Size() < size {
		return false
	}
	p.full = true
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
