package scenario

import (
	"slices"
	"strconv"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	maxRoom    = 1000      // people of one room
	maxPeople  = 100_000   // of all rooms
	maxActions = 2_000_000 // of all people, roughly
	maxBack    = time.Minute
	churnRest  = 2 * time.Second // between two visits of one person: the server notices a leave at once
)

// check finds what is wrong across the keys of a scenario.
func (d *decoder) check(s *Scenario) {
	if len(s.People) == 0 {
		d.failAt(s.pos, "nobody is in the rooms: add to people")
		return
	}
	d.who = s.byRef()
	names := make(map[string]bool)
	people := 0
	for _, g := range s.People {
		refs := []string{g.Ref}
		if g.Count > 1 {
			refs = append(refs, g.members()...)
		}
		for _, ref := range refs {
			if names[ref] {
				d.failAt(g.pos, "%s is there twice: give one another ref", ref)
			}
			names[ref] = true
		}
		people += g.Count
		d.checkGroup(s, g)
	}
	visits := 0.0
	for _, c := range s.Churn {
		d.checkChurn(s, c)
		visits += c.Rate * s.Hold.Seconds()
	}
	for _, e := range s.Timeline {
		d.checkEvent(s, e)
	}
	if s.Hold == 0 {
		d.failAt(s.pos, "hold is 0s: nothing is measured then")
	}
	if people > maxRoom {
		d.failAt(s.pos, "%d people are in a room: at most %d", people, maxRoom)
	}
	if people*s.Rooms.Count > maxPeople {
		d.failAt(s.Rooms.pos, "%d people in %d rooms: at most %d people in all", people, s.Rooms.Count, maxPeople)
	}
	steps := people
	for _, g := range s.People {
		steps += g.Count * (len(g.Up) + len(g.Down))
	}
	for _, e := range s.Timeline {
		steps += len(d.who[e.Who])
	}
	if float64(steps*s.Rooms.Count)+visits*4 > maxActions {
		d.failAt(s.pos, "more than %d things would happen: take fewer rooms, a shorter timeline or less churn", maxActions)
	}
	if opens := s.openings(); len(opens) > 0 && opens[len(opens)-1] > s.Ramp {
		d.failAt(s.Rooms.pos, "the last of %d rooms opens at %v, after the ramp of %v: make ramp at least that, or the arrival faster",
			s.Rooms.Count, opens[len(opens)-1].Round(time.Millisecond), s.Ramp)
	}
}

func (d *decoder) checkGroup(s *Scenario, g Group) {
	if g.Role == wire.RoleObserver && (g.Camera != nil || g.Mic != nil) {
		d.failAt(g.pos, "%s is an observer, who may not publish: leave out camera and mic", g.Ref)
	}
	if g.Screen != nil && g.Role != wire.RoleClinician && g.Role != wire.RolePatient {
		d.failAt(g.pos, "%s may not share a screen: only clinicians and patients may", g.Ref)
	}
	if g.Join != Never && g.Join+time.Duration(g.Count-1)*g.Apart >= s.Hold {
		d.failAt(g.pos, "%s joins after the hold of %v: a room that opens last would never see it", g.Ref, s.Hold)
	}
	for _, trace := range [][]LinkStep{g.Up, g.Down} {
		if n := len(trace); n > 0 && trace[n-1].At >= s.Hold {
			d.failAt(g.pos, "the link of %s changes at %v, after the hold of %v: make hold longer", g.Ref, trace[n-1].At, s.Hold)
		}
	}
	d.checkLayout(s, g.Layout)
}

func (d *decoder) checkLayout(s *Scenario, layout []Tile) {
	for _, t := range layout {
		people := d.who[t.Of]
		if len(people) != 1 {
			d.failAt(t.pos, "of: %s is not one person: %s", t.Of, s.refs())
			continue
		}
		if g := s.People[people[0].group]; t.Track == wire.SourceScreen && g.Screen == nil || t.Track == wire.SourceCamera && g.Camera == nil {
			d.failAt(t.pos, "%s has no %s: give them one or leave the tile out", t.Of, t.Track)
		}
	}
}

