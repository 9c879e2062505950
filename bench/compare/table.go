package compare

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/bedside-video/bedside/bench/scenario"
)

// WriteTable writes a Comparison for people.
func (c Comparison) WriteTable(w io.Writer) error {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s: medians (and ranges) of repeated runs\n\n", c.Scenario)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "\tbefore: %s, %s\tafter: %s, %s\tchange\t\n", c.Before.Target, c.Before.runs(), c.After.Target, c.After.runs())
	for _, f := range c.Figures {
		change := "–"
		if f.Change != nil {
			change = fmt.Sprintf("%+.1f %%", 100**f.Change)
		}
		judgement := string(f.Judgement)
		if f.P != nil {
			judgement += fmt.Sprintf(" (p %.3f)", *f.P)
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", f.Name, f.Before.text(f.Name), f.After.text(f.Name), change, judgement)
	}
	_ = t.Flush() // a strings.Builder takes everything
	for _, n := range c.Notes {
		_, _ = fmt.Fprintf(&b, "\nNote: %s.", n)
	}
	if len(c.Notes) > 0 {
		b.WriteByte('\n')
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	return nil
}

func (s Side) runs() string {
	if s.Runs == 1 {
		return fmt.Sprintf("1 run, %d passed", s.Passed)
	}
	return fmt.Sprintf("%d runs, %d passed", s.Runs, s.Passed)
}

// text writes a Spread with the figure's unit.
func (s Spread) text(name string) string {
	format := func(v float64) string {
		if name == memory {
			return fmt.Sprintf("%.0f KiB", v/1024)
		}
		return scenario.Format(name, v)
	}
	switch {
	case s.Runs == 0:
		return "–"
	case s.Min == s.Max:
		return format(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", format(s.Median), format(s.Min), format(s.Max))
}
