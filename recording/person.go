package recording

import (
	"bytes"
	"sync"
	"time"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

// person is one recorded participant: the tracks that are open, and what was made of them and is not sealed yet. The
// packet path holds the lock to hand over a frame, Session.run to take over what there is.
type person struct {
	id    string
	epoch time.Time // of the recording

	part *part // that is being written; of Session.run alone

	mu     sync.Mutex // guards what follows, and some of its tracks
	tracks []*Track
	spares spares
	known  trackList // what a header says of each source that has sent a frame
	draft  draft
	// Before a part's header can be written, its first frames wait for the other tracks.
	waiting []frame
	bytes   int       // of what waits
	since   time.Time // when the first of them was taken
	deaf    bool      // nothing can be written: what comes is dropped
}

// How long, and how much, is waited for with a header: a camera's first key frame takes a round trip.
const (
	headerWait  = 400 * time.Millisecond
	headerBytes = 1 << 20
)

// What a person keeps at most for a disk that stands still: ten seconds of a picture of 1.5 Mbit/s. What comes
// then is lost and counted.
const (
	maxKept   = 2 << 20
	frameCost = 200 // of a frame that waits, beside its data
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

// add takes a frame, and reports whether there was room. It goes to the part that is open if that has such a track,
// and otherwise waits for the next part. A picture's data stay here: there is space for another's, or nil.
func (p *person) add(f *frame) (space []byte, ok bool) {
	if p.deaf {
		return f.Data, true
	}
	if p.draft.text.size()+p.bytes > maxKept {
		return nil, false
	}
	n := trackNumber(f.source)
	turns := p.turns(f)
	if was := &p.known[n]; was.Number == 0 || was.Codec != f.Codec || f.Width > 0 && (was.Width == 0 || turns) {
		p.known[n] = mkv.Track{
			Number: n, Name: string(f.source), Codec: f.Codec,
			Width: f.Width, Height: f.Height, Private: bytes.Clone(f.Private),
		}
	}
	if len(p.waiting) == 0 && !turns && p.draft.has(n, f.Codec) {
		p.draft.write(n, f)
		if f.Codec.Kind() == codec.Video {
			space = p.spares.picture()
		}
		return space, true
	}
	if len(p.waiting) == 0 {
		p.since = f.Taken
	}
	p.waiting = append(p.waiting, *f)
	if f.Codec.Kind() == codec.Audio {
		p.waiting[len(p.waiting)-1].Data = bytes.Clone(f.Data) // it is the packet's
	}
	p.bytes += len(f.Data) + frameCost
	return nil, true
}

// turnWait is how long a part that is full goes on until a picture comes with which the next can begin.
const turnWait = 5 * time.Second

// turns tells whether a part that is full ends before a frame, so that the next begins with a picture that a
// decoder can begin with, if there are pictures.
func (p *person) turns(f *frame) bool {
	if !p.draft.open || p.draft.full.IsZero() {
		return false
	}
	return f.Width > 0 || !p.seen() || f.Taken.Sub(p.draft.full) >= turnWait
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

// join takes over a track that was opened.
func (p *person) join(t *Track) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tracks = append(p.tracks, t)
}

// review asks all tracks what there is to tell, lets go of those that are over, and tells whether the next part
// can begin.
func (p *person) review(now time.Time) (told []notice, left int, ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.tracks[:0]
	for _, t := range p.tracks {
		if n, ok := t.review(now); ok {
			told = append(told, n)
		}
		if !t.over {
			kept = append(kept, t)
		}
	}
	left = len(p.tracks) - len(kept)
	clear(p.tracks[len(kept):])
	p.tracks = kept
	return told, left, p.ready(now)
}

// ready tells whether the next part can begin: all tracks have shown what they are, or were waited for.
func (p *person) ready(now time.Time) bool {
	if len(p.waiting) == 0 {
		return false
	}
	if now.Sub(p.since) >= headerWait || p.bytes > headerBytes || p.draft.open {
		return true
	}
	for _, t := range p.tracks {
		if !t.described {
			return false
		}
	}
	return true
}

// exchange returns what there is to be sealed, for space for what follows.
func (p *person) exchange(s *spares) text {
	p.mu.Lock()
	defer p.mu.Unlock()
	full := p.draft.text
	if full.size() == 0 {
		return text{}
	}
	p.draft.text, s.text = s.text, text{}
	p.spares.share(s, full.count+1) // there may be one more in the same time
	return full
}

// shut ends the draft of a part, and returns what was not sealed.
func (p *person) shut() text {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := p.draft.text
	p.draft = draft{}
	return rest
}

// header lists what the next part has: the tracks that are open or have something waiting. It counts what waits.
func (p *person) header() (h mkv.Header, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h = mkv.Header{Title: p.id, Date: p.epoch}
	for _, s := range []codec.Source{codec.Mic, codec.Camera, codec.Screen, codec.Exam, codec.Auscultation} {
		if t := p.known[trackNumber(s)]; t.Number != 0 && p.uses(s) {
			h.Tracks = append(h.Tracks, t)
		}
	}
	return h, len(p.waiting)
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

// settle begins the draft of a part with a header that was made when so many frames waited.
func (p *person) settle(h mkv.Header, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draft = draft{open: true}
	for _, t := range h.Tracks {
		p.draft.tracks[t.Number] = t
	}
	frames := p.waiting
	p.waiting, p.bytes = nil, 0
	for i := range frames {
		f := &frames[i]
		// Of a codec that changed while the header was waited for, only the latest is in it. What came since
		// may need another part.
		if n := trackNumber(f.source); i >= waiting {
			_, _ = p.add(f) // what waited has room
		} else if p.draft.has(n, f.Codec) {
			p.draft.write(n, f)
		}
	}
}

// turn tells that the part is full.
func (p *person) turn(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draft.full = now
}

// drop forgets all that is not sealed, and takes nothing until it hears again.
func (p *person) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draft, p.waiting, p.bytes, p.deaf = draft{}, nil, 0, true
}

// hear takes frames again.
func (p *person) hear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = false
	for _, t := range p.tracks {
		t.described = false
	}
}

// stop ends all tracks.
func (p *person) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tracks {
		t.end()
	}
}

// waits tells whether frames wait for a part.
func (p *person) waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) > 0
}

// askKey asks for pictures that a decoder can begin with.
func (p *person) askKey() {
	p.mu.Lock()
	tracks := append([]*Track(nil), p.tracks...)
	p.mu.Unlock()
	for _, t := range tracks {
		if t.keyFrame != nil && t.source.Kind() == codec.Video {
			t.keyFrame() // may wait for the packet path, which waits for the lock
		}
	}
}
