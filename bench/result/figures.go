package result

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	listed    = 2000            // subscriptions in the document
	rateFloor = 5 * time.Second // watched for less, a subscription has no rates
	scoreable = 50              // packets; of fewer, audio has no score
)

// subscriptions are all of a run, in the order of the plan.
func subscriptions(in Inputs) []Subscription {
	videos := make(map[person]scenario.Group)
	for _, one := range in.Plan.People {
		videos[person{one.Room, one.Ref}] = in.Scenario.People[one.Group]
	}
	out := []Subscription{}
	for i, one := range in.Plan.People {
		wanted := pinned(in, one)
		for _, got := range in.People[i].Received {
			s := subscription(got, videos[person{one.Room, got.Of}])
			s.Room, s.By = one.Room, one.Ref
			s.Pinned = slices.Contains(wanted, track{got.Of, got.Source})
			out = append(out, s)
			wanted = slices.DeleteFunc(wanted, func(t track) bool { return t == track{got.Of, got.Source} })
		}
		for _, t := range wanted {
			if connected(in.People[i], in.Plan.To) && present(in, one.Room, t) {
				// What was never shown stood still all the time.
				out = append(out, Subscription{Room: one.Room, By: one.Ref, Of: t.of, Source: t.source, Pinned: true, Video: &VideoFigures{Layers: []uint64{}}})
			}
		}
	}
	return out
}

// person names one of a room.
type person struct {
	room int
	ref  string
}

// track is one person's video.
type track struct {
	of     string
	source wire.Source
}

func subscription(got Received, from scenario.Group) Subscription {
	s := Subscription{
		Of: got.Of, Source: got.Source, Packets: got.Packets, Bytes: got.Bytes, Lost: got.Lost, Repaired: got.Repaired,
		Delay: distribution(got.Delay, false), Watched: Duration(got.Watched), LongestGap: Duration(got.LongestGap),
	}
	if !video(got.Source) {
		if got.Packets >= scoreable && got.Delay != nil {
			// What a jitter buffer of the usual size covers.
			s.Score = Score(float64(got.Lost)/float64(got.Packets+got.Lost), got.Delay.Quantile(0.95))
		}
		return s
	}
	v := &VideoFigures{
		Frames: got.Frames, Freezes: got.Freezes, Frozen: Duration(got.Frozen), Switches: got.Switches,
		Layers: append([]uint64{}, got.Layers...),
	}
	if got.Watched > 0 {
		v.FPS = significant(float64(got.Frames)/got.Watched.Seconds(), 4)
	}
	sent := from.Camera
	if got.Source == wire.SourceScreen {
		sent = from.Screen
	}
	if lowest := slices.IndexFunc(got.Layers, func(n uint64) bool { return n > 0 }); sent != nil && lowest >= 0 && lowest < len(sent.Layers) {
		v.Height = sent.Layers[lowest].Height
	}
	s.Video = v
	return s
}

func video(s wire.Source) bool { return s != wire.SourceMic && s != wire.SourceAuscultation }

// pinned returns what somebody's layouts pinned all through the hold.
func pinned(in Inputs, one scenario.Person) []track {
	inForce := in.Scenario.People[one.Group].Layout
	var all []track
	first := true
	keep := func() {
		var now []track
		for _, t := range inForce {
			if t.Pinned && (first || slices.Contains(all, track{t.Of, t.Track})) {
				now = append(now, track{t.Of, t.Track})
			}
		}
		all, first = now, false
	}
	for _, a := range one.Actions {
		if a.Do != scenario.SetLayout || a.At >= in.Plan.To {
			continue
		}
		if a.At > in.Plan.From {
			keep()
		}
		inForce = a.Layout
	}
	keep()
	return all
}

// connected tells whether somebody came in before an instant.
func connected(p Person, before time.Duration) bool {
	return slices.ContainsFunc(p.Joins, func(j Join) bool { return j.Error == "" && time.Duration(j.At) < before })
}

// present tells whether the sender of a track was there, with it.
func present(in Inputs, room int, t track) bool {
	i := slices.IndexFunc(in.Plan.People, func(p scenario.Person) bool { return p.Room == room && p.Ref == t.of })
	if i < 0 || t.source != wire.SourceCamera { // a screen may never be shared
		return false
	}
	return in.Scenario.People[in.Plan.People[i].Group].Camera != nil && connected(in.People[i], in.Plan.To)
}