func (d *decoder) checkChurn(s *Scenario, c Churn) {
	i := slices.IndexFunc(s.People, func(g Group) bool { return g.Ref == c.Who })
	switch {
	case i < 0:
		d.failAt(c.pos, "who: nobody is called %s: %s", c.Who, s.refs())
		return
	case s.People[i].Join != Never:
		d.failAt(c.pos, "%s comes by churn and joins by itself: write join: never for them", c.Who)
	case c.Kill+c.Drop > 1:
		d.failAt(c.pos, "kill and drop are more than 100%% together: they are shares of the visits")
	case c.Stay < time.Second:
		d.failAt(c.pos, "stay is %v: a visit takes at least 1s", c.Stay)
	case c.Stay > s.Hold:
		d.failAt(c.pos, "stay is %v, longer than the hold of %v: nobody would come", c.Stay, s.Hold)
	}
	if slices.ContainsFunc(s.Churn, func(o Churn) bool { return o.Who == c.Who && o.pos != c.pos }) {
		d.failAt(c.pos, "%s is in churn twice: write one rate", c.Who)
	}
	have := s.People[i].Count * s.Rooms.Count
	if need := c.Rate * (c.Stay + churnRest).Seconds(); float64(have) < need {
		d.failAt(c.pos, "%s are %d people in all rooms, and %.4g a second for %v each, with %v between visits, take %.0f: raise count or the rooms, or lower the rate",
			c.Who, have, c.Rate, c.Stay, churnRest, need)
	}
}

// checkEvent checks one line by itself; whether it can happen at its time, expand finds out.
func (d *decoder) checkEvent(s *Scenario, e Event) {
	who := d.who[e.Who]
	if len(who) == 0 {
		d.failAt(e.pos, "who: nobody is called %s: %s", e.Who, s.refs())
		return
	}
	if slices.ContainsFunc(s.Churn, func(c Churn) bool { return c.Who == s.People[who[0].group].Ref }) {
		d.failAt(e.pos, "%s comes and goes by churn, so nobody knows who is in: name somebody else", e.Who)
	}
	needsWhom := slices.Contains([]Verb{Admit, Hold, Unhold, Remove, HandOver}, e.Do)
	wants := []struct {
		key        string
		there, may bool
		must       bool
	}{
		{"whom", e.Whom != "", needsWhom, needsWhom},
		{"track", e.Track != "", e.Do == Mute || e.Do == Unmute, e.Do == Mute || e.Do == Unmute},
		{"back", e.Back != 0, e.Do == Drop, false},
		{"up or down", e.Up != nil || e.Down != nil, e.Do == SetLink, e.Do == SetLink},
		{"layout", e.Layout != nil, e.Do == SetLayout, e.Do == SetLayout},
		{"apart", e.Apart != 0, len(who) > 1, false},
	}
	for _, w := range wants {
		switch {
		case w.there && !w.may:
			d.failAt(e.pos, "%s takes no %s here: leave it out", e.Do, w.key)
		case w.must && !w.there:
			d.failAt(e.pos, "%s needs %s: add it", e.Do, w.key)
		}
	}
	if needsWhom && e.Whom != "" && len(d.who[e.Whom]) != 1 {
		d.failAt(e.pos, "whom: %s is not one person: %s", e.Whom, s.refs())
	}
	if last := e.At + time.Duration(len(who)-1)*e.Apart + e.Back; last >= s.Hold {
		d.failAt(e.pos, "%s is at %v, not before the end of the hold of %v: a room that opens last would never see it", e.Do, last, s.Hold)
	}
	if e.Back > maxBack {
		d.failAt(e.pos, "back is %v: a session is kept for %v, let them leave and join instead", e.Back, maxBack)
	}
	d.checkLayout(s, e.Layout)
}

// member is one person of a room's cast.
type member struct {
	group int
	ref   string
}

// cast returns the people of one room, in the order of the file.
func (s *Scenario) cast() []member {
	var out []member
	for i, g := range s.People {
		for _, ref := range g.members() {
			out = append(out, member{i, ref})
		}
	}
	return out
}

// members returns the refs of a group's people: its own, or numbered from 1.
func (g Group) members() []string {
	if g.Count == 1 {
		return []string{g.Ref}
	}
	out := make([]string, g.Count)
	for i := range out {
		out[i] = g.Ref + "-" + strconv.Itoa(i+1)
	}
	return out
}

// byRef returns whom each ref means: one person, or all of a group.
func (s *Scenario) byRef() map[string][]member {
	out := make(map[string][]member)
	for _, m := range s.cast() {
		out[m.ref] = append(out[m.ref], m)
		if g := s.People[m.group].Ref; g != m.ref {
			out[g] = append(out[g], m)
		}
	}
	return out
}

// refs tells whom a scenario has, for messages.
func (s *Scenario) refs() string {
	text := "there are"
	for i, g := range s.People {
		if i == 10 {
			return text + " ..."
		}
		text += " " + g.Ref
		if g.Count > 1 {
			text += " (" + g.Ref + "-1 to -" + strconv.Itoa(g.Count) + ")"
		}
	}
	return text
}
