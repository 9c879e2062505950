package compare_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/bench/compare"
	"github.com/bedside-video/bedside/bench/result"
)

// runs are results of one load that measured one figure.
func runs(name string, values ...float64) []result.Result {
	var out []result.Result
	for _, v := range values {
		out = append(out, result.Result{
			Schema: result.Schema, Verdict: result.Pass, Scenario: result.Scenario{Name: "visit", Hash: "0011"},
			Run: result.Run{Target: result.Target{Kind: "bedside", Version: "v1"}}, Measurements: map[string]float64{name: v},
		})
	}
	return out
}

func TestJudgements(t *testing.T) {
	for _, c := range []struct {
		name, figure  string
		before, after []float64
		want          compare.Judgement
		change        float64
		p             float64 // NaN for none
	}{
		{"one run says nothing", "p99_delay", []float64{1}, []float64{9}, compare.TooFew, 8, math.NaN()},
		{"one against many neither", "p99_delay", []float64{1}, []float64{9, 9, 9, 9, 9}, compare.TooFew, 8, math.NaN()},
		{"two ranges apart", "p99_delay", []float64{1, 1.1}, []float64{2, 2.1}, compare.Worse, 2.05/1.05 - 1, math.NaN()},
		{"two ranges that touch", "p99_delay", []float64{1, 2}, []float64{2, 3}, compare.Noise, 2.5/1.5 - 1, math.NaN()},
		{"three, lower is better", "p99_delay", []float64{3, 3.1, 3.2}, []float64{2, 2.1, 2.2}, compare.Better, 2.1/3.1 - 1, math.NaN()},
		{"three, higher is better", "fps", []float64{20, 20, 20}, []float64{24, 25, 26}, compare.Better, 0.25, math.NaN()},
		// Of 70 ways to part eight values only two are as extreme.
		{"four apart", "loss", []float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, compare.Worse, 1.6, 2.0 / 70},
		{"four, one overlaps", "loss", []float64{1, 2, 3, 5}, []float64{4, 6, 7, 8}, compare.Noise, 1.6, 4.0 / 70},
		// Of 252, 2 are as extreme as this one or more and 2 more are next to it.
		{"five, one overlaps", "loss", []float64{1, 2, 3, 4, 6}, []float64{5, 7, 8, 9, 10}, compare.Worse, 8.0/3 - 1, 4.0 / 252},
		{"all alike", "loss", []float64{1, 1, 1, 1}, []float64{1, 1, 1, 1}, compare.Noise, 0, 1},
		{"apart by less than is measured", "p50_delay", []float64{1, 1, 1, 1}, []float64{1.005, 1.005, 1.005, 1.005}, compare.Noise, 0.005, 2.0 / 70},
		{"from nothing", "freezes", []float64{0, 0, 0, 0}, []float64{3, 4, 5, 6}, compare.Worse, math.NaN(), 2.0 / 70},
		{"not measured before", "fps", nil, []float64{1, 2, 3, 4}, compare.Missing, math.NaN(), math.NaN()},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := runs(c.figure, c.before...)
			if c.before == nil {
				before = runs("loss", 1)
			}
			got, err := compare.Compare(before, runs(c.figure, c.after...))
			if err != nil {
				t.Fatal(err)
			}
			var f compare.Figure
			for _, one := range got.Figures {
				if one.Name == c.figure {
					f = one
				}
			}
			if f.Judgement != c.want || !same(f.Change, c.change) || !same(f.P, c.p) {
				t.Errorf("%s, change %v, p %v; want %s, %v, %v", f.Judgement, text(f.Change), text(f.P), c.want, c.change, c.p)
			}
		})
	}
}

func same(got *float64, want float64) bool {
	if got == nil || math.IsNaN(want) {
		return got == nil && math.IsNaN(want)
	}
	return math.Abs(*got-want) < 1e-9
}

func text(v *float64) any {
	if v == nil {
		return "none"
	}
	return *v
}

func TestRefused(t *testing.T) {
	other := runs("loss", 1)
	other[0].Scenario = result.Scenario{Name: "consult", Hash: "2233"}
	schema := runs("loss", 1)
	schema[0].Schema = "bedside-bench/2"
	invalid := runs("loss", 1, 2)
	invalid[0].Verdict, invalid[1].Verdict = result.Invalid, result.Invalid
	for _, c := range []struct {
		name          string
		before, after []result.Result
		why           string
	}{
		{"another load", runs("loss", 1), other, "visit (load 0011) and consult (load 2233) are different loads"},
		{"another schema", runs("loss", 1), schema, `schema "bedside-bench/2"`},
		{"only invalid runs", invalid, runs("loss", 1), "there are 0 before and 1 after"},
		{"nothing", nil, nil, "there are 0 before and 0 after"},
		{"too many", runs("loss", make([]float64, 51)...), runs("loss", 1), "more than 50"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := compare.Compare(c.before, c.after)
			if !errors.Is(err, compare.ErrDifferent) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want %q", err, c.why)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	before, after := runs("loss", 1, 2, 3, 4, 5), runs("loss", 1, 2, 3, 4, 5)
	got, err := compare.Compare(before, after)
	if err != nil || len(got.Notes) != 0 {
		t.Errorf("%v, notes %q", err, got.Notes)
	}
	before[0].Verdict = result.Invalid
	before[1].Run.Machine.Kernel = "another"
	after[0].Run.Version = "another"
	got, err = compare.Compare(before, after[:3])
	if err != nil || len(got.Notes) != 4 || got.Before.Runs != 4 || got.Before.Passed != 4 || got.After.Runs != 3 {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestTable(t *testing.T) {
	before, after := runs("p99_delay", 0.0011, 0.0012, 0.0013), runs("p99_delay", 0.0021, 0.0022, 0.0023)
	for i := range before {
		before[i].Server.RSSPerson, after[i].Server.RSSPerson = 1<<20, 1<<20
	}
	c, err := compare.Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := c.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `visit: medians (and ranges) of repeated runs

                     before: bedside v1, 3 runs, 3 passed  after: bedside v1, 3 runs, 3 passed  change   
p99_delay            1.2ms (1.1ms to 1.3ms)                2.2ms (2.1ms to 2.3ms)               +83.3 %  worse
rss_per_participant  1024 KiB                              1024 KiB                             +0.0 %   within noise

Note: with 3 against 3 runs, only ranges that do not touch count as a change, and of single runs nothing is said: make 4 or more of each, interleaved.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func FuzzCompare(f *testing.F) {
	seed := func(v float64) string {
		b, err := json.Marshal(runs("loss", v)[0])
		if err != nil {
			f.Fatal(err)
		}
		return string(b)
	}
	f.Add(seed(0.1), seed(0.2), 4)
	f.Add(seed(-1), seed(1e308), 2)
	f.Add(`{"schema":"bedside-bench/1"}`, `{"schema":"bedside-bench/1","measurements":{"loss":-1e308}}`, 7)
	f.Fuzz(func(t *testing.T, a, b string, n int) {
		one, err := result.Read(strings.NewReader(a))
		if err != nil {
			return
		}
		two, err := result.Read(strings.NewReader(b))
		if err != nil {
			return
		}
		var before, after []result.Result
		for range max(1, min(n, 8)) {
			before, after = append(before, one), append(after, two)
		}
		c, err := compare.Compare(before, after)
		if err != nil {
			return
		}
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("cannot be written: %v", err)
		}
		for _, fig := range c.Figures {
			if fig.P != nil && (*fig.P <= 0 || *fig.P > 1.000001) {
				t.Errorf("p %v", *fig.P)
			}
		}
	})
}
