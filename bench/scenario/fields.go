package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	maxRooms    = 10_000
	maxGroups   = 100
	maxGroup    = 1000 // people of one group
	maxEvents   = 10_000
	maxTiles    = 64
	maxSteps    = 10_000 // of a link's trace
	maxPurpose  = 1000   // bytes
	defaultFPS  = 30
	defaultWait = 2 * time.Second // in the lobby
	defaultBack = time.Second
)

func (d *decoder) top(s *Scenario) []field {
	s.Seed, s.Rooms = 1, Rooms{Count: 1}
	return []field{
		needed(readAs(d, "name", &s.Name, parseRef)),
		needed(readAs(d, "purpose", &s.Purpose, parsePurpose)),
		readAs(d, "seed", &s.Seed, parseSeed),
		d.duration("ramp", &s.Ramp, ""),
		needed(d.duration("hold", &s.Hold, "")),
		d.duration("stop", &s.Stop, ""),
		{key: "rooms", read: func(n *yaml.Node) {
			s.Rooms.pos = at(n)
			d.mapping(n, "rooms", d.rooms(&s.Rooms))
		}},
		needed(field{key: "people", read: func(n *yaml.Node) {
			d.list(n, "people", maxGroups, func(n *yaml.Node) {
				g := Group{pos: at(n)}
				d.mapping(n, "a person", d.group(&g))
				s.People = append(s.People, g)
			})
		}}),
		{key: "timeline", read: func(n *yaml.Node) {
			d.list(n, "timeline", maxEvents, func(n *yaml.Node) {
				e := Event{pos: at(n)}
				d.mapping(n, "an event", d.event(&e))
				s.Timeline = append(s.Timeline, e)
			})
		}},
		{key: "churn", read: func(n *yaml.Node) {
			d.list(n, "churn", maxGroups, func(n *yaml.Node) {
				c := Churn{pos: at(n)}
				d.mapping(n, "churn", d.churn(&c))
				s.Churn = append(s.Churn, c)
			})
		}},
		{key: "objectives", read: func(n *yaml.Node) { d.mapping(n, "objectives", d.objectives(&s.Objectives)) }},
	}
}

func (d *decoder) rooms(r *Rooms) []field {
	return []field{
		d.integer("count", &r.Count, 1, maxRooms),
		readAs(d, "arrival", &r.Arrival, parseArrival),
	}
}

func (d *decoder) group(g *Group) []field {
	g.Count, g.Lobby, g.Way = 1, defaultWait, WayUDP
	return []field{
		needed(readAs(d, "ref", &g.Ref, parseRef)),
		needed(oneOf(d, "role", &g.Role, wire.RoleClinician, wire.RolePatient, wire.RoleCarer, wire.RoleInterpreter, wire.RoleObserver)),
		d.integer("count", &g.Count, 1, maxGroup),
		d.duration("join", &g.Join, "never"),
		d.duration("apart", &g.Apart, ""),
		d.duration("lobby", &g.Lobby, "forever"),
		{key: "camera", read: func(n *yaml.Node) { g.Camera = d.video(n, "camera", Camera(), Simulcast()) }},
		{key: "mic", read: func(n *yaml.Node) { g.Mic = d.audio(n) }},
		{key: "screen", read: func(n *yaml.Node) { g.Screen = d.video(n, "screen", Slides(), nil) }},
		oneOf(d, "way", &g.Way, WayUDP, WayTCP, WayTURNTCP, WayTURNTLS),
		{key: "up", read: func(n *yaml.Node) { g.Up = d.trace(n, "up") }},
		{key: "down", read: func(n *yaml.Node) { g.Down = d.trace(n, "down") }},
		{key: "layout", read: func(n *yaml.Node) { g.Layout = d.layout(n) }},
	}
}

// Camera is a camera of one encoding, Simulcast that of the page in three (the ladder of bedside.js),
// Slides a screen that changes now and then.
func Camera() *Video {
	return &Video{FPS: defaultFPS, Temporal: 1, Layers: []Layer{{Width: 640, Height: 360, Bitrate: 500_000}}}
}

// Simulcast is described with Camera.
func Simulcast() *Video {
	return &Video{FPS: defaultFPS, Temporal: 3, Layers: []Layer{
		{RID: "q", Width: 320, Height: 180, Bitrate: 100_000},
		{RID: "h", Width: 640, Height: 360, Bitrate: 260_000},
		{RID: "f", Width: 1280, Height: 720, Bitrate: 1_500_000},
	}}
}

// Slides is described with Camera.
func Slides() *Video {
	return &Video{FPS: 5, Temporal: 1, Layers: []Layer{{Width: 1920, Height: 1080, Bitrate: 500_000}}}
}

