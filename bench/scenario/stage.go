package scenario

import (
	"cmp"
	"container/heap"
	"fmt"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// stage walks through one room in the order of time. It knows who is in, and so who can admit whom
// and what cannot happen.
type stage struct {
	s             *Scenario
	who           map[string][]member // by ref
	opens, closes time.Duration       // since the start of the run
	people        []Person
	states        []presence // of people
	index         map[string]int
	queue         intents
	orders        int
	found         []finding
}

// presence is where a person is.
type presence struct {
	where place
	back  place // after a drop
	visit int   // counts the joins, so that what was meant for an earlier one is known
}

type place int

const (
	out place = iota
	waiting
	in
	held
	dropped
	removed // the link is revoked
)

func (p place) String() string {
	return [...]string{"out", "in the lobby", "in the room", "on hold", "disconnected", "removed"}[p]
}

// intent is something that shall happen.
type intent struct {
	person int // who does it; of an admission that nobody is named for, who is let in
	action Action
	pos    position
	order  int
	lobby  bool // an admission that nobody is named for
	visit  int  // of such an admission
}

// intents is a heap by time, then by order.
type intents []intent

func (q intents) Len() int      { return len(q) }
func (q intents) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q intents) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].action.At, q[j].action.At), cmp.Compare(q[i].order, q[j].order)) < 0
}

// Push implements heap.Interface.
func (q *intents) Push(x any) { *q = append(*q, x.(intent)) }

// Pop implements heap.Interface.
func (q *intents) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newStage(s *Scenario, who map[string][]member, room int, opens, closes time.Duration) *stage {
	cast := s.cast()
	r := &stage{s: s, who: who, opens: opens, closes: closes, states: make([]presence, len(cast)), index: make(map[string]int)}
	for i, m := range cast {
		r.people = append(r.people, Person{Room: room, Ref: m.ref, Group: m.group})
		r.index[m.ref] = i
	}
	return r
}

func (r *stage) want(i intent) {
	i.order = r.orders
	r.orders++
	heap.Push(&r.queue, i)
}

func (r *stage) group(person int) *Group { return &r.s.People[r.people[person].Group] }

// play fills in the actions of the room's people.
func (r *stage) play(visits []visit) {
	r.wantGroups()
	r.wantTimeline()
	r.wantVisits(visits)
	for r.queue.Len() > 0 {
		i := heap.Pop(&r.queue).(intent)
		switch {
		case i.action.At >= r.closes:
		case i.lobby:
			r.admit(i)
		default:
			r.act(i)
		}
	}
	r.end()
}

func (r *stage) wantGroups() {
	for g := range r.s.People {
		group := &r.s.People[g]
		for k, ref := range group.members() {
			person := r.index[ref]
			if group.Join != Never {
				at := r.opens + group.Join + time.Duration(k)*group.Apart
				r.want(intent{person: person, action: Action{At: at, Do: Join}, pos: group.pos})
			}
			for n := range group.Up {
				if step := &group.Up[n]; step.At > 0 {
					r.want(intent{person: person, action: Action{At: r.opens + step.At, Do: SetLink, Up: &step.Link}, pos: group.pos})
				}
			}
			for n := range group.Down {
				if step := &group.Down[n]; step.At > 0 {
					r.want(intent{person: person, action: Action{At: r.opens + step.At, Do: SetLink, Down: &step.Link}, pos: group.pos})
				}
			}
		}
	}
}

func (r *stage) wantTimeline() {
	for _, e := range r.s.Timeline {
		for k, m := range r.who[e.Who] {
			at := r.opens + e.At + time.Duration(k)*e.Apart
			i := intent{person: r.index[m.ref], pos: e.pos, action: Action{
				At: at, Do: e.Do, Whom: e.Whom, Track: e.Track, Up: e.Up, Down: e.Down, Layout: e.Layout,
			}}
			if e.Whom != "" {
				i.action.Whom = r.who[e.Whom][0].ref
			}
			r.want(i)
			if e.Do == Drop && e.Back > 0 {
				r.want(intent{person: i.person, action: Action{At: at + e.Back, Do: Reconnect}, pos: e.pos})
			}
		}
	}
}

func (r *stage) wantVisits(visits []visit) {
	for _, v := range visits {
		c := r.s.Churn[v.churn]
		add := func(at time.Duration, do Verb) {
			r.want(intent{person: r.index[v.member], action: Action{At: at, Do: do}, pos: c.pos})
		}
		add(v.at, Join)
		switch {
		case v.ending < c.Kill:
			add(v.at+c.Stay, Kill)
			continue
		case v.ending < c.Kill+c.Drop:
			add(v.at+c.Stay/2, Drop)
			add(v.at+c.Stay/2+min(defaultBack, c.Stay/4), Reconnect)
		}
		add(v.at+c.Stay, Leave)
	}
}

