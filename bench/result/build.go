package result

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/scenario"
)

// namedViolations are given as reasons; the others are in the list only.
const namedViolations = 3

// Build makes the document of a run and judges it.
func Build(in Inputs) Result {
	in.People = append(slices.Clone(in.People), make([]Person, max(0, len(in.Plan.People)-len(in.People)))...)
	r := Result{
		Schema: Schema, Interrupted: in.Interrupted, Run: in.Run, Server: in.Server, Generator: in.Generator,
		Scenario: describe(in.Scenario, in.Plan), Joins: joins(in.People), Series: series(in),
		Participants: participants(in), Violations: violations(in),
	}
	all := subscriptions(in)
	delay := new(hist.Histogram)
	for _, p := range in.People {
		for _, got := range p.Received {
			delay.Merge(got.Delay)
			r.Traffic.Packets += got.Packets
			r.Traffic.Bytes += got.Bytes
			r.Traffic.Lost += got.Lost
			r.Traffic.Repaired += got.Repaired
		}
	}
	if hold := (in.Plan.To - in.Plan.From).Seconds(); hold > 0 {
		r.Traffic.Rate = significant(float64(r.Traffic.Packets)/hold, 6)
	}
	r.Delay = distribution(delay, true)
	r.Server = price(in.Server, r.Traffic.Packets)
	r.Measurements = measure(in, r, all)
	r.Objectives = judge(in.Scenario.Objectives, r.Measurements)
	r.Verdict, r.Reasons = verdict(r)
	r.Subscriptions, r.Omitted = worst(all)
	return r
}

// describe sums up a scenario.
func describe(s scenario.Scenario, p scenario.Plan) Scenario {
	return Scenario{
		Name: s.Name, Hash: loadHash(s), Purpose: s.Purpose, Seed: s.Seed, Rooms: s.Rooms.Count, Participants: len(p.People),
		Ramp: Duration(s.Ramp), Hold: Duration(s.Hold), Stop: Duration(s.Stop),
	}
}

// price divides what the server cost.
func price(s Server, received uint64) Server {
	forwarded := s.Forwarded
	if forwarded == 0 {
		forwarded = received
	}
	if s.Source != "" && s.CPU > 0 && forwarded > 0 {
		s.CPUPacket = Duration(uint64(s.CPU) / forwarded)
	}
	if s.Connected > 0 && s.RSSBefore > 0 && s.RSSEnd > s.RSSBefore {
		s.RSSPerson = (s.RSSEnd - s.RSSBefore) / uint64(s.Connected)
	}
	return s
}

// violations are the broken promises that a run was told of, and what came of the wrong people.
func violations(in Inputs) []string {
	out := append([]string{}, in.Violations...)
	for i, one := range in.Plan.People {
		for _, got := range in.People[i].Received {
			if got.Wrong > 0 {
				out = append(out, fmt.Sprintf("room %d: %d packets of the %s of %s reached %s in the slot of somebody else",
					one.Room, got.Wrong, got.Source, got.Of, one.Ref))
			}
		}
	}
	return out
}

// judge holds the measurements against the objectives.
func judge(objectives []scenario.Objective, m map[string]float64) []Objective {
	out := make([]Objective, 0, len(objectives))
	for i, v := range scenario.Evaluate(objectives, m) {
		o := Objective{Name: v.Name, Limit: objectives[i].Limit, Outcome: string(v.Outcome), Text: v.Reason}
		if value, ok := m[v.Name]; ok {
			o.Value = &value
		}
		out = append(out, o)
	}
	return out
}

// verdict says what became of the run, and why.
func verdict(r Result) (Verdict, []string) {
	reasons := []string{}
	for _, why := range r.Generator.Invalid {
		reasons = append(reasons, "invalid: "+why)
	}
	if r.Interrupted {
		reasons = append(reasons, "invalid: interrupted before the end")
	}
	invalid := len(reasons) > 0
	for _, o := range r.Objectives {
		if o.Outcome != string(scenario.Met) {
			reasons = append(reasons, o.Text)
		}
	}
	for i, v := range r.Violations {
		if i == namedViolations {
			reasons = append(reasons, fmt.Sprintf("violation: %d more", len(r.Violations)-i))
			break
		}
		reasons = append(reasons, "violation: "+v)
	}
	switch {
	case invalid:
		return Invalid, reasons
	case len(reasons) > 0:
		return Fail, reasons
	}
	return Pass, reasons
}

