package slots_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/slots"
)

// step changes what is published in one random way.
func (r *room) step(rnd *rand.Rand) {
	peer := fmt.Sprint("p", rnd.IntN(12))
	sources := []codec.Source{codec.Mic, codec.Camera, codec.Mic, codec.Camera, codec.Screen, codec.Exam, codec.Auscultation}
	source := sources[rnd.IntN(len(sources))]
	i := slices.IndexFunc(r.pubs, func(p slots.Publication) bool { return p.Occupant == slots.Occupant{Peer: peer, Source: source} })
	switch {
	case i < 0:
		r.publish(peer, source)
	case rnd.IntN(3) == 0:
		r.pubs = slices.Delete(r.pubs, i, i+1)
	default:
		r.pubs[i].Loudness = rnd.IntN(128)
		r.pubs[i].Pinned = rnd.IntN(4) == 0
		r.pubs[i].NeverEvict = rnd.IntN(6) == 0
	}
}

// seats lists all slots.
func seats(a *slots.Assigner) map[slots.Change]bool {
	all := map[slots.Change]bool{}
	for _, kind := range []codec.Kind{codec.Audio, codec.Video} {
		for i := range a.Len(kind) {
			all[slots.Change{Kind: kind, Index: i, Occupant: a.Occupant(kind, i)}] = true
		}
	}
	return all
}

// Whatever happens: everybody sits once, in a slot of their kind, and is published; every change is
// told, and nothing else; a free slot stays free only if nobody can use it; what must be heard is
// never evicted; the order of the arguments does not matter; and it comes to rest.
func TestRandomRooms(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		audio := 1 + rnd.IntN(5)
		r, twin := newRoom(t, audio, audio+1), slots.New(audio, audio+1)
		now := epoch
		for range 300 {
			r.step(rnd)
			now = now.Add(time.Duration(rnd.IntN(700)) * time.Millisecond)
			before := seats(r.a)
			changes := slices.Clone(r.a.Assign(now, r.pubs))
			shuffled := slices.Clone(r.pubs)
			rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if again := twin.Assign(now, shuffled); !slices.Equal(again, changes) {
				t.Fatalf("seed %d: %v, and in another order %v", seed, changes, again)
			}
			if err := check(r, before, changes); err != nil {
				t.Fatalf("seed %d: %v: %s", seed, err, r.draw())
			}
			if more := r.a.Assign(now, r.pubs); len(more) > 0 {
				t.Fatalf("seed %d: changes without end: %v, then %v", seed, changes, more)
			}
			twin.Assign(now, r.pubs)
		}
	}
}

func check(r *room, before map[slots.Change]bool, changes []slots.Change) error {
	seen := map[slots.Occupant]bool{}
	free := map[codec.Kind]int{}
	after := seats(r.a)
	for c := range after {
		if told := slices.Contains(changes, c); told == before[c] {
			return fmt.Errorf("%v: was so %t, told %t", c, before[c], told)
		}
		if c.Occupant == (slots.Occupant{}) {
			free[c.Kind]++
			continue
		}
		published := slices.ContainsFunc(r.pubs, func(p slots.Publication) bool { return p.Occupant == c.Occupant })
		if seen[c.Occupant] || !published || c.Source.Kind() != c.Kind {
			return fmt.Errorf("%v: seen %t, published %t", c, seen[c.Occupant], published)
		}
		seen[c.Occupant] = true
	}
	for c := range before {
		i := slices.IndexFunc(r.pubs, func(p slots.Publication) bool { return p.Occupant == c.Occupant })
		if i >= 0 && c.Kind == codec.Audio && (r.pubs[i].NeverEvict || c.Source == codec.Auscultation) && !after[c] {
			return fmt.Errorf("%v was evicted", c)
		}
	}
	for _, kind := range []codec.Kind{codec.Audio, codec.Video} {
		unplaced := 0
		for _, p := range r.pubs {
			if p.Source.Kind() == kind && !seen[p.Occupant] {
				unplaced++
			}
		}
		if unplaced != r.a.Unplaced(kind) {
			return fmt.Errorf("%d %v publications unplaced, says %d", unplaced, kind, r.a.Unplaced(kind))
		}
		reserved := 0 // a camera may not take the screen's
		if kind == codec.Video {
			reserved = 1
		}
		if unplaced > 0 && free[kind] > reserved {
			return fmt.Errorf("%d %v slots free, %d publications unplaced", free[kind], kind, unplaced)
		}
	}
	return nil
}

// As long as everybody fits, everybody's microphone and camera have one index, whatever came and
// went before.
func TestEverybodyInStep(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		r := newRoom(t, 5, 6)
		for range 200 {
			peer := fmt.Sprint("p", rnd.IntN(5))
			source := []codec.Source{codec.Mic, codec.Camera}[rnd.IntN(2)]
			if n := len(r.pubs); len(r.unpublish(peer, source).pubs) == n {
				r.publish(peer, source)
			}
			r.assign(0)
			for _, p := range r.pubs {
				mic, ok := r.a.Find(slots.Occupant{Peer: p.Peer, Source: codec.Mic})
				camera, ok2 := r.a.Find(slots.Occupant{Peer: p.Peer, Source: codec.Camera})
				if ok && ok2 && mic != camera {
					t.Fatalf("seed %d: %s is apart: %s", seed, p.Peer, r.draw())
				}
			}
		}
	}
}