// admit lets somebody in by the first clinician who is there, unless they have gone.
func (r *stage) admit(i intent) {
	state := &r.states[i.person]
	if state.visit != i.visit || state.where != waiting {
		return
	}
	who := r.clinician()
	if who < 0 {
		r.cannot(i, "nobody is there to admit %s: let a clinician join before, or write lobby: forever", r.people[i.person].Ref)
		return
	}
	state.where = in
	r.emit(who, Action{At: i.action.At, Do: Admit, Whom: r.people[i.person].Ref})
}

// clinician returns the first who is in the room, -1 for nobody.
func (r *stage) clinician() int {
	for i, state := range r.states {
		if state.where == in && r.group(i).Role == wire.RoleClinician {
			return i
		}
	}
	return -1
}

func (r *stage) emit(person int, a Action) {
	r.people[person].Actions = append(r.people[person].Actions, a)
}

func (r *stage) cannot(i intent, format string, args ...any) {
	when := fmt.Sprintf("at %v of the room, ", i.action.At-r.opens)
	r.found = append(r.found, finding{i.pos, when + fmt.Sprintf(format, args...)})
}

// act carries out an intent, if it can be.
func (r *stage) act(i intent) {
	state, ref := &r.states[i.person], r.people[i.person].Ref
	switch i.action.Do {
	case Join:
		if state.where != out {
			r.cannot(i, "%s cannot join, being %v", ref, state.where)
			return
		}
		r.join(i)
	case Reconnect:
		if state.where != dropped {
			r.cannot(i, "%s cannot reconnect, being %v: drop comes first", ref, state.where)
			return
		}
		state.where = state.back
		if state.where == waiting && r.group(i.person).Lobby != Never {
			r.wantAdmission(i)
		}
	case SetLink:
	default:
		if state.where == out || state.where == dropped || state.where == removed {
			r.cannot(i, "%s cannot %s, being %v", ref, i.action.Do, state.where)
			return
		}
		if !r.actInside(i) {
			return
		}
	}
	r.emit(i.person, i.action)
}

func (r *stage) join(i intent) {
	state, group := &r.states[i.person], r.group(i.person)
	state.visit++
	state.where = waiting
	if group.Role == wire.RoleClinician {
		state.where = in
	} else if group.Lobby != Never {
		r.wantAdmission(i)
	}
}

func (r *stage) wantAdmission(i intent) {
	at := i.action.At + r.group(i.person).Lobby
	r.want(intent{person: i.person, action: Action{At: at}, pos: r.group(i.person).pos, lobby: true, visit: r.states[i.person].visit})
}

// actInside is act for who has joined; false after something that cannot be done.
func (r *stage) actInside(i intent) bool {
	state, group := &r.states[i.person], r.group(i.person)
	switch i.action.Do {
	case Leave, Kill:
		state.where = out
	case Drop:
		state.where, state.back = dropped, state.where
	case Mute, Unmute:
		if i.action.Track == wire.SourceMic && group.Mic == nil || i.action.Track == wire.SourceCamera && group.Camera == nil {
			r.cannot(i, "%s has no %s to %s: give them one", group.Ref, i.action.Track, i.action.Do)
			return false
		}
	case Share, Unshare:
		if group.Screen == nil {
			r.cannot(i, "%s has no screen to %s: give them one", group.Ref, i.action.Do)
			return false
		}
	case Admit, Hold, Unhold, Remove, HandOver, End:
		return r.command(i)
	}
	return true
}

// command is what only a clinician in the room may do.
func (r *stage) command(i intent) bool {
	state, ref := &r.states[i.person], r.people[i.person].Ref
	if state.where != in || r.group(i.person).Role != wire.RoleClinician {
		r.cannot(i, "%s cannot %s: only a clinician in the room may", ref, i.action.Do)
		return false
	}
	if i.action.Do == End {
		for k := range r.states {
			r.states[k].where = removed
		}
		return true
	}
	whom := r.index[i.action.Whom]
	other := &r.states[whom]
	needs := map[Verb]place{Admit: waiting, Hold: in, Unhold: held, HandOver: in, Remove: other.where}[i.action.Do]
	if other.where != needs || whom == i.person || other.where == out || other.where == removed {
		r.cannot(i, "%s cannot %s %s, who is %v", ref, i.action.Do, i.action.Whom, other.where)
		return false
	}
	switch i.action.Do {
	case Admit, Unhold:
		other.where = in
	case Hold:
		other.where = held
	case Remove:
		other.where = removed
	case HandOver:
		if r.group(whom).Role != wire.RoleClinician {
			r.cannot(i, "%s cannot hand over to %s, who is no clinician", ref, i.action.Whom)
			return false
		}
		state.where = out
	}
	return true
}

// end closes the room: a clinician ends it for all, or everybody leaves.
func (r *stage) end() {
	if who := r.clinician(); who >= 0 {
		r.emit(who, Action{At: r.closes, Do: End})
		return
	}
	for i, state := range r.states {
		if state.where == in || state.where == waiting || state.where == held {
			r.emit(i, Action{At: r.closes, Do: Leave})
		}
	}
}
