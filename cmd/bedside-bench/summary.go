package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bedside-video/bedside/bench/result"
)

// summarise says in some lines what a run came to.
func summarise(to io.Writer, r result.Result, files []string) {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "\n%s: %s\n\n", r.Scenario.Name, r.Verdict)
	for _, o := range r.Objectives {
		_, _ = fmt.Fprintf(t, "  %s\t%s\n", o.Outcome, o.Text)
	}
	if len(r.Objectives) > 0 {
		_, _ = fmt.Fprintln(t)
	}
	_, _ = fmt.Fprintf(t, "  joins\t%d, %d failed; p50 %v, p95 %v\n", r.Joins.Attempts, r.Joins.Failed, short(r.Joins.Took.P50), short(r.Joins.Took.P95))
	_, _ = fmt.Fprintf(t, "  delay\tp50 %v, p99 %v, p99.9 %v\n", short(r.Delay.P50), short(r.Delay.P99), short(r.Delay.P999))
	_, _ = fmt.Fprintf(t, "  received\t%d packets, %.0f/s; %d repaired, %d lost\n", r.Traffic.Packets, r.Traffic.Rate, r.Traffic.Repaired, r.Traffic.Lost)
	if r.Server.Source != "" {
		_, _ = fmt.Fprintf(t, "  server\t%v of CPU for a forwarded packet; %.0f MB\n", short(r.Server.CPUPacket), float64(r.Server.RSSEnd)/1e6)
	}
	_, _ = fmt.Fprintf(t, "  generator\t%.0f %% of %.3g cores; %v late (p99); %d actions late\n",
		r.Generator.CPUShare*100, r.Generator.Cores, short(r.Generator.LateP99), r.Generator.Actions)
	for _, c := range r.Joins.Errors {
		_, _ = fmt.Fprintf(t, "  join failed\t%d times: %s\n", c.Times, c.What)
	}
	for _, c := range r.Joins.Refused {
		_, _ = fmt.Fprintf(t, "  refused\t%d times: %s\n", c.Times, c.What)
	}
	for _, name := range files {
		_, _ = fmt.Fprintf(t, "  report\t%s\n", name)
	}
	_ = t.Flush()
}

// short is a duration with three or four digits.
func short(d result.Duration) time.Duration {
	v := time.Duration(d)
	for unit := time.Duration(1); unit < time.Hour; unit *= 10 {
		if v < 1000*unit {
			return v.Round(unit)
		}
	}
	return v
}

// reason says in a line why a run is no pass.
func reason(r result.Result) string {
	if len(r.Reasons) == 0 {
		return string(r.Verdict)
	}
	first := r.Reasons[0]
	if prefix := string(r.Verdict) + ": "; !strings.HasPrefix(first, prefix) {
		first = prefix + first
	}
	if n := len(r.Reasons) - 1; n > 0 {
		first += fmt.Sprintf(", and %d more", n)
	}
	return first
}