// video reads a word or a mapping. single is what the word single stands for, and where a mapping
// starts from; simulcast may be nil.
func (d *decoder) video(n *yaml.Node, what string, single, simulcast *Video) *Video {
	if n.Kind == yaml.ScalarNode {
		switch {
		case n.Value == "single":
			return single
		case n.Value == "simulcast" && simulcast != nil:
			return simulcast
		}
		words := "single"
		if simulcast != nil {
			words = "single or simulcast"
		}
		d.fail(n, "%s is %s: write %s, or a mapping with %s", what, kind(n), words, keysOf(d.videoFields(new(Video))))
		return nil
	}
	v := *single
	before := len(d.problems)
	d.mapping(n, what, d.videoFields(&v))
	if len(d.problems) > before {
		return nil
	}
	d.checkLayers(n, what, v, simulcast != nil)
	return &v
}

func (d *decoder) videoFields(v *Video) []field {
	return []field{
		d.integer("fps", &v.FPS, 1, 120),
		d.boolean("constant", &v.Constant),
		{key: "temporal", read: func(n *yaml.Node) {
			d.integer("temporal", &v.Temporal, 1, 3).read(n)
			if v.Temporal == 2 {
				d.fail(n, "temporal is 2: write 1 or 3")
			}
		}},
		{key: "layers", read: func(n *yaml.Node) {
			v.Layers = nil
			d.list(n, "layers", 3, func(n *yaml.Node) {
				var l Layer
				d.mapping(n, "a layer", d.layer(&l))
				v.Layers = append(v.Layers, l)
			})
		}},
	}
}

func (d *decoder) layer(l *Layer) []field {
	return []field{
		oneOf(d, "rid", &l.RID, "q", "h", "f"),
		needed(d.size("size", &l.Width, &l.Height)),
		needed(readAs(d, "rate", &l.Bitrate, parseBitrate)),
	}
}

func (d *decoder) size(key string, width, height *int) field {
	return field{key: key, read: func(n *yaml.Node) {
		text, ok := d.text(n, key)
		if !ok {
			return
		}
		var err error
		if *width, *height, err = parseSize(text); err != nil {
			d.fail(n, "%s: %v", key, err)
		}
	}}
}

func (d *decoder) checkLayers(n *yaml.Node, what string, v Video, simulcast bool) {
	switch {
	case len(v.Layers) == 0:
		d.fail(n, "%s has no layers: write one to three", what)
	case len(v.Layers) > 1 && !simulcast:
		d.fail(n, "%s has %d layers: it is sent in one", what, len(v.Layers))
	case len(v.Layers) == 1 && v.Layers[0].RID != "":
		d.fail(n, "%s has one layer with a rid: leave rid out without simulcast", what)
	}
	for i, l := range v.Layers {
		if len(v.Layers) > 1 && l.RID == "" {
			d.fail(n, "%s: a layer without rid: name each of several q, h or f", what)
		}
		if i > 0 && (l.Bitrate <= v.Layers[i-1].Bitrate || l.RID == v.Layers[i-1].RID) {
			d.fail(n, "%s: the layers are not in order: write the lowest first, each with a rid of its own", what)
		}
	}
	if len(v.Layers) == 3 && v.Layers[0].RID == v.Layers[2].RID {
		d.fail(n, "%s: two layers are called %s", what, v.Layers[0].RID)
	}
}

// audio reads speech, continuous, or a mapping that starts from speech.
func (d *decoder) audio(n *yaml.Node) *Audio {
	a := Audio{Bitrate: 24_000, Talks: 0.4, DTX: true}
	if n.Kind != yaml.ScalarNode {
		d.mapping(n, "mic", d.audioFields(&a))
		return &a
	}
	switch n.Value {
	case "speech":
	case "continuous":
		a.Talks, a.DTX = 1, false
	default:
		d.fail(n, "mic is %s: write speech or continuous, or a mapping with %s", kind(n), keysOf(d.audioFields(&a)))
	}
	return &a
}

func (d *decoder) audioFields(a *Audio) []field {
	return []field{
		readAs(d, "rate", &a.Bitrate, parseBitrate),
		readAs(d, "talks", &a.Talks, parsePercent),
		d.boolean("dtx", &a.DTX),
	}
}

// trace reads a link, or what it is from when on.
func (d *decoder) trace(n *yaml.Node, what string) []LinkStep {
	if n.Kind == yaml.ScalarNode {
		var one LinkStep
		readAs(d, what, &one.Link, link.Parse).read(n)
		return []LinkStep{one}
	}
	var out []LinkStep
	d.list(n, what, maxSteps, func(n *yaml.Node) {
		var one LinkStep
		d.mapping(n, "a step of "+what, d.step(&one))
		if len(out) > 0 && one.At <= out[len(out)-1].At {
			d.fail(n, "%s: the steps are not in order: each comes after the one before", what)
		}
		out = append(out, one)
	})
	if n.Kind == yaml.SequenceNode && (len(out) == 0 || out[0].At != 0) {
		d.fail(n, "%s says nothing of the start: let the first step be at 0s", what)
	}
	return out
}

