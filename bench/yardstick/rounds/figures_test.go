package main

import (
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/result"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}}, {[]float64{3}, spread{3, 3, 3}}, {[]float64{4, 1, 2}, spread{2, 1, 4}}, {[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

// ofRun is the result of a run of 20 s.
func ofRun(cpu time.Duration, packets, lost uint64, p99 time.Duration) result.Result {
	return result.Result{
		Delay: result.Distribution{P50: result.Duration(time.Millisecond), P99: result.Duration(p99)},
		// The server's own count is not what is divided by.
		Server:   result.Server{CPU: result.Duration(cpu), Forwarded: 1, CPUPacket: result.Duration(cpu), RSSBefore: 10_000_000, RSSEnd: 90_000_000},
		Scenario: result.Scenario{Participants: 40}, Traffic: result.Traffic{Packets: packets, Lost: lost, Rate: float64(packets) / 20}, Generator: result.Generator{CPUShare: 0.4},
	}
}

func TestTable(t *testing.T) {
	invalid := ofRun(time.Second, 100_000, 0, time.Millisecond)
	invalid.Generator.Invalid = []string{"starved"}
	invalid.Joins = result.Joins{Attempts: 5, Failed: 2}
	rows := []row{
		{"a", "bedside", []figures{read(ofRun(time.Second, 100_000, 0, 2*time.Millisecond)), read(ofRun(3*time.Second, 100_000, 0, 2*time.Millisecond)), read(ofRun(time.Second, 100_000, 0, 2*time.Millisecond))}},
		{"a", "plainpion", []figures{read(ofRun(2*time.Second, 100_000, 0, 4*time.Millisecond)), read(ofRun(6*time.Second, 100_000, 0, 4*time.Millisecond)), read(invalid)}},
		{"b", "floor", []figures{read(ofRun(time.Second, 99_000, 1000, 4*time.Millisecond))}},
	}
	var b strings.Builder
	if err := table(&b, rows); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, want := range [][]string{
		2: {"a", "bedside", "5000 (5000-5000)", "10000 (10000-30000)", "0.50 (0.50-1.00)", "1.00 (1.00-1.00)", "2.00 (2.00-2.00)", "0.50 (0.50-2.00)", "0.000 (0.000-0.000)", "2.00 (2.00-2.00)", "40 (40-40)"},
		3: {"a", "plainpion", "5000 (5000-5000)", "20000 (10000-60000)", "1.00 (1.00-1.00)"},
		4: {"b", "floor", "4950 (4950-4950)", "10101 (10101-10101)", "", "1.00 (1.00-1.00)", "4.00 (4.00-4.00)", "", "1.000 (1.000-1.000)"},
	} {
		cells := strings.Split(lines[i], "|")
		for k, cell := range want {
			if got := strings.TrimSpace(cells[k+1]); got != cell {
				t.Errorf("line %d, cell %d: %q, want %q", i, k, got, cell)
			}
		}
	}
	if want := "INVALID: a, plainpion: 1 of 3 rounds: starved; 2 of 5 joins failed"; len(lines) != 6 || lines[5] != want {
		t.Errorf("%d lines, the last is %q, want %q", len(lines), lines[len(lines)-1], want)
	}
}

// TestPriceOfRecording compares round by round: the second, slow for both, says nothing about recording.
func TestPriceOfRecording(t *testing.T) {
	rounds := func(factor float64, more time.Duration) (out []figures) {
		for _, slow := range []float64{1, 3, 1} {
			out = append(out, read(ofRun(time.Duration(slow*factor*float64(time.Second)), 100_000, 0, time.Duration(slow)*time.Millisecond+more)))
		}
		return out
	}
	for _, tt := range []struct {
		factor float64
		more   time.Duration
		want   string
	}{
		{1.1, 50 * time.Microsecond, "a: recording everybody costs 1.10 (1.10-1.10) of the processor time and adds 0.05 (0.05-0.05) ms to p99 (wanted: 1.15, 0.1 ms; kept)\n"},
		{1.2, 0, "a: recording everybody costs 1.20 (1.20-1.20) of the processor time and adds 0.00 (0.00-0.00) ms to p99 (wanted: 1.15, 0.1 ms; MISSED)\n"},
		{1, 200 * time.Microsecond, "a: recording everybody costs 1.00 (1.00-1.00) of the processor time and adds 0.20 (0.20-0.20) ms to p99 (wanted: 1.15, 0.1 ms; MISSED)\n"},
	} {
		var b strings.Builder
		if err := priceOfRecording(&b, []row{{"a", bedside, rounds(1, 0)}, {"a", recording, rounds(tt.factor, tt.more)}}); err != nil || b.String() != tt.want {
			t.Errorf("%q, %v, want %q", b.String(), err, tt.want)
		}
	}
	var b strings.Builder
	if err := priceOfRecording(&b, []row{{"a", recording, rounds(1, 0)}}); err != nil || b.String() != "" {
		t.Errorf("without Bedside itself: %q, %v", b.String(), err)
	}
}

func TestNothingMeasured(t *testing.T) {
	if f := read(result.Result{}); len(f.faults) != 1 {
		t.Errorf("%+v", f)
	}
}

func TestParse(t *testing.T) {
	if o, err := parse(nil); err != nil || o.rounds != 5 || len(o.shapes) != 4 || len(o.servers) != 4 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range []string{"-shapes z", "-servers janus", "-rounds 0", "-knee 3", "-knee -1", "more"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
}
