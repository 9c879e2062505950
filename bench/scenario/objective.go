package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Objective is one bound that a run must keep.
type Objective struct {
	Name  string  // of a figure
	Limit float64 // in the figure's unit: seconds, a share of 1, or a number
}

// Measurements are what a run came to: by the name of a figure, in its unit. What was not measured is
// not in it.
type Measurements map[string]float64

// Outcome is what became of an objective.
type Outcome string

// The outcomes. What was not measured has not been met: the caller decides whether it could have been.
const (
	Met         Outcome = "met"
	Missed      Outcome = "missed"
	NotMeasured Outcome = "not measured"
)

// Verdict is the outcome of one objective.
type Verdict struct {
	Name    string
	Outcome Outcome
	Reason  string // such as "join_p95 is 1.2s, at most 1s was wanted"
}

// unit is that of a figure.
type unit int

const (
	seconds unit = iota
	share
	count
)

// figure is something measured that can be an objective.
type figure struct {
	name    string
	unit    unit
	atLeast bool // the limit is a floor
}

// figures are all of them; format.md says what each means.
func figures() []figure {
	return []figure{
		{"join_p50", seconds, false}, {"join_p95", seconds, false}, {"join_p99", seconds, false},
		{"join_failures", count, false}, {"action_failures", count, false},
		{"p50_delay", seconds, false}, {"p90_delay", seconds, false}, {"p99_delay", seconds, false}, {"p999_delay", seconds, false},
		{"loss", share, false}, {"loss_before_repair", share, false},
		{"freezes", count, false}, {"freezes_per_minute", count, false}, {"freeze_ratio", share, false},
		{"video_gap", seconds, false}, {"audio_gap", seconds, false},
		{"fps", count, true}, {"height", count, true}, {"audio_mos", count, true},
		{"layer_switches_per_minute", count, false},
		{"cpu_per_packet", seconds, false}, {"violations", count, false},
	}
}

func (f figure) parse(s string) (float64, error) {
	switch f.unit {
	case seconds:
		d, err := parseDuration(s)
		return d.Seconds(), err
	case share:
		return parsePercent(s)
	}
	v, err := number(s)
	if err != nil {
		return 0, fmt.Errorf("%s is not a number: write one without a unit", quote(s))
	}
	return v, nil
}

// format writes a value of the figure as a scenario would.
func (f figure) format(v float64) string {
	switch f.unit {
	case seconds:
		return time.Duration(v * float64(time.Second)).String()
	case share:
		return strconv.FormatFloat(v*100, 'g', 4, 64) + "%"
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// Evaluate holds measurements against objectives, in the order of these.
func Evaluate(objectives []Objective, m Measurements) []Verdict {
	out := make([]Verdict, 0, len(objectives))
	all := figures()
	for _, o := range objectives {
		i := slices.IndexFunc(all, func(f figure) bool { return f.name == o.Name })
		if i < 0 {
			out = append(out, Verdict{o.Name, NotMeasured, "no figure is called " + o.Name})
			continue
		}
		out = append(out, all[i].judge(o, m))
	}
	return out
}

func (f figure) judge(o Objective, m Measurements) Verdict {
	v, measured := m[o.Name]
	if !measured || v != v { // NaN is what came of dividing by nothing
		return Verdict{o.Name, NotMeasured, f.name + " was not measured"}
	}
	outcome, bound := Met, "at most"
	if f.atLeast {
		bound = "at least"
	}
	if f.atLeast && v < o.Limit || !f.atLeast && v > o.Limit {
		outcome = Missed
	}
	return Verdict{o.Name, outcome, fmt.Sprintf("%s is %s, %s %s was wanted", f.name, f.format(v), bound, f.format(o.Limit))}
}

// Format writes a value of a figure as a scenario would, and as a plain number where no figure is
// called so.
func Format(name string, v float64) string {
	for _, f := range figures() {
		if f.name == name {
			return f.format(v)
		}
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// AtLeast tells whether a figure is the better the higher it is.
func AtLeast(name string) bool {
	return slices.ContainsFunc(figures(), func(f figure) bool { return f.name == name && f.atLeast })
}

// Figures names all figures that can be objectives, in the order of format.md.
func Figures() []string {
	var out []string
	for _, f := range figures() {
		out = append(out, f.name)
	}
	return out
}
