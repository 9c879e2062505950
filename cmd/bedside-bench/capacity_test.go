package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/bench/load"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/cmd/internal/command"
)

func TestCapacityUsage(t *testing.T) {
	good := file(t, "good.yaml", strings.ReplaceAll(tiny, "%s", "loss: 0%"))
	tight := file(t, "tight.yaml", strings.Replace(strings.ReplaceAll(tiny, "%s", "loss: 0%"), "hold: 2s", "ramp: 2s\nhold: 2s\nrooms: {count: 1, arrival: every 1s}", 1))
	aimless := file(t, "aimless.yaml", tiny[:strings.Index(tiny, "objectives")])
	for _, tt := range []struct {
		name string
		args []string
		errs string
	}{
		{"no scenario", nil, "accepts 1 arg(s)"},
		{"no end", []string{good, "--local"}, "1 <= min <= max"},
		{"the wrong way round", []string{good, "--local", "--min", "3", "--max", "2"}, "1 <= min <= max"},
		{"of something else", []string{good, "--local", "--max", "2", "--of", "people"}, "only rooms can be searched for"},
		{"no objectives", []string{aimless, "--local", "--max", "2"}, "the scenario has no objectives"},
		{"no target", []string{good, "--max", "2"}, "either --local or --url"},
		{"rooms that do not fit", []string{tight, "--local", "--max", "9"}, "tight.yaml:5:8: the last of 9 rooms opens at 8s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := runArgs(t, t.Context(), append([]string{"capacity"}, tt.args...)...)
			if code != command.ExitUsage || !strings.Contains(errs, tt.errs) || out != "" {
				t.Errorf("exit %d, %q, %q; want %d, %q", code, out, errs, command.ExitUsage, tt.errs)
			}
		})
	}
}

// A search says each of its steps, and its document and exit code agree with what it found. What the
// machine does besides may end it early: that is said, too.
func TestCapacityLocal(t *testing.T) {
	binary, remove, err := load.FindBinary(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remove() }()
	t.Setenv("TMPDIR", t.TempDir())
	for _, tt := range []struct {
		objective string
		largest   int
	}{{"loss: 100%", 2}, {"p50_delay: 0s", 0}} {
		scenario := file(t, "tiny.yaml", strings.Replace(strings.ReplaceAll(tiny, "%s", tt.objective), "hold: 2s", "hold: 1s", 1))
		document := filepath.Join(t.TempDir(), "capacity.json")
		code, out, errs := runArgs(t, t.Context(), "capacity", scenario, "--local", "--bedside", binary, "--max", "2", "--json", document)
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, out, errs)
		}
		var got capacityReport
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Schema != capacitySchema || got.Largest != tt.largest && got.Limited == 0 {
			t.Errorf("%s: %+v", tt.objective, got)
		}
		if (code == command.ExitFine) != (got.Limited == 0 && got.Largest > 0) || !strings.Contains(out, "\ntiny: "+got.Says+"\n") {
			t.Errorf("%s: exit %d, %s", tt.objective, code, out)
		}
		if n := strings.Count(out, " rooms: "); n != len(got.Steps) || slices.ContainsFunc(got.Steps, func(s capacityStep) bool { return s.Participants != 2*s.Rooms }) {
			t.Errorf("%s: %d lines, %d steps\n%s", tt.objective, n, len(got.Steps), out)
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "bedside-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCapacityOutcome(t *testing.T) {
	var c capacityReport
	for verdict, want := range map[result.Verdict]load.Outcome{result.Pass: load.Passed, result.Fail: load.Failed, result.Invalid: load.Unsound} {
		if got := c.add(1, result.Result{Verdict: verdict}); got != want {
			t.Errorf("%s counts as %v, want %v", verdict, got, want)
		}
	}
	if len(c.Steps) != 3 {
		t.Errorf("%d steps", len(c.Steps))
	}
}
