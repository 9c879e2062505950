// Package compare says what has changed between repeated runs of one load, beyond what differs from run
// to run anyway. It is pure.
package compare

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
)

// Schema names the form of a Comparison as JSON.
const Schema = "bedside-bench-compare/1"

const (
	maxRuns  = 50   // of one side
	rankRuns = 4    // of each side, from which a rank test is able to tell
	level    = 0.05 // of the rank test
	finest   = 0.01 // a smaller change is none: quantiles of delays are only so exact
)

// ErrDifferent is a comparison of what cannot be compared.
var ErrDifferent = errors.New("cannot be compared")

// Judgement is what is said of one figure.
type Judgement string

// The judgements.
const (
	Better  Judgement = "better"
	Worse   Judgement = "worse"
	Noise   Judgement = "within noise"
	TooFew  Judgement = "too few runs"
	Missing Judgement = "not measured"
)

// Comparison is how the runs of one side differ from those of the other.
type Comparison struct {
	Schema   string   `json:"schema"`
	Scenario string   `json:"scenario"`
	Before   Side     `json:"before"`
	After    Side     `json:"after"`
	Figures  []Figure `json:"figures"`
	Notes    []string `json:"notes"` // what to keep in mind
}

// Side is what was run on one side.
type Side struct {
	Runs   int    `json:"runs"`   // those that count
	Passed int    `json:"passed"` // of them
	Target string `json:"target"`
}

// Figure is one figure of both sides.
type Figure struct {
	Name      string    `json:"name"`
	Before    Spread    `json:"before"`
	After     Spread    `json:"after"`
	Change    *float64  `json:"change"` // of the medians: after by before, less 1; null from zero
	P         *float64  `json:"p"`      // of the rank test; null where there were too few runs for one
	Judgement Judgement `json:"judgement"`
}

// Spread is what several runs came to.
type Spread struct {
	Runs   int     `json:"runs"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Compare compares runs before with runs after. They must be of one load; invalid ones are left out.
func Compare(before, after []result.Result) (Comparison, error) {
	c := Comparison{Schema: Schema, Notes: []string{}}
	if len(before) > maxRuns || len(after) > maxRuns {
		return c, fmt.Errorf("%w: more than %d runs of one side", ErrDifferent, maxRuns)
	}
	all := append(slices.Clone(before), after...)
	for _, r := range all {
		if r.Schema != result.Schema {
			return c, fmt.Errorf("%w: schema %q, not %s", ErrDifferent, r.Schema, result.Schema)
		}
		if first := all[0].Scenario; r.Scenario.Hash != first.Hash {
			return c, fmt.Errorf("%w: %s (load %s) and %s (load %s) are different loads", ErrDifferent,
				first.Name, first.Hash, r.Scenario.Name, r.Scenario.Hash)
		}
	}
	before, c.Notes = valid(before, "before", c.Notes)
	after, c.Notes = valid(after, "after", c.Notes)
	if len(before) == 0 || len(after) == 0 {
		return c, fmt.Errorf("%w: each side needs a run that is not invalid, and there are %d before and %d after", ErrDifferent, len(before), len(after))
	}
	c.Scenario, c.Before, c.After = before[0].Scenario.Name, side(before), side(after)
	for _, name := range append(scenario.Figures(), extra()...) {
		if f, there := figure(name, values(name, before), values(name, after)); there {
			c.Figures = append(c.Figures, f)
		}
	}
	c.Notes = append(c.Notes, remarks(before, after)...)
	return c, nil
}

// valid leaves out what proves nothing, and says so.
func valid(runs []result.Result, name string, notes []string) ([]result.Result, []string) {
	kept := slices.DeleteFunc(slices.Clone(runs), func(r result.Result) bool { return r.Verdict == result.Invalid })
	if n := len(runs) - len(kept); n > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d runs %s were invalid and are left out", n, len(runs), name))
	}
	return kept, notes
}

func side(runs []result.Result) Side {
	s := Side{Runs: len(runs), Target: runs[0].Run.Target.Kind + " " + runs[0].Run.Target.Version}
	for _, r := range runs {
		if r.Verdict == result.Pass {
			s.Passed++
		}
	}
	return s
}

// remarks name what else differs.
func remarks(before, after []result.Result) []string {
	var out []string
	if n := min(len(before), len(after)); n < rankRuns {
		out = append(out, fmt.Sprintf("with %d against %d runs, only ranges that do not touch count as a change, and of single runs nothing is said: make %d or more of each, interleaved",
			len(before), len(after), rankRuns))
	}
	machines := make(map[result.Machine]bool)
	versions := make(map[string]bool)
	for _, r := range append(slices.Clone(before), after...) {
		machines[r.Run.Machine], versions[r.Run.Version] = true, true
	}
	if len(machines) > 1 {
		out = append(out, "the runs were not made on one machine, or not with one kernel and Go")
	}
	if len(versions) > 1 {
		out = append(out, "the runs were not made with one version of bedside-bench")
	}
	return out
}

// extra are figures beside those that can be objectives.
func extra() []string { return []string{memory} }

const memory = "rss_per_participant" // bytes

// values are those of the runs that measured a figure.
func values(name string, runs []result.Result) []float64 {
	var out []float64
	for _, r := range runs {
		v, there := r.Measurements[name]
		if name == memory {
			v, there = float64(r.Server.RSSPerson), r.Server.RSSPerson > 0
		}
		if there && v == v {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// figure judges one figure; false where neither side has it.
func figure(name string, before, after []float64) (Figure, bool) {
	f := Figure{Name: name, Before: spread(before), After: spread(after), Judgement: Missing}
	if len(before) == 0 || len(after) == 0 {
		return f, len(before)+len(after) > 0
	}
	if old := f.Before.Median; old != 0 {
		if change := f.After.Median/old - 1; !math.IsInf(change, 0) && !math.IsNaN(change) {
			f.Change = &change
		}
	}
	f.Judgement = Noise
	apart := f.Before.Max < f.After.Min || f.After.Max < f.Before.Min
	switch n := min(len(before), len(after)); {
	case n < 2:
		f.Judgement = TooFew
		return f, true
	case n >= rankRuns:
		p := rankTest(before, after)
		f.P = &p
		apart = p < level
	}
	small := f.Change != nil && *f.Change < finest && *f.Change > -finest
	if !apart || small || f.After.Median == f.Before.Median {
		return f, true
	}
	f.Judgement = Worse
	if (f.After.Median > f.Before.Median) == scenario.AtLeast(name) {
		f.Judgement = Better
	}
	return f, true
}

// spread sums up sorted values.
func spread(v []float64) Spread {
	n := len(v)
	if n == 0 {
		return Spread{}
	}
	return Spread{Runs: n, Median: v[(n-1)/2]/2 + v[n/2]/2, Min: v[0], Max: v[n-1]}
}
