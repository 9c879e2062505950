// Package slots decides whose media sits in which of one receiver's slots. It is pure: no
// goroutine, clock, lock or socket, and the same calls give the same slots every time.
package slots

import (
	"cmp"
	"slices"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

const (
	// louderBy and louderFor are the hysteresis of the audio slots: a voice that has none takes
	// the quietest's only when it is so much louder, in dB, for so long. It is also how long an
	// auscultation or an interpreter waits for more slots before it takes a voice's.
	louderBy  = 10
	louderFor = time.Second
)

// Occupant is whose media sits in a slot; the zero value is nobody.
type Occupant struct {
	Peer   string
	Source codec.Source
}

// Publication is something that the receiver could be sent.
type Publication struct {
	Occupant
	NeverEvict bool   // keeps its audio slot whoever is louder; auscultation does so anyway
	Loudness   int    // smoothed, 0 (silence) to 127
	Pinned     bool   // the receiver wants to see it before what is not pinned
	Since      uint64 // order of joining: who came first comes first
}

// Change is a slot with a new occupant, or with none.
type Change struct {
	Kind  codec.Kind
	Index int
	Occupant
}

// Assigner assigns the slots of one receiver. Audio slot i and a video slot are a pair: they share
// a stream id, so that the browser plays them in step, and hold the same person wherever that is
// possible. Pair says which.
//
// A slot keeps its occupant for as long as that is published, with these exceptions: above as many
// voices as audio slots the loudest are heard; a camera follows its person's voice; something
// pinned takes the video slot of something that is not.
type Assigner struct {
	audio, video []Occupant
	screen       int // index of the video slot that is kept for a screen, -1 for none
	waiting      []waiting
	changes      []Change
	unplaced     [codec.Video + 1]int
}

// waiting is somebody who could take an audio slot if it lasts, and since when.
type waiting struct {
	Occupant
	since time.Time
}

// New returns an Assigner of so many empty slots. The last video slot is kept for a screen when
// there is one more than audio slots.
func New(audio, video int) *Assigner {
	a := &Assigner{audio: make([]Occupant, audio), video: make([]Occupant, video), screen: -1}
	if video > max(audio, 1) {
		a.screen = video - 1
	}
	return a
}

// Grow adds empty slots behind those there are.
func (a *Assigner) Grow(audio, video int) {
	a.audio = append(a.audio, make([]Occupant, audio)...)
	a.video = append(a.video, make([]Occupant, video)...)
}

// Pair returns the index of the slot of the other kind that shares its stream id with the slot
// index of kind; false for a slot that is alone, as the screen's is.
func (a *Assigner) Pair(kind codec.Kind, index int) (int, bool) {
	other, n := index, len(a.video)
	switch {
	case kind == codec.Video && index == a.screen:
		return 0, false
	case kind == codec.Video:
		n = len(a.audio)
		if a.screen >= 0 && index > a.screen {
			other--
		}
	case a.screen >= 0 && index >= a.screen:
		other++
	}
	return other, other < n
}

// Len is how many slots of kind there are.
func (a *Assigner) Len(kind codec.Kind) int { return len(a.slots(kind)) }

// Occupant of the slot index of kind.
func (a *Assigner) Occupant(kind codec.Kind, index int) Occupant { return a.slots(kind)[index] }

// Find returns the index of the slot, of its kind, in which o sits; false for none.
func (a *Assigner) Find(o Occupant) (index int, ok bool) {
	index = slices.Index(a.slots(o.Source.Kind()), o)
	return index, index >= 0
}

// Unplaced is how many publications of kind had no slot after the last Assign: a reason to ask the
// client for more.
func (a *Assigner) Unplaced(kind codec.Kind) int { return a.unplaced[kind] }

func (a *Assigner) slots(kind codec.Kind) []Occupant {
	if kind == codec.Audio {
		return a.audio
	}
	return a.video
}

// Assign decides anew, pubs being everything that this receiver could be sent now, in any order.
// It returns the slots that changed, audio first, by index; the result is valid until the next
// call. Loudness takes effect only with time, so it is to be called regularly: four times a second
// is enough.
func (a *Assigner) Assign(now time.Time, pubs []Publication) []Change {
	audio, video := slices.Clone(a.audio), slices.Clone(a.video)
	sorted := byRank(pubs)
	a.vacate(sorted)

	a.placeAudio(sorted)
	a.contend(now, sorted)
	a.follow(sorted)
	a.placeVideo(sorted)

	a.unplaced = [len(a.unplaced)]int{}
	for _, p := range sorted {
		if _, ok := a.Find(p.Occupant); !ok {
			a.unplaced[p.Source.Kind()]++
		}
	}
	a.changes = a.changes[:0]
	a.note(codec.Audio, audio)
	a.note(codec.Video, video)
	return a.changes
}

// byRank returns the publications, each once, in the order in which free slots are given out: what must be heard, what is pinned, the louder, the longer here.
func byRank(pubs []Publication) []Publication {
	out := make([]Publication, 0, len(pubs))
	for _, p := range pubs {
		known := slices.ContainsFunc(out, func(o Publication) bool { return o.Occupant == p.Occupant })
		if !known {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(x, y Publication) int {
		return cmp.Or(
			-compareBool(mustHear(x), mustHear(y)),
			-compareBool(x.Pinned, y.Pinned),
			cmp.Compare(y.Loudness, x.Loudness),
			older(x, y),
		)
	})
	return out
}

// older orders by joining; the names only make it a total order.
func older(x, y Publication) int {
	return cmp.Or(cmp.Compare(x.Since, y.Since), cmp.Compare(x.Peer, y.Peer), cmp.Compare(x.Source, y.Source))
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

// mustHear: audio that no louder voice may replace.
func mustHear(p Publication) bool {
	return p.Source == codec.Auscultation || p.NeverEvict && p.Source.Kind() == codec.Audio
}

// vacate empties the slots whose occupants are gone.
func (a *Assigner) vacate(pubs []Publication) {
	for _, list := range [...][]Occupant{a.audio, a.video} {
		for i, o := range list {
			if find(pubs, o) == nil {
				list[i] = Occupant{}
			}
		}
	}
}

// note lists what differs from before.
func (a *Assigner) note(kind codec.Kind, before []Occupant) {
	for i, o := range a.slots(kind) {
		if o != before[i] {
			a.changes = append(a.changes, Change{Kind: kind, Index: i, Occupant: o})
		}
	}
}

func find(pubs []Publication, o Occupant) *Publication {
	for i := range pubs {
		if pubs[i].Occupant == o {
			return &pubs[i]
		}
	}
	return nil
}
