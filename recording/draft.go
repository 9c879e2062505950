package recording

import (
	"time"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

// draft is what there is of a participant's open part, and is not sealed yet.
type draft struct {
	open   bool // there is a part
	tracks trackList
	mkv    mkv.Writer
	full   time.Time // since when the part is to be followed by another; zero: it is not
	text   text
}

// has tells whether a track of that codec is in the part.
func (d *draft) has(track int, c codec.Name) bool {
	return d.open && d.tracks[track].Number != 0 && d.tracks[track].Codec == c
}

// write takes a frame; the data of a picture are the draft's from now on.
func (d *draft) write(track int, f *frame) {
	d.text.bytes = d.mkv.BeginFrame(d.text.bytes, track, f.at, f.Key, len(f.Data))
	if f.Codec.Kind() == codec.Video {
		d.text.end(f.Taken, f.Data)
		return
	}
	d.text.bytes = append(d.text.bytes, f.Data...)
	d.text.end(f.Taken, nil)
}

// text is a piece of a part in the clear. It is in memory alone.
type text struct {
	bytes    []byte // but for the pictures
	pieces   []piece
	pictures int // bytes of them
	count    int // of pictures
}

// piece is some of a text's bytes, from the end of the piece before it, and the picture behind them.
type piece struct {
	end     int
	picture []byte
	taken   time.Time // the oldest of it
}

// pieceSpan is how much older than it is something may be said to be.
const pieceSpan = 50 * time.Millisecond

// end ends a piece here, with a picture or without.
func (t *text) end(taken time.Time, picture []byte) {
	t.pictures += len(picture)
	if picture != nil {
		t.count++
	}
	if n := len(t.pieces); n > 0 && t.pieces[n-1].picture == nil && taken.Sub(t.pieces[n-1].taken) < pieceSpan {
		x := &t.pieces[n-1]
		x.end, x.picture = len(t.bytes), picture
		if taken.Before(x.taken) {
			x.taken = taken
		}
		return
	}
	t.pieces = append(t.pieces, piece{len(t.bytes), picture, taken})
}

// size is how many bytes there are.
func (t *text) size() int { return len(t.bytes) + t.pictures }

// What is kept of the space of texts.
const (
	maxSpare  = 64 << 10 // of a picture, or the rest of a text
	maxSpares = 16       // pictures
)

// spares is space that is used again. That which was read last is given first: it is in the processor's cache.
type spares struct {
	text     text
	pictures [][]byte
}

// keep takes the space of a text whose content is not needed any more.
func (s *spares) keep(t text) {
	for i := range t.pieces {
		if b := t.pieces[i].picture; b != nil && cap(b) <= maxSpare && len(s.pictures) < maxSpares {
			s.pictures = append(s.pictures, b)
		}
	}
	clear(t.pieces)
	if cap(t.bytes) <= maxSpare {
		s.text = text{bytes: t.bytes[:0], pieces: t.pieces[:0]}
	}
}

// share takes space for so many pictures, as far as the other has it.
func (s *spares) share(from *spares, pictures int) {
	for len(s.pictures) < min(pictures, maxSpares) {
		b := from.picture()
		if b == nil {
			return
		}
		s.pictures = append(s.pictures, b)
	}
}

// picture returns space for a picture, nil if there is none.
func (s *spares) picture() []byte {
	n := len(s.pictures) - 1
	if n < 0 {
		return nil
	}
	b := s.pictures[n]
	s.pictures[n] = nil
	s.pictures = s.pictures[:n]
	return b
}
