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
		if !ok || to == from || !a.yields(to, pubs) {
			continue
		}
		a.video[from], a.video[to] = a.video[to], a.video[from]
	}
}

// placeVideo gives video slots to whatever has none. What is displaced gets another chance; that
// ends, because only what ranks higher displaces: pinned, heard, silenced.
func (a *Assigner) placeVideo(pubs []Publication) {
	for order := videoOrder(pubs); a.placeVideoOnce(order, pubs); {
	}
}

func (a *Assigner) placeVideoOnce(order, pubs []Publication) (displaced bool) {
	for _, p := range order {
		if _, placed := a.Find(p.Occupant); placed {
			continue
		}
		i := a.freeVideo(p, pubs)
		if i < 0 && p.Pinned {
			i = a.leastWanted(order)
		}
		if i < 0 {
			continue
		}
		displaced = displaced || a.video[i] != Occupant{}
		a.video[i] = p.Occupant
	}
	return displaced
}

// videoOrder returns the video publications in the order in which they get slots: what is pinned,
// screens and exams before cameras, then as they rank.
func videoOrder(pubs []Publication) []Publication {
	out := slices.DeleteFunc(slices.Clone(pubs), func(p Publication) bool { return p.Source.Kind() != codec.Video })
	slices.SortStableFunc(out, func(x, y Publication) int {
		return cmp.Or(
			-compareBool(x.Pinned, y.Pinned),
			compareBool(x.Source == codec.Camera, y.Source == codec.Camera),
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
		return a.lastOrdinary()
	case codec.Exam:
		// An empty screen slot is the last resort: it is no use to anybody else.
		if i := a.lastOrdinary(); i >= 0 || a.screen < 0 || a.video[a.screen] != (Occupant{}) {
			return i
		}
		return a.screen
	}
	if i, ok := a.besideVoice(p.Peer); ok && (a.video[i] == (Occupant{}) || a.silenced(i, pubs)) {
		return i
	}
	for i, o := range a.video {
		if v, paired := a.Pair(codec.Video, i); o == (Occupant{}) && i != a.screen && paired && a.audio[v] == (Occupant{}) {
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

// lastOrdinary returns the highest empty video slot beside the screen's, -1 for none.
func (a *Assigner) lastOrdinary() int {
	for i := len(a.video) - 1; i >= 0; i-- {
		if i != a.screen && a.video[i] == (Occupant{}) {
			return i
		}
	}
	return -1
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
	voice := Occupant{o.Peer, codec.Mic}
	_, heard := a.Find(voice)
	return find(pubs, voice) != nil && !heard
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
