package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bedside-video/bedside/bench/result"
)

// figures are what one run says of one server under one load.
type figures struct {
	rate     float64       // packets a second that clients received
	cpu      time.Duration // of the server, for one packet that a client received
	p50, p99 time.Duration // delay
	loss     float64       // 0 to 1
	rss      float64       // bytes a participant
	own      float64       // share of its core that the generator used
	faults   []string      // why the run proves nothing
}

// read takes the figures out of a result.
func read(r result.Result) figures {
	f := figures{
		rate: r.Traffic.Rate,
		p50:  time.Duration(r.Delay.P50), p99: time.Duration(r.Delay.P99), own: r.Generator.CPUShare,
		faults: slices.Clone(r.Generator.Invalid),
	}
	// What the server says that it forwarded is not asked: all servers are divided by the same packets.
	if r.Traffic.Packets > 0 {
		f.cpu = time.Duration(uint64(r.Server.CPU) / r.Traffic.Packets)
		f.loss = float64(r.Traffic.Lost) / float64(r.Traffic.Packets+r.Traffic.Lost)
	}
	if f.cpu == 0 {
		f.faults = append(f.faults, "the server's processor time was not measured")
	}
	if s := r.Server; s.RSSEnd > s.RSSBefore && r.Scenario.Participants > 0 {
		f.rss = float64(s.RSSEnd-s.RSSBefore) / float64(r.Scenario.Participants)
	}
	if r.Joins.Failed > 0 {
		f.faults = append(f.faults, fmt.Sprintf("%d of %d joins failed", r.Joins.Failed, r.Joins.Attempts))
	}
	if r.Interrupted {
		f.faults = append(f.faults, "interrupted")
	}
	return f
}

// spread is the median of some values with the smallest and the largest.
type spread struct{ median, least, most float64 }

// spreadOf sorts the values.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	n := len(values)
	return spread{median: (values[(n-1)/2] + values[n/2]) / 2, least: values[0], most: values[n-1]}
}

// write writes a spread with so many decimals, divided by unit.
func (s spread) write(unit float64, decimals int) string {
	return fmt.Sprintf("%.*f (%.*f-%.*f)", decimals, s.median/unit, decimals, s.least/unit, decimals, s.most/unit)
}

// row is what became of one server under one load, over all rounds.
type row struct {
	shape, server string
	rounds        []figures // of the same index: of the same round
}

func (r row) over(of func(figures) float64) spread {
	var values []float64
	for _, f := range r.rounds {
		values = append(values, of(f))
	}
	return spreadOf(values)
}

// ratio is the spread of a figure divided by that of another server in the same round, so that what
// slows a machine down for a while weighs on both sides.
func (r row) ratio(to row, of func(figures) float64) spread {
	var values []float64
	for i := range min(len(r.rounds), len(to.rounds)) {
		if base := of(to.rounds[i]); base > 0 {
			values = append(values, of(r.rounds[i])/base)
		}
	}
	return spreadOf(values)
}

// faults counts why rounds prove nothing.
func (r row) faults() (n int, first string) {
	for _, f := range r.rounds {
		if len(f.faults) > 0 {
			if n++; first == "" {
				first = strings.Join(f.faults, "; ")
			}
		}
	}
	return n, first
}

// table writes all rows: medians, with the smallest and the largest.
func table(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	line := func(cells ...string) { fmt.Fprintln(t, "| "+strings.Join(cells, "\t| ")+"\t|") }
	line("shape", "server", "packets/s", "CPU ns/packet", "of "+yardstick, "p50 ms", "p99 ms", "p99 of "+yardstick, "loss %", "RSS MB/person", "generator %")
	line("---", "---", "---", "---", "---", "---", "---", "---", "---", "---", "---")
	cpu := func(f figures) float64 { return float64(f.cpu) }
	p99 := func(f figures) float64 { return float64(f.p99) }
	for _, r := range rows {
		share, delay := "", ""
		if i := slices.IndexFunc(rows, func(o row) bool { return o.shape == r.shape && o.server == yardstick }); i >= 0 {
			share, delay = r.ratio(rows[i], cpu).write(1, 2), r.ratio(rows[i], p99).write(1, 2)
		}
		const ms = float64(time.Millisecond)
		line(r.shape, r.server, r.over(func(f figures) float64 { return f.rate }).write(1, 0), r.over(cpu).write(1, 0), share,
			r.over(func(f figures) float64 { return float64(f.p50) }).write(ms, 2), r.over(p99).write(ms, 2), delay,
			r.over(func(f figures) float64 { return f.loss }).write(0.01, 3),
			r.over(func(f figures) float64 { return f.rss }).write(1e6, 2),
			r.over(func(f figures) float64 { return f.own }).write(0.01, 0))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := priceOfRecording(w, rows); err != nil {
		return err
	}
	for _, r := range rows {
		if n, why := r.faults(); n > 0 {
			if _, err := fmt.Fprintf(w, "INVALID: %s, %s: %d of %d rounds: %s\n", r.shape, r.server, n, len(r.rounds), why); err != nil {
				return err
			}
		}
	}
	return nil
}

// What recording everybody may add (issue 8): of processor time, and to the 99th percentile of the delay.
const (
	recordingCPU   = 0.15
	recordingDelay = 100 * time.Microsecond
)

// priceOfRecording says what recording everybody adds, in the same rounds.
func priceOfRecording(w io.Writer, rows []row) error {
	for _, r := range rows {
		i := slices.IndexFunc(rows, func(o row) bool { return o.shape == r.shape && o.server == bedside })
		if r.server != recording || i < 0 {
			continue
		}
		cpu := r.ratio(rows[i], func(f figures) float64 { return float64(f.cpu) })
		var more []float64
		for k := range min(len(r.rounds), len(rows[i].rounds)) {
			more = append(more, float64(r.rounds[k].p99-rows[i].rounds[k].p99))
		}
		delay := spreadOf(more)
		verdict := "kept"
		if cpu.median > 1+recordingCPU || delay.median > float64(recordingDelay) {
			verdict = "MISSED"
		}
		if _, err := fmt.Fprintf(w, "%s: recording everybody costs %s of the processor time and adds %s ms to p99 (wanted: %.2f, %.1f ms; %s)\n", r.shape,
			cpu.write(1, 2), delay.write(float64(time.Millisecond), 2), 1+recordingCPU, recordingDelay.Seconds()*1000, verdict); err != nil {
			return err
		}
	}
	return nil
}
