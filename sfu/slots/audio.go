package slots

import (
	"cmp"
	"slices"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// placeAudio gives free audio slots to whoever has none.
func (a *Assigner) placeAudio(pubs []Publication) {
	for _, p := range pubs {
		if _, placed := a.Find(p.Occupant); placed || p.Source.Kind() != codec.Audio {
			continue
		}
		if i := a.freeAudio(p.Occupant); i >= 0 {
			a.audio[i] = p.Occupant
		}
	}
}

// freeAudio returns the free audio slot that suits o best, -1 for none. Auscultation stays out of
// the way of voices, at the top end. A voice goes to its camera, else to where its camera can
// follow.
func (a *Assigner) freeAudio(o Occupant) int {
	if o.Source == codec.Auscultation {
		return lastEmpty(a.audio)
	}
	if v, ok := a.Find(Occupant{o.Peer, codec.Camera}); ok {
		if i, paired := a.Pair(codec.Video, v); paired && a.audio[i] == (Occupant{}) {
			return i
		}
	}
	for i, there := range a.audio {
		if v, paired := a.Pair(codec.Audio, i); paired && there == (Occupant{}) && a.video[v] == (Occupant{}) {
			return i
		}
	}
	return slices.Index(a.audio, Occupant{})
}

// contend lets those without an audio slot take one of those that may be evicted, the quietest
// first, once they have been louder for long enough. What must be heard is louder than anyone.
func (a *Assigner) contend(now time.Time, pubs []Publication) {
	var still []waiting
	for _, p := range pubs {
		if _, placed := a.Find(p.Occupant); placed || p.Source.Kind() != codec.Audio {
			continue
		}
		if q := a.quietest(pubs); q == nil || !louder(p, q) {
			continue
		}
		w := waiting{p.Occupant, now}
		if i := slices.IndexFunc(a.waiting, func(w waiting) bool { return w.Occupant == p.Occupant }); i >= 0 {
			w = a.waiting[i]
		}
		still = append(still, w)
	}
	a.waiting = still
	// Those that waited are in order of rank: the loudest is served first, and each time against
	// the quietest that is left.
	a.waiting = slices.DeleteFunc(a.waiting, func(w waiting) bool {
		p, q := find(pubs, w.Occupant), a.quietest(pubs)
		if now.Sub(w.since) < louderFor || q == nil || !louder(*p, q) {
			return false
		}
		i, _ := a.Find(q.Occupant)
		a.audio[i] = w.Occupant
		return true
	})
}

func louder(p Publication, than *Publication) bool {
	return mustHear(p) || p.Loudness >= than.Loudness+louderBy
}

// quietest returns the audio occupant to be evicted first: the quietest, of those the last to
// join; nil when none may be.
func (a *Assigner) quietest(pubs []Publication) (q *Publication) {
	for _, o := range a.audio {
		p := find(pubs, o)
		if p == nil || mustHear(*p) {
			continue
		}
		if q == nil || cmp.Or(cmp.Compare(p.Loudness, q.Loudness), -older(*p, *q)) < 0 {
			q = p
		}
	}
	return q
}

// lastEmpty returns the highest empty slot, -1 for none.
func lastEmpty(list []Occupant) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == (Occupant{}) {
			return i
		}
	}
	return -1
}
