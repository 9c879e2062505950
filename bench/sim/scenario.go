package sim

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

// lobbyAnswer is how long after an admission the admitted one sends their layout.
const lobbyAnswer = 200 * time.Millisecond

// Played is what became of one room of a scenario.
type Played struct {
	Report
	Joins    []time.Duration // call to media connection, reconnects too; shortest first
	Failures []string        // what the server refused
	Result   result.Result   // of the whole visit; nothing is measured of server and generator
	Verdicts []scenario.Verdict
	people   []result.Person // as they are put together
}

// Play is a step that lets people do things of their own accord, each when their time has come
// whatever the others wait for.
type Play struct {
	Tracks []Track
	result *Played
}

func (Play) step() {}

// Track is what one person does.
type Track struct {
	Ref     string
	Actions []TimedStep
}

// TimedStep is a step with its time since the start of Play.
type TimedStep struct {
	At   time.Duration
	Step Step
}

// PlayScenario plays one room of a scenario in virtual time, up to an instant after its opening, or to
// its end where that is 0. Links have their delay and loss; rate, queue, jitter and changes are not
// simulated, and microphones talk all the time.
func PlayScenario(t *testing.T, s scenario.Scenario, room int, until time.Duration) Played {
	t.Helper()
	plan := scenario.Expand(s)
	opens := plan.End
	var people []scenario.Person
	for _, one := range plan.People {
		if one.Room == room {
			people = append(people, one)
			if len(one.Actions) > 0 {
				opens = min(opens, one.Actions[0].At)
			}
		}
	}
	until = cmp.Or(until, plan.End)
	out := Played{}
	play := Play{result: &out}
	p := Plan{Seed: s.Seed + uint64(room), MaxParticipants: max(2, len(people))}
	for _, one := range people {
		g := s.People[one.Group]
		media := bench.MediaOf(g)
		if media.Camera != nil && len(g.Up) > 0 {
			media.Camera.Layers = media.Camera.Layers[:g.LayersThrough(g.Up[0].Link)]
		}
		p.People = append(p.People, Person{Ref: one.Ref, Role: g.Role, Media: media, Up: path(g.Up), Down: path(g.Down)})
		track := Track{Ref: one.Ref}
		for _, a := range one.Actions {
			if step := stepOf(one.Ref, a); step != nil && a.At-opens <= until {
				track.Actions = append(track.Actions, TimedStep{a.At - opens, step})
			}
		}
		play.Tracks = append(play.Tracks, track)
	}
	sendLayouts(s, people, &play)
	p.Steps = []Step{play, Pass{For: time.Second}, Do{Name: "measure", Func: func(w *World) error { w.measure(&out); return nil }}}
	out.Report = Run(t, p)
	out.Result = result.Build(result.Inputs{
		Scenario: s, Plan: scenario.Plan{People: people, From: opens, To: opens + until, End: opens + until},
		People: out.people, Violations: out.Violations,
	})
	out.Verdicts = scenario.Evaluate(s.Objectives, out.Result.Measurements)
	return out
}

func path(trace []scenario.LinkStep) Path {
	if len(trace) == 0 {
		return Path{}
	}
	return pathOf(trace[0].Link)
}

// pathOf is what of a link is simulated.
func pathOf(l link.Shape) Path {
	return Path{Delay: l.Delay, Loss: l.Loss, Rate: l.Rate, Queue: l.Queue}
}

// changeLink is the step that changes somebody's network.
func changeLink(ref string, up, down *link.Shape) Step {
	return Do{Name: "link", Func: func(w *World) error {
		host := w.Host(ref)
		now := host.Paths()
		if up != nil {
			now.Up = pathOf(*up)
		}
		if down != nil {
			now.Down = pathOf(*down)
		}
		host.Set(now.Up, now.Down)
		return nil
	}}
}

// stepOf is the step of an action, nil for one that is not simulated.
func stepOf(ref string, a scenario.Action) Step {
	switch a.Do {
	case scenario.Join:
		return Join{ref}
	case scenario.Reconnect:
		return Reconnect{ref}
	case scenario.Admit:
		return Admit{ref, a.Whom}
	case scenario.Leave:
		return Leave{ref}
	case scenario.Kill:
		return Kill{ref}
	case scenario.Drop:
		return Drop{ref}
	case scenario.Mute, scenario.Unmute:
		return Mute{ref, a.Track, a.Do == scenario.Mute}
	case scenario.Share, scenario.Unshare:
		return Share{ref, a.Do == scenario.Share}
	case scenario.Hold:
		return Hold{ref, a.Whom}
	case scenario.Unhold:
		return Unhold{ref, a.Whom}
	case scenario.Remove:
		return Remove{ref, a.Whom}
	case scenario.HandOver:
		return HandOver{ref, a.Whom}
	case scenario.SetLink:
		return changeLink(ref, a.Up, a.Down)
	case scenario.SetLayout:
		return show(ref, a.Layout)
	case scenario.End:
		return End{ref}
	}
	return nil
}