func (d *decoder) step(s *LinkStep) []field {
	return []field{
		needed(d.duration("at", &s.At, "")),
		needed(readAs(d, "link", &s.Link, link.Parse)),
	}
}

func (d *decoder) layout(n *yaml.Node) []Tile {
	var out []Tile
	d.list(n, "layout", maxTiles, func(n *yaml.Node) {
		t := Tile{Track: wire.SourceCamera, pos: at(n)}
		d.mapping(n, "a tile", d.tile(&t))
		out = append(out, t)
	})
	return out
}

func (d *decoder) tile(t *Tile) []field {
	return []field{
		needed(readAs(d, "of", &t.Of, parseRef)),
		oneOf(d, "track", &t.Track, wire.SourceCamera, wire.SourceScreen),
		needed(d.size("size", &t.Width, &t.Height)),
		d.boolean("pinned", &t.Pinned),
	}
}

func (d *decoder) event(e *Event) []field {
	direction := func(key string, into **link.Shape) field {
		return field{key: key, read: func(n *yaml.Node) {
			*into = new(link.Shape)
			readAs(d, key, *into, link.Parse).read(n)
		}}
	}
	return []field{
		needed(d.duration("at", &e.At, "")),
		needed(readAs(d, "who", &e.Who, parseRef)),
		needed(oneOf(d, "do", &e.Do, Verbs()...)),
		d.duration("apart", &e.Apart, ""),
		readAs(d, "whom", &e.Whom, parseRef),
		oneOf(d, "track", &e.Track, wire.SourceCamera, wire.SourceMic),
		d.duration("back", &e.Back, ""),
		direction("up", &e.Up), direction("down", &e.Down),
		{key: "layout", read: func(n *yaml.Node) { e.Layout = d.layout(n) }},
	}
}

// Verbs returns all of them.
func Verbs() []Verb {
	return []Verb{Join, Admit, Leave, Kill, Drop, Reconnect, Mute, Unmute, Share, Unshare, Hold, Unhold, Remove, HandOver, SetLayout, SetLink, End}
}

func (d *decoder) churn(c *Churn) []field {
	return []field{
		needed(readAs(d, "who", &c.Who, parseRef)),
		needed(readAs(d, "rate", &c.Rate, parseFrequency)),
		needed(d.duration("stay", &c.Stay, "")),
		readAs(d, "kill", &c.Kill, parsePercent),
		readAs(d, "drop", &c.Drop, parsePercent),
	}
}

func (d *decoder) objectives(into *[]Objective) []field {
	var out []field
	for _, k := range figures() {
		out = append(out, field{key: k.name, read: func(n *yaml.Node) {
			o := Objective{Name: k.name}
			before := len(d.problems)
			readAs(d, k.name, &o.Limit, k.parse).read(n)
			if len(d.problems) == before {
				*into = append(*into, o)
			}
		}})
	}
	return out
}

// Keys returns every key that a scenario may hold, with the keys above it, as in people.camera.fps.
func Keys() []string {
	d := &decoder{}
	var out []string
	add := func(prefix string, fields []field) {
		for _, f := range fields {
			out = append(out, prefix+f.key)
		}
	}
	add("", d.top(new(Scenario)))
	add("rooms.", d.rooms(new(Rooms)))
	add("people.", d.group(new(Group)))
	for _, v := range []string{"people.camera.", "people.screen."} {
		add(v, d.videoFields(new(Video)))
		add(v+"layers.", d.layer(new(Layer)))
	}
	add("people.mic.", d.audioFields(new(Audio)))
	add("people.up.", d.step(new(LinkStep)))
	add("people.down.", d.step(new(LinkStep)))
	add("people.layout.", d.tile(new(Tile)))
	add("timeline.", d.event(new(Event)))
	add("timeline.layout.", d.tile(new(Tile)))
	add("churn.", d.churn(new(Churn)))
	add("objectives.", d.objectives(new([]Objective)))
	return out
}

func parsePurpose(s string) (string, error) {
	if s == "" || len(s) > maxPurpose || !utf8.ValidString(s) {
		return "", fmt.Errorf("write a sentence or two, at most %d bytes", maxPurpose)
	}
	return s, nil
}

func parseSeed(s string) (uint64, error) {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a seed: write a whole number, 0 or more", quote(s))
	}
	return v, nil
}

func parseArrival(s string) (Arrival, error) {
	every, isEvery := strings.CutPrefix(s, "every ")
	switch {
	case s == "at once":
		return Arrival{Kind: ArriveAtOnce}, nil
	case s == "spread":
		return Arrival{Kind: ArriveSpread}, nil
	case isEvery:
		d, err := parseDuration(every)
		return Arrival{Kind: ArriveEvery, Every: d}, err
	}
	rate, err := parseFrequency(s)
	if err != nil {
		return Arrival{}, fmt.Errorf("%s is not an arrival: write at once, spread, every 2s, or a frequency such as 5/s", quote(s))
	}
	return Arrival{Kind: ArriveRandom, Rate: rate}, nil
}
