package scenario

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Plan is a scenario spelt out.
type Plan struct {
	People   []Person      // by room, then in the order of the file
	From, To time.Duration // what is measured: the hold
	End      time.Duration
}

// Person is one person of one room.
type Person struct {
	Room    int    // from 0
	Ref     string // within the room
	Group   int    // of Scenario.People
	Actions []Action
}

// Action is one thing that a person does.
type Action struct {
	At       time.Duration // since the start of the run
	Do       Verb
	Whom     string      // of Admit, Hold, Unhold, Remove, HandOver: a ref of the same room
	Track    wire.Source // of Mute, Unmute
	Up, Down *link.Shape // of SetLink
	Layout   []Tile      // of SetLayout
}

// Timed is an action with who does it.
type Timed struct {
	Person int // of Plan.People
	Action
}

// Expand spells a scenario out. The scenario must come from Parse; the same scenario gives the same
// plan, always.
func Expand(s Scenario) Plan {
	p, _ := expand(s)
	return p
}

// Actions returns everything that happens, by time, then in the order of People.
func (p Plan) Actions() []Timed {
	var out []Timed
	for i, one := range p.People {
		for _, a := range one.Actions {
			out = append(out, Timed{i, a})
		}
	}
	slices.SortStableFunc(out, func(a, b Timed) int { return cmp.Compare(a.At, b.At) })
	return out
}

// finding is something that cannot happen as the file says.
type finding struct {
	pos  position
	what string
}

func expand(s Scenario) (Plan, []finding) {
	p := Plan{From: s.Ramp, To: s.Ramp + s.Hold, End: s.Ramp + s.Hold + s.Stop}
	var found []finding
	who := s.byRef()
	visits := s.visits(who)
	for room, opens := range s.openings() {
		// The rooms close evenly over the stop, the first one at its beginning.
		closes := p.To + s.Stop*time.Duration(room)/time.Duration(s.Rooms.Count)
		r := newStage(&s, who, room, opens, closes)
		r.play(visits[room])
		for _, f := range r.found {
			if len(found) < maxProblems && !slices.Contains(found, f) {
				found = append(found, f)
			}
		}
		p.People = append(p.People, r.people...)
	}
	return p, found
}

// openings returns when the rooms open, in order.
func (s *Scenario) openings() []time.Duration {
	out := make([]time.Duration, s.Rooms.Count)
	random := source(s.Seed)
	for i := range out {
		switch s.Rooms.Arrival.Kind {
		case ArriveAtOnce:
		case ArriveSpread:
			out[i] = s.Ramp * time.Duration(i) / time.Duration(s.Rooms.Count)
		case ArriveEvery:
			out[i] = s.Rooms.Arrival.Every * time.Duration(i)
		case ArriveRandom:
			// Exponential gaps are those of strangers who know nothing of each other.
			gap := -math.Log(1-random.share()) / s.Rooms.Arrival.Rate
			out[i] = time.Duration(gap * float64(time.Second)).Round(time.Microsecond)
			if i > 0 {
				out[i] += out[i-1]
			}
		}
	}
	return out
}

// visit is one stay of somebody who comes by churn.
type visit struct {
	at     time.Duration // since the start of the run
	member string
	churn  int
	ending float64 // 0 to 1, drawn: which way it ends
}

// visits deals the churn out: evenly spaced, to the rooms in turn and to the people in turn, so that
// everybody has been away for long when they come again. The result is by room.
func (s *Scenario) visits(by map[string][]member) [][]visit {
	out := make([][]visit, s.Rooms.Count)
	for i, c := range s.Churn {
		who := by[c.Who]
		random := source(s.Seed + uint64(i+1)*gamma)
		for k := 0; ; k++ {
			at := s.Ramp + time.Duration(float64(k)/c.Rate*float64(time.Second))
			if at+c.Stay >= s.Ramp+s.Hold {
				break
			}
			room := k % s.Rooms.Count
			out[room] = append(out[room], visit{at, who[k/s.Rooms.Count%len(who)].ref, i, random.share()})
		}
	}
	return out
}

// gamma is splitmix64's increment.
const gamma = 0x9e3779b97f4a7c15

// source is splitmix64: small, seeded, and the same in every version of Go.
type source uint64

// share draws from 0 to below 1.
func (s *source) share() float64 {
	*s += gamma
	x := uint64(*s)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}

// WithRooms returns a scenario with another number of rooms, which may not fit into it as the file has
// it: the error is Problems then. file is its name, for messages only.
func (s Scenario) WithRooms(file string, rooms int) (Scenario, error) {
	s.Rooms.Count = rooms
	d := &decoder{file: file}
	if d.check(&s); len(d.problems) == 0 {
		_, found := expand(s)
		for _, f := range found {
			d.failAt(f.pos, "%s", f.what)
		}
	}
	if len(d.problems) > 0 {
		return Scenario{}, d.problems
	}
	return s, nil
}
