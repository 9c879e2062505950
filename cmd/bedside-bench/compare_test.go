package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/bench/compare"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/cmd/internal/command"
)

// results writes a file for each delay.
func results(t *testing.T, dir, side string, hash string, delays ...float64) []string {
	t.Helper()
	var names []string
	for i, d := range delays {
		r := result.Result{Schema: result.Schema, Verdict: result.Pass, Scenario: result.Scenario{Name: "visit", Hash: hash}, Measurements: map[string]float64{"p99_delay": d}}
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, side+string(rune('0'+i))+".json")
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	before := results(t, dir, "before", "1", 0.004, 0.0041, 0.0042, 0.0043)
	after := results(t, dir, "after", "1", 0.002, 0.0021, 0.0022, 0.0023)
	other := results(t, dir, "other", "2", 0.002)
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("p99 is fine"), 0o600); err != nil {
		t.Fatal(err)
	}
	line := func(parts ...[]string) []string {
		out := []string{"compare"}
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	with := []string{"--with"}
	for _, c := range []struct {
		name     string
		args     []string
		code     int
		out, err string
	}{
		{"table", line(before, with, after), command.ExitFine, "better (p 0.029)", ""},
		{"json", line(before, with, after, []string{"--json"}), command.ExitFine, `"judgement": "better"`, ""},
		{"help", line([]string{"--help"}), command.ExitFine, "BEFORE.json", ""},
		{"one side", line(before), command.ExitUsage, "", "name the results before, then --with and those after"},
		{"nothing after", line(before, with), command.ExitUsage, "", "name the results before"},
		{"another load", line(before, with, other), command.ExitUsage, "", "different loads"},
		{"no result", line(before, with, []string{text}), command.ExitUsage, "", text + ": result: not a result of schema bedside-bench/1"},
		{"no file", line(before, with, []string{text + "2"}), command.ExitUsage, "", "no such file"},
		{"unknown flag", line(before, []string{"--html"}), command.ExitUsage, "", "unknown flag --html"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), world{in: strings.NewReader(""), out: &out, errs: &errs}, c.args)
			if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.err) {
				t.Errorf("exit %d\n%s\n%s\nwant %d, %q, %q", code, out.String(), errs.String(), c.code, c.out, c.err)
			}
		})
	}
	var out, errs bytes.Buffer
	run(t.Context(), world{out: &out, errs: &errs}, line(before, with, after, []string{"--json"}))
	var got compare.Comparison
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Schema != compare.Schema || len(got.Figures) != 1 {
		t.Errorf("%v: %+v", err, got)
	}
}
