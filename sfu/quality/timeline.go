package quality

import (
	"slices"
	"time"
)

const (
	// Width of a slice of a consultation that is not long.
	Width = 10 * time.Second
	// maxSlices bounds the history of one consultation, of everybody together: two people for eleven
	// hours, eight for nearly three. What is longer is told in slices twice as wide, and so on. At 150
	// bytes each that is 1.2 MB at most.
	maxSlices = 8192
)

// Heard is what a client tells of what it played since it told last.
type Heard struct {
	Samples, Concealed uint64 // of sound
	Freezes            uint64 // pictures that stood still
	Frozen             time.Duration
}

// Slice is one slice of one participant's history. Slices in which nothing was measured are left out.
type Slice struct {
	At        int           `json:"t"` // counted from the start, in widths
	Up        Link          `json:"u,omitzero"`
	Down      Link          `json:"d,omitzero"`
	Dropped   uint64        `json:"x,omitempty"`
	RoundTrip time.Duration `json:"rt,omitempty"` // the largest
	Samples   uint64        `json:"s,omitempty"`
	Concealed uint64        `json:"c,omitempty"`
	Freezes   uint64        `json:"f,omitempty"`
	Frozen    time.Duration `json:"z,omitempty"`
}

// ConcealedShare is the share of the sound that the client had to make up, 0 to 1.
func (s Slice) ConcealedShare() float64 {
	if s.Samples == 0 {
		return 0
	}
	return min(1, float64(s.Concealed)/float64(s.Samples))
}

func (s *Slice) add(o Slice) {
	s.Up.add(o.Up)
	s.Down.add(o.Down)
	s.Dropped += o.Dropped
	s.RoundTrip = max(s.RoundTrip, o.RoundTrip)
	s.Samples += o.Samples
	s.Concealed += o.Concealed
	s.Freezes += o.Freezes
	s.Frozen += o.Frozen
}

// Track is the history of one participant.
type Track struct {
	Participant string  `json:"id"`
	Slices      []Slice `json:"slices"`
}

// Total is the track as one slice.
func (t Track) Total() Slice {
	var sum Slice
	for _, s := range t.Slices {
		sum.add(s)
	}
	return sum
}

// Timeline is the history of a consultation: everybody's, in slices of one width. The zero value is
// empty. Its JSON is how it is kept.
type Timeline struct {
	Start  time.Time     `json:"start"` // of the first slice; a whole width
	Width  time.Duration `json:"width"`
	Tracks []Track       `json:"tracks"` // in the order in which people were first measured
	count  int           // of slices
}

// Measured enters what a participant's connection did in an interval that ends now.
func (t *Timeline) Measured(now time.Time, participant string, i Interval) {
	t.enter(now, participant, Slice{Up: i.Up, Down: i.Down, Dropped: i.Dropped, RoundTrip: i.RoundTrip})
}

// Told enters what a participant's client told.
func (t *Timeline) Told(now time.Time, participant string, h Heard) {
	t.enter(now, participant, Slice{Samples: h.Samples, Concealed: h.Concealed, Freezes: h.Freezes, Frozen: h.Frozen})
}

func (t *Timeline) enter(now time.Time, participant string, s Slice) {
	if s == (Slice{}) {
		return
	}
	if t.Width == 0 {
		t.Width = Width
	}
	if t.Start.IsZero() {
		t.Start = now.UTC().Truncate(t.Width)
	}
	t.recount()
	track := t.track(participant)
	for {
		// A clock that was set back goes on in the last slice.
		s.At = max(0, int(now.Sub(t.Start)/t.Width))
		if n := len(track.Slices); n > 0 && track.Slices[n-1].At >= s.At {
			track.Slices[n-1].add(s)
			return
		}
		if t.count < maxSlices || !t.widen() {
			break
		}
	}
	track.Slices = append(track.Slices, s)
	t.count++
}

func (t *Timeline) track(participant string) *Track {
	i := slices.IndexFunc(t.Tracks, func(x Track) bool { return x.Participant == participant })
	if i < 0 {
		i = len(t.Tracks)
		t.Tracks = append(t.Tracks, Track{Participant: participant})
	}
	return &t.Tracks[i]
}

// recount counts the slices of a timeline that was read.
func (t *Timeline) recount() {
	if t.count > 0 {
		return
	}
	for _, x := range t.Tracks {
		t.count += len(x.Slices)
	}
}

// widen makes one slice of two, and reports whether there are fewer now.
func (t *Timeline) widen() bool {
	before := t.count
	t.Width *= 2
	t.count = 0
	for i := range t.Tracks {
		old := t.Tracks[i].Slices
		wide := old[:0]
		for _, s := range old {
			s.At /= 2
			if n := len(wide); n > 0 && wide[n-1].At == s.At {
				wide[n-1].add(s)
				continue
			}
			wide = append(wide, s)
		}
		t.Tracks[i].Slices = wide
		t.count += len(wide)
	}
	return t.count < before
}

// Clone returns a copy that shares nothing.
func (t *Timeline) Clone() Timeline {
	c := *t
	c.Tracks = slices.Clone(t.Tracks)
	for i := range c.Tracks {
		c.Tracks[i].Slices = slices.Clone(c.Tracks[i].Slices)
	}
	return c
}
