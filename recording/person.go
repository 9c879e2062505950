package recording

import (
	"bytes"
	"errors"
	"time"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

// person is one recorded participant: the tracks that are open, and the part that is being written.
type person struct {
	id     string
	tracks []*Track
	known  trackList // what a header says of each source that has sent a frame
	part   *part
	// Before a part's header can be written, its first frames wait for the other tracks.
	waiting []frame
	bytes   int
	since   time.Time // when the first of them was taken
}

// How long, and how much, is waited for with a header: a camera's first key frame takes a round trip.
const (
	headerWait  = 400 * time.Millisecond
	headerBytes = 4 << 20
)

// trackList has the tracks of one participant by their numbers; a Number of 0 is none.
type trackList [6]mkv.Track

// trackNumber of a source in every file.
func trackNumber(s codec.Source) int {
	switch s {
	case codec.Mic:
		return 1
	case codec.Camera:
		return 2
	case codec.Screen:
		return 3
	case codec.Exam:
		return 4
	}
	return 5
}

// add takes a frame. It goes to the part that is open if that has such a track, and otherwise waits for
// the next part.
func (p *person) add(f *frame) error {
	n := trackNumber(f.source)
	turns := p.turns(f)
	if was := &p.known[n]; was.Number == 0 || was.Codec != f.Codec || f.Width > 0 && (was.Width == 0 || turns) {
		p.known[n] = mkv.Track{
			Number: n, Name: string(f.source), Codec: f.Codec,
			Width: f.Width, Height: f.Height, Private: bytes.Clone(f.Private),
		}
	}
	if p.part != nil && len(p.waiting) == 0 && !turns && p.part.has(n, f.Codec) {
		return p.part.write(n, f)
	}
	if len(p.waiting) == 0 {
		p.since = f.Taken
	}
	p.waiting = append(p.waiting, *f)
	p.waiting[len(p.waiting)-1].Data = bytes.Clone(f.Data) // what it aliases is used again
	p.bytes += len(f.Data)
	return nil
}

// turnWait is how long a part that is full goes on until a picture comes with which the next can begin.
const turnWait = 5 * time.Second

// turns tells whether a part that is full ends before a frame, so that the next begins with a picture that a
// decoder can begin with, if there are pictures.
func (p *person) turns(f *frame) bool {
	if p.part == nil || p.part.full.IsZero() {
		return false
	}
	return f.Width > 0 || !p.seen() || f.Taken.Sub(p.part.full) >= turnWait
}

// seen tells whether pictures of the participant are recorded now.
func (p *person) seen() bool {
	for _, t := range p.tracks {
		if t.source.Kind() == codec.Video && t.described {
			return true
		}
	}
	return false
}

// askKey asks for pictures that a decoder can begin with.
func (p *person) askKey() {
	for _, t := range p.tracks {
		if t.keyFrame != nil && t.source.Kind() == codec.Video {
			t.keyFrame()
		}
	}
}

// ready tells whether the next part can begin: all tracks have shown what they are, or were waited for.
func (p *person) ready(now time.Time) bool {
	if len(p.waiting) == 0 {
		return false
	}
	if now.Sub(p.since) >= headerWait || p.bytes > headerBytes || p.part != nil {
		return true
	}
	for _, t := range p.tracks {
		if !t.described {
			return false
		}
	}
	return true
}

// header lists what the next part has: the tracks that are open or have something waiting.
func (p *person) header(created time.Time) mkv.Header {
	h := mkv.Header{Title: p.id, Date: created}
	for _, s := range []codec.Source{codec.Mic, codec.Camera, codec.Screen, codec.Exam, codec.Auscultation} {
		if t := p.known[trackNumber(s)]; t.Number != 0 && p.uses(s) {
			h.Tracks = append(h.Tracks, t)
		}
	}
	return h
}

func (p *person) uses(s codec.Source) bool {
	for _, t := range p.tracks {
		if t.source == s {
			return true
		}
	}
	for _, f := range p.waiting {
		if f.source == s {
			return true
		}
	}
	return false
}

// settle writes what waited into the new part.
func (p *person) settle() error {
	var err error
	for i := range p.waiting {
		f := &p.waiting[i]
		// Of a codec that changed while the header was waited for, only the latest is in it.
		if p.part.has(trackNumber(f.source), f.Codec) {
			err = errors.Join(err, p.part.write(trackNumber(f.source), f))
		}
	}
	p.drop()
	return err
}

func (p *person) drop() { p.waiting, p.bytes = nil, 0 }

func newPerson(id string) *person {
	return &person{id: id}
}
