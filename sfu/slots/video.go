package slots

import (
	"cmp"
	"slices"

	"github.com/bedside-video/bedside/sfu/codec"
)

// follow moves cameras to their persons' voices, where the place is free or the camera there can
// take the other's place. Only a change of the voices makes that necessary.
func (a *Assigner) follow(pubs []Publication) {
	for _, p := range pubs {
		from, placed := a.Find(p.Occupant)
		if p.Source != codec.Camera || !placed {
			continue
		}
		to, ok := a.besideVoice(p.Peer)
		if !ok || !a.yields(to, pubs) {
			continue
		}
		a.video[from], a.video[to] = a.video[to], a.video[from]
	}
}

// placeVideo gives video slots to whatever has none. What is displaced comes later in the order
// than what displaces it, so it gets its chance of another slot.
func (a *Assigner) placeVideo(pubs []Publication) {
	order := a.videoOrder(pubs)
	for _, p := range order {
		if _, placed := a.Find(p.Occupant); placed {
			continue
		}
		i := a.freeVideo(p, pubs)
		if i < 0 && p.Pinned {
			i = a.leastWanted(order)
		}
		if i >= 0 {
			a.video[i] = p.Occupant
		}
	}
}

// videoOrder returns the video publications in the order in which they get slots: what is pinned,
// screens and exams before cameras, the cameras of those who are heard, then as they rank.
func (a *Assigner) videoOrder(pubs []Publication) []Publication {
	out := slices.DeleteFunc(slices.Clone(pubs), func(p Publication) bool { return p.Source.Kind() != codec.Video })
	slices.SortStableFunc(out, func(x, y Publication) int {
		return cmp.Or(
			-compareBool(x.Pinned, y.Pinned),
			compareBool(x.Source == codec.Camera, y.Source == codec.Camera),
			-compareBool(a.heard(x.Peer), a.heard(y.Peer)),
		)
	})
	return out
}

// freeVideo returns the video slot that suits p best, -1 for none. It is empty, or a camera's
// whose person has just lost their voice to p's person.
func (a *Assigner) freeVideo(p Publication, pubs []Publication) int {
	switch p.Source {
	case codec.Screen:
		if a.screen >= 0 && a.video[a.screen] == (Occupant{}) {
			return a.screen
		}
		fallthrough
	case codec.Exam:
		return a.lastEmptyVideo()
	}
	if i, ok := a.besideVoice(p.Peer); ok && (a.video[i] == (Occupant{}) || a.silenced(i, pubs)) {
		return i
	}
	for i, o := range a.video {
		if o == (Occupant{}) && i != a.screen && !a.besideAVoice(i) {
			return i
		}
	}
	for i, o := range a.video {
		if o == (Occupant{}) && i != a.screen {
			return i
		}
	}
	return -1
}

// lastEmptyVideo returns the highest empty video slot for a screen or an exam, -1 for none: better
// none beside a voice, whose camera belongs there, and before that the one that is kept for a
// screen, of which there may never be any.
func (a *Assigner) lastEmptyVideo() int {
	ordinary := -1
	for i, o := range slices.Backward(a.video) {
		if o != (Occupant{}) || i == a.screen {
			continue
		}
		if !a.besideAVoice(i) {
			return i
		}
		ordinary = max(ordinary, i)
	}
	if a.screen >= 0 && a.video[a.screen] == (Occupant{}) {
		return a.screen
	}
	return ordinary
}

// besideVoice returns the video slot that is the pair of the slot of a person's voice; false for
// none.
func (a *Assigner) besideVoice(peer string) (int, bool) {
	i, ok := a.Find(Occupant{peer, codec.Mic})
	if !ok {
		return 0, false
	}
	return a.Pair(codec.Audio, i)
}

// besideAVoice tells whether somebody's voice is in the pair of the video slot i.
func (a *Assigner) besideAVoice(i int) bool {
	v, ok := a.Pair(codec.Video, i)
	return ok && a.audio[v].Source == codec.Mic
}

// yields tells whether what is in video slot i may move to make place for the camera of the person
// whose voice is beside it: nothing, or another's camera that is not pinned.
func (a *Assigner) yields(i int, pubs []Publication) bool {
	o := a.video[i]
	return o == Occupant{} || o.Source == codec.Camera && !find(pubs, o).Pinned
}

// silenced tells whether video slot i holds the camera of somebody whose voice has no slot.
func (a *Assigner) silenced(i int, pubs []Publication) bool {
	o := a.video[i]
	if o == (Occupant{}) || !a.yields(i, pubs) {
		return false
	}
	return find(pubs, Occupant{o.Peer, codec.Mic}) != nil && !a.heard(o.Peer)
}

// heard tells whether a person's voice has a slot.
func (a *Assigner) heard(peer string) bool {
	_, ok := a.Find(Occupant{peer, codec.Mic})
	return ok
}

// leastWanted returns the video slot that something pinned takes when none is free: of what is not
// pinned the last in videoOrder, -1 for none.
func (a *Assigner) leastWanted(order []Publication) int {
	for _, p := range slices.Backward(order) {
		if i, ok := a.Find(p.Occupant); ok && !p.Pinned && i != a.screen {
			return i
		}
	}
	return -1
}