// show is the step that sends a layout.
func show(ref string, tiles []scenario.Tile) Step {
	return Do{Name: "layout", Func: func(w *World) error {
		m := &wire.Layout{}
		for _, t := range tiles {
			m.Tiles = append(m.Tiles, wire.Tile{Participant: w.ID(t.Of), Source: t.Track, Width: t.Width, Height: t.Height, Pinned: t.Pinned})
		}
		_, err := w.Client(ref).Call(w.ctx, m)
		return err
	}}
}

// sendLayouts lets everybody send their layout when they are in the room: a clinician after joining,
// who is admitted soon after that.
func sendLayouts(s scenario.Scenario, people []scenario.Person, play *Play) {
	for i, one := range people {
		g := s.People[one.Group]
		if g.Layout == nil {
			continue
		}
		var times []time.Duration
		for _, track := range play.Tracks {
			for _, a := range track.Actions {
				if j, ok := a.Step.(Join); ok && j.Ref == one.Ref && g.Role == wire.RoleClinician {
					times = append(times, a.At)
				}
				if admit, ok := a.Step.(Admit); ok && admit.Who == one.Ref {
					times = append(times, a.At+lobbyAnswer)
				}
			}
		}
		for _, at := range times {
			play.Tracks[i].Actions = append(play.Tracks[i].Actions, TimedStep{at, show(one.Ref, g.Layout)})
		}
		slices.SortStableFunc(play.Tracks[i].Actions, func(a, b TimedStep) int { return cmp.Compare(a.At, b.At) })
	}
}

// play carries out Play. It fails for nothing that a server may answer: that is what is measured.
func (w *World) play(p Play) error {
	start := time.Now()
	results := make([]Played, len(p.Tracks))
	var wg sync.WaitGroup
	for i, track := range p.Tracks {
		wg.Go(func() { w.runTrack(start, i, track, &results[i]) })
	}
	wg.Wait()
	for _, r := range results {
		p.result.Joins = append(p.result.Joins, r.Joins...)
		p.result.Failures = append(p.result.Failures, r.Failures...)
		p.result.people = append(p.result.people, r.people...)
	}
	slices.Sort(p.result.Joins)
	return nil
}

func (w *World) runTrack(start time.Time, index int, track Track, out *Played) {
	p := w.people[track.Ref]
	killed := false
	var did result.Person
	defer func() { out.people = []result.Person{did} }()
	for _, a := range track.Actions {
		select {
		case <-time.After(time.Until(start.Add(a.At))):
		case <-w.ctx.Done():
			return
		}
		begun, joins := time.Now(), false
		switch a.Step.(type) {
		case Kill:
			killed = true
		case Join:
			if joins = true; killed { // another machine, with the same link
				killed = false
				p.host.Cut(false)
				p.client = w.newClient(p, index)
			}
		case Reconnect:
			joins = true
		}
		err := w.do(a.Step)
		if err == nil && joins {
			err = w.do(Connected{track.Ref})
		}
		join := result.Join{At: result.Duration(a.At), Took: result.Duration(time.Since(begun))}
		switch {
		case err != nil:
			what := fmt.Sprintf("%T: %v", a.Step, err)
			out.Failures = append(out.Failures, fmt.Sprintf("at %v %s: %s", a.At, track.Ref, what))
			if join.Error = what; joins {
				did.Joins = append(did.Joins, join)
			} else {
				did.Refused = append(did.Refused, what)
			}
		case joins:
			out.Joins = append(out.Joins, time.Duration(join.Took))
			did.Joins = append(did.Joins, join)
		}
	}
}

// measure adds what the clients have seen.
func (w *World) measure(out *Played) {
	refs := make(map[uint64]string)
	for _, ref := range w.refs {
		refs[bench.SenderHash(w.people[ref].id)] = ref
	}
	for i, ref := range w.refs {
		out.people[i].Received = bench.Receptions(refs, w.people[ref].client.Report())
	}
}