// measure makes the figures that objectives are about. What was not measured is not in them.
func measure(in Inputs, r Result, all []Subscription) map[string]float64 {
	m := map[string]float64{
		"join_failures": float64(r.Joins.Failed), "violations": float64(len(r.Violations)), "action_failures": 0,
	}
	for _, c := range r.Joins.Refused {
		m["action_failures"] += float64(c.Times)
	}
	if d := r.Joins.Took; d.Count > 0 {
		m["join_p50"], m["join_p95"], m["join_p99"] = seconds(d.P50), seconds(d.P95), seconds(d.P99)
	}
	if d := r.Delay; d.Count > 0 {
		m["p50_delay"], m["p90_delay"], m["p99_delay"], m["p999_delay"] = seconds(d.P50), seconds(d.P90), seconds(d.P99), seconds(d.P999)
	}
	if t := r.Traffic; t.Packets+t.Lost > 0 {
		sent := float64(t.Packets + t.Lost)
		m["loss"], m["loss_before_repair"] = float64(t.Lost)/sent, float64(t.Lost+t.Repaired)/sent
	}
	if r.Server.CPUPacket > 0 {
		m["cpu_per_packet"] = seconds(rounded(time.Duration(r.Server.CPUPacket)))
	}
	for _, s := range all {
		s.measure(m)
	}
	for name, v := range m {
		m[name] = significant(v, 9)
	}
	return m
}

func seconds(d Duration) float64 { return time.Duration(d).Seconds() }

// measure adds a subscription to the figures that are about the worst of all.
func (s Subscription) measure(m map[string]float64) {
	most := func(name string, v float64) { m[name] = max(m[name], v) }
	least := func(name string, v float64) {
		if old, known := m[name]; !known || v < old {
			m[name] = v
		}
	}
	if s.Video == nil {
		if s.Packets > 0 {
			most("audio_gap", seconds(rounded(time.Duration(s.LongestGap))))
		}
		if s.Score > 0 {
			least("audio_mos", s.Score)
		}
		return
	}
	v, watched := s.Video, time.Duration(s.Watched)
	if s.Pinned && (watched >= rateFloor || s.Packets == 0 && watched == 0) {
		least("fps", v.FPS)
	}
	if s.Pinned && v.Height > 0 {
		least("height", float64(v.Height))
	}
	if watched == 0 {
		return
	}
	most("video_gap", seconds(rounded(time.Duration(s.LongestGap))))
	m["freezes"] += float64(v.Freezes)
	if watched >= rateFloor {
		most("freezes_per_minute", float64(v.Freezes)/watched.Minutes())
		most("freeze_ratio", v.Frozen.share(watched))
		most("layer_switches_per_minute", float64(v.Switches)/watched.Minutes())
	}
}

func (d Duration) share(of time.Duration) float64 { return float64(d) / float64(of) }

// worst orders subscriptions, the worst first, and keeps so many as a document holds: by the share of
// the time that they stood still, of what they lost, and a tenth for each second of the longest gap.
func worst(all []Subscription) (kept []Subscription, omitted int) {
	slices.SortStableFunc(all, func(a, b Subscription) int {
		return cmp.Or(cmp.Compare(b.badness(), a.badness()), cmp.Compare(a.Room, b.Room),
			strings.Compare(a.By, b.By), strings.Compare(a.Of, b.Of), strings.Compare(string(a.Source), string(b.Source)))
	})
	if len(all) > listed {
		return all[:listed], len(all) - listed
	}
	return all, 0
}

func (s Subscription) badness() float64 {
	bad := seconds(s.LongestGap) / 10
	if s.Packets+s.Lost > 0 {
		bad += float64(s.Lost) / float64(s.Packets+s.Lost)
	}
	if s.Video != nil && s.Watched > 0 {
		bad += s.Video.Frozen.share(time.Duration(s.Watched))
	}
	if s.Pinned && s.Packets == 0 && s.Watched == 0 {
		bad++
	}
	return bad
}