// distribution sums up a Histogram; curve asks for its shape, too.
func distribution(h *hist.Histogram, curve bool) Distribution {
	if h == nil || h.Count() == 0 {
		return Distribution{}
	}
	at := func(share float64) Duration { return rounded(h.Quantile(share)) }
	d := Distribution{
		Count: h.Count(), Min: rounded(h.Min()), Mean: rounded(h.Mean()), Max: rounded(h.Max()),
		P50: at(0.5), P90: at(0.9), P95: at(0.95), P99: at(0.99), P999: at(0.999),
	}
	if !curve {
		return d
	}
	// Eight points for each further nine of the percentage, as far as there are enough durations.
	for k := 0; k <= 56; k++ {
		rest := math.Pow(10, -float64(k)/8)
		if rest*float64(h.Count()) < 1 {
			break
		}
		share := significant(1-rest, 9)
		d.Curve = append(d.Curve, [2]float64{share, seconds(at(share))})
	}
	d.Curve = append(d.Curve, [2]float64{1, seconds(d.Max)})
	return d
}

// rounded keeps as much of a duration as means something: four digits.
func rounded(d time.Duration) Duration { return Duration(significant(float64(d), 4)) }

// exact is the distribution of a few durations, by nearest rank.
func exact(all []time.Duration, curve bool) Distribution {
	if len(all) == 0 {
		return Distribution{}
	}
	slices.Sort(all)
	at := func(share float64) Duration {
		return rounded(all[max(0, int(math.Ceil(share*float64(len(all))-1e-9))-1)])
	}
	d := Distribution{
		Count: uint64(len(all)), Min: at(0), Max: at(1), P50: at(0.5), P90: at(0.9), P95: at(0.95), P99: at(0.99), P999: at(0.999),
	}
	var sum time.Duration
	for _, one := range all {
		sum += one
	}
	d.Mean = rounded(sum / time.Duration(len(all)))
	if curve {
		for k := 0; k <= 20; k++ {
			d.Curve = append(d.Curve, [2]float64{float64(k) / 20, seconds(at(float64(k) / 20))})
		}
	}
	return d
}

// joins sums up how people came in.
func joins(people []Person) Joins {
	out := Joins{Phases: []JoinPhase{}}
	var took []time.Duration
	var names []string
	phases := make(map[string][]time.Duration)
	failed, refused := make(map[string]int), make(map[string]int)
	for _, p := range people {
		for _, j := range p.Joins {
			out.Attempts++
			for _, phase := range j.Phases {
				if _, known := phases[phase.Name]; !known {
					names = append(names, phase.Name)
				}
				phases[phase.Name] = append(phases[phase.Name], time.Duration(phase.Took))
			}
			if j.Error != "" {
				out.Failed++
				failed[j.Error]++
				continue
			}
			took = append(took, time.Duration(j.Took))
		}
		for _, what := range p.Refused {
			refused[what]++
		}
	}
	out.Took = exact(took, true)
	for _, name := range names {
		out.Phases = append(out.Phases, JoinPhase{Name: name, Took: exact(phases[name], false)})
	}
	out.Errors, out.Refused = counts(failed), counts(refused)
	return out
}

// counts orders by frequency, then by name.
func counts(of map[string]int) []Count {
	out := make([]Count, 0, len(of))
	for what, times := range of {
		out = append(out, Count{what, times})
	}
	slices.SortFunc(out, func(a, b Count) int {
		if a.Times != b.Times {
			return b.Times - a.Times
		}
		return strings.Compare(a.What, b.What)
	})
	return out
}
