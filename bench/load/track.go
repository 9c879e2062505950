package load

import (
	"cmp"
	"slices"

	"github.com/bedside-video/bedside/bench/scenario"
)

// nobody is the index of no person.
const nobody = -1

// step is one action of one person.
type step struct {
	scenario.Action
	other int // of an Admit, the clinician who lets this person in; of what is done to somebody, whom; else nobody
}

// tracks says what each person does, in the order of time. An admission stands in the track of who is
// let in: somebody whose join hangs keeps waiting for it alone, and their clinician does other things
// meanwhile.
func tracks(p scenario.Plan) [][]step {
	type seat struct {
		room int
		ref  string
	}
	at := make(map[seat]int, len(p.People))
	for i, one := range p.People {
		at[seat{one.Room, one.Ref}] = i
	}
	out := make([][]step, len(p.People))
	for i, one := range p.People {
		for _, a := range one.Actions {
			whose, other := i, nobody
			if a.Whom != "" {
				other = at[seat{one.Room, a.Whom}]
			}
			if a.Do == scenario.Admit {
				whose, other = other, i
			}
			out[whose] = append(out[whose], step{a, other})
		}
	}
	for _, t := range out {
		slices.SortStableFunc(t, func(a, b step) int { return cmp.Compare(a.At, b.At) })
	}
	return out
}
