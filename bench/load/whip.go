package load

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/scenario"
)

// whip is a server with nothing but media: WHIP and WHEP.
type whip struct {
	base   string
	name   string // of the run
	plan   scenario.Plan
	groups []scenario.Group
	audio  []int // tracks of each room
	video  []int
}

// WHIP returns the Target of a server that takes WHIP at base/whip/{room}/{id}, and at
// base/whep/{room}/{id}?tracks=N answers with the N tracks of everybody else in the room, on one
// connection, as the servers of bench/yardstick do. There is no lobby: who comes is in. Scenarios that
// need more than people who come and go are refused. Rooms begin with name, unlike those of any other
// run: whoever was there last may not have gone for good.
func WHIP(base, name string) (Target, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("load: %q is not the URL of a server, such as http://127.0.0.1:8080", base)
	}
	return &whip{base: strings.TrimSuffix(base, "/"), name: url.PathEscape(name)}, nil
}

// Open implements Target.
func (w *whip) Open(_ context.Context, s scenario.Scenario, p scenario.Plan) error {
	w.plan, w.groups = p, s.People
	w.audio, w.video = make([]int, s.Rooms.Count), make([]int, s.Rooms.Count)
	for _, one := range p.People {
		g := s.People[one.Group]
		if g.Screen != nil || len(g.Up)+len(g.Down) > 0 {
			return fmt.Errorf("load: %s has a screen or a link: not with WHIP and WHEP", one.Ref)
		}
		for _, a := range one.Actions {
			switch a.Do {
			case scenario.Join, scenario.Leave, scenario.End, scenario.Admit, scenario.SetLayout:
			default:
				return fmt.Errorf("load: %s shall %s: not with WHIP and WHEP", one.Ref, a.Do)
			}
		}
		if len(one.Actions) == 0 { // never comes
			continue
		}
		if g.Mic != nil {
			w.audio[one.Room]++
		}
		if g.Camera != nil {
			w.video[one.Room]++
		}
	}
	return nil
}

// ID implements Target. Refs are those of one room; an id is one of all.
func (w *whip) ID(person int) string {
	one := w.plan.People[person]
	return fmt.Sprintf("%d-%s", one.Room, one.Ref)
}

// Guest implements Target.
func (w *whip) Guest(person int, cfg bench.Config) Guest {
	one := w.plan.People[person]
	c := bench.BroadcastConfig{Config: cfg, Ref: w.ID(person), Audio: w.audio[one.Room], Video: w.video[one.Room]}
	if w.groups[one.Group].Mic != nil {
		c.Audio--
	}
	if w.groups[one.Group].Camera != nil {
		c.Video--
	}
	at := fmt.Sprintf("%s-%d/%s", w.name, one.Room, c.Ref)
	c.Publish = w.base + "/whip/" + at
	c.Watch = fmt.Sprintf("%s/whep/%s?tracks=%d", w.base, at, c.Audio+c.Video)
	return bench.NewBroadcast(c)
}

// Close implements Target: nothing was opened.
func (w *whip) Close(context.Context) error { return nil }
