package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/recording/seal"
	"github.com/bedside-video/bedside/sfu/codec"
)

// Film is everybody's tracks of a recording in one file.
type Film struct {
	Identities []age.Identity
	Read       func(n int) // told of bytes as they are read; may be nil
}

// Output is where a film is written: to a file, because its beginning is completed at the end.
type Output interface {
	io.Writer
	io.WriterAt
}

// maxFilmTracks is what the numbers of tracks hold.
const maxFilmTracks = 126

// Write decrypts a recording and writes it as one Matroska, in which each track is named after its
// participant and source. What is damaged is left out and listed.
func (f *Film) Write(ctx context.Context, src Source, out Output) ([]Finding, error) {
	m, err := manifestOf(src)
	if err != nil {
		return nil, err
	}
	if m.State == Erased {
		return nil, ErrErased
	}
	key, found, err := unlock(src, &m, f.Identities)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, seal.ErrWrongKey
	}
	c := cutter{ctx: ctx, film: f, src: src, key: key, found: found, numbers: make(map[filmTrack]int)}
	defer c.close()
	for _, p := range m.Parts {
		if err := c.survey(p); err != nil {
			return nil, err
		}
	}
	if len(c.header.Tracks) == 0 {
		return c.found, errors.New("nothing of this recording can be read")
	}
	c.header.Title, c.header.Date = m.ID, m.Created
	return c.found, c.write(out)
}

// filmTrack is one track of a film.
type filmTrack struct {
	participant, source string
	codec               codec.Name
}

// cutter puts the parts of a recording together.
type cutter struct {
	ctx     context.Context
	film    *Film
	src     Source
	key     *age.HybridIdentity
	header  mkv.Header
	numbers map[filmTrack]int
	people  []*reel
	found   []Finding
}

// reel is the parts of one participant, one after another.
type reel struct {
	participant string
	parts       []int
	part        int // that is being read
	file        io.Closer
	reader      *mkv.Reader
	next        mkv.Block
	track       int // of next, in the film
}

// survey reads the header of a part, and adds its tracks to the film's.
func (c *cutter) survey(p Part) error {
	r, file, err := c.open(p.N)
	if err != nil {
		return err
	}
	if r == nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	if r.Header.Title != p.Participant {
		c.note(p.N, "is somebody else's: left out")
		return nil
	}
	for _, t := range r.Header.Tracks {
		k := filmTrack{p.Participant, t.Name, t.Codec}
		if c.numbers[k] != 0 {
			continue
		}
		if len(c.header.Tracks) == maxFilmTracks {
			return fmt.Errorf("more than %d tracks", maxFilmTracks)
		}
		c.numbers[k] = len(c.header.Tracks) + 1
		t.Number, t.Name = c.numbers[k], p.Participant+" "+t.Name
		c.header.Tracks = append(c.header.Tracks, t)
	}
	for _, x := range c.people {
		if x.participant == p.Participant {
			x.parts = append(x.parts, p.N)
			return nil
		}
	}
	c.people = append(c.people, &reel{participant: p.Participant, parts: []int{p.N}})
	return nil
}

// open opens a part; nil if there is nothing in it, which is noted.
func (c *cutter) open(n int) (*mkv.Reader, io.Closer, error) {
	f, err := c.src.Part(n)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) {
		c.note(n, "missing")
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("part %d: %w", n, err)
	}
	plain, err := age.Decrypt(&meter{ctx: c.ctx, r: f, read: c.film.Read}, c.key)
	if err == nil {
		var r *mkv.Reader
		if r, err = mkv.NewReader(plain); err == nil {
			return r, f, nil
		}
	}
	if c.ctx.Err() != nil {
		return nil, nil, errors.Join(c.ctx.Err(), f.Close())
	}
	c.note(n, "cannot be read: "+err.Error())
	return nil, nil, f.Close()
}

func (c *cutter) note(part int, what string) {
	for _, f := range c.found {
		if f.Part == part && f.What == what {
			return
		}
	}
	c.found = append(c.found, Finding{part, what})
}

// write merges everybody's frames by time.
func (c *cutter) write(out Output) error {
	var film mkv.Film
	buf := film.AppendHeader(nil, c.header)
	for _, x := range c.people {
		if err := c.advance(x); err != nil {
			return err
		}
	}
	for {
		var first *reel
		for _, x := range c.people {
			if x.reader != nil && (first == nil || x.next.At < first.next.At) {
				first = x
			}
		}
		if first == nil {
			break
		}
		buf = film.AppendFrame(buf, first.track, first.next.At, first.next.Key, first.next.Data)
		if len(buf) > 0 {
			if _, err := out.Write(buf); err != nil {
				return fmt.Errorf("write film: %w", err)
			}
			buf = buf[:0]
		}
		if err := c.advance(first); err != nil {
			return err
		}
	}
	buf, patches := film.Close(buf)
	if _, err := out.Write(buf); err != nil {
		return fmt.Errorf("write film: %w", err)
	}
	for _, p := range patches {
		if _, err := out.WriteAt(p.Bytes, p.At); err != nil {
			return fmt.Errorf("write film: %w", err)
		}
	}
	return nil
}

// advance reads a participant's next frame; reader is nil behind the last.
func (c *cutter) advance(x *reel) error {
	for {
		if x.reader == nil {
			if len(x.parts) == 0 {
				return nil
			}
			var err error
			x.part, x.parts = x.parts[0], x.parts[1:]
			if x.reader, x.file, err = c.open(x.part); err != nil {
				return err
			}
			continue
		}
		block, err := x.reader.Next()
		if err == nil {
			x.next = block
			if x.track = c.track(x, block.Track); x.track != 0 {
				return nil
			}
			continue
		}
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		if !errors.Is(err, io.EOF) {
			c.note(x.part, fmt.Sprintf("is damaged after %v: the rest is left out", x.next.At.Round(time.Millisecond)))
		}
		err = x.file.Close()
		x.reader, x.file = nil, nil
		if err != nil {
			return fmt.Errorf("part %d: %w", x.part, err)
		}
	}
}

// track is the number in the film of a track of the part that is being read; 0 if its header has none.
func (c *cutter) track(x *reel, number int) int {
	for _, t := range x.reader.Header.Tracks {
		if t.Number == number {
			return c.numbers[filmTrack{x.participant, t.Name, t.Codec}]
		}
	}
	return 0
}

func (c *cutter) close() {
	for _, x := range c.people {
		if x.file != nil {
			_ = x.file.Close() // only read
		}
	}
}
