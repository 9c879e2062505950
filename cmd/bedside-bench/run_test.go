package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/load"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/cmd/internal/command"
)

const tiny = `name: tiny
purpose: two people for two seconds
hold: 2s
people:
  - {ref: doctor, role: clinician, mic: continuous}
  - {ref: patient, role: patient, lobby: 200ms, mic: continuous}
objectives: {join_failures: 0, %s}
`

// file writes a file for one test and returns its name.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunUsage(t *testing.T) {
	good := file(t, "good.yaml", strings.ReplaceAll(tiny, "%s", "loss: 0%"))
	bad := file(t, "bad.yaml", strings.Replace(strings.ReplaceAll(tiny, "%s", "loss: 0%"), "hold: 2s\n", "hold: 2s\nholt: 3s\n", 1))
	key, keys := file(t, "key", "bedside_secret\n"), file(t, "keys", "bedside_secret\nanother\n")
	t.Setenv(keyVariable, "")
	for _, tt := range []struct {
		name string
		args []string
		errs string
	}{
		{"no scenario", []string{"run", "--local"}, "accepts 1 arg(s)"},
		{"no such scenario", []string{"run", "consultt", "--local"}, "no file consultt, and no shipped scenario of that name: there are care-team, churn, consult, hospital-firewall, poor-patient"},
		{"a mistake in it", []string{"run", bad, "--local"}, "bad.yaml:4:1: unknown key \"holt\""},
		{"no target", []string{"run", good}, "either --local or --url"},
		{"two targets", []string{"run", good, "--local", "--url", "https://x.example"}, "either --local or --url"},
		{"no key", []string{"run", good, "--url", "https://x.example"}, "--api-key-file, or the environment variable BEDSIDE_API_KEY"},
		{"no key file", []string{"run", good, "--url", "https://x.example", "--api-key-file", good + "x"}, "no such file"},
		{"two keys", []string{"run", good, "--url", "https://x.example", "--api-key-file", keys}, "does not hold one key"},
		{"key without TLS", []string{"run", good, "--url", "http://x.example", "--api-key-file", key}, "not an https:// URL"},
		{"no URL", []string{"run", good, "--url", "x.example", "--api-key-file", key}, `--url: "x.example" is not the URL of a server`},
		{"key with local", []string{"run", good, "--local", "--api-key-file", key}, "leave --api-key-file"},
		{"server with URL", []string{"run", good, "--url", "https://x.example", "--server-cpus", "0"}, "are for --local"},
		{"CPUs", []string{"run", good, "--local", "--own-cpus", "0-x"}, `--own-cpus: "0-x" is not a list of CPUs`},
		{"recording by WHIP", []string{"run", good, "--target", "whip", "--url", "http://x.example", "--record"}, "records nobody"},
		{"recording unseen", []string{"run", good, "--url", "https://x.example", "--record"}, "--record needs --metrics-url"},
		{"share", []string{"run", good, "--local", "--verify", "2"}, "--verify: a share is between 0 and 1"},
		{"output", []string{"run", good, "--local", "--json", filepath.Join(good, "x.json")}, "x.json: not a directory"},
		{"target", []string{"run", good, "--target", "janus", "--url", "http://x.example"}, `--target: "janus" is neither`},
		{"WHIP with local", []string{"run", good, "--target", "whip", "--local"}, "leave --local"},
		{"WHIP without URL", []string{"run", good, "--target", "whip"}, "either --local or --url"},
		{"PID with local", []string{"run", good, "--local", "--server-pid", "1"}, "--server-pid is for"},
		{"seed", []string{"run", good, "--local", "--seed", "-1"}, "invalid argument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := runArgs(t, t.Context(), tt.args...)
			if code != command.ExitUsage || !strings.Contains(errs, tt.errs) || out != "" || strings.Contains(errs, "bedside_secret") {
				t.Errorf("exit %d, %q, %q; want %d, %q", code, out, errs, command.ExitUsage, tt.errs)
			}
		})
	}
}

// A run against a server of its own ends with a summary, a document and the right exit code, and leaves
// nothing behind. What the machine does besides may make it invalid: that is said, too.
func TestRunLocal(t *testing.T) {
	binary, remove, err := load.FindBinary(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remove() }()
	t.Setenv("TMPDIR", t.TempDir())
	for _, tt := range []struct{ name, objective, verdict, reason string }{
		{"met", "loss: 100%", "pass", "join_failures is 0"},
		{"missed", "p50_delay: 0s", "fail", "missed  p50_delay is "},
	} {
		scenario, result := file(t, "tiny.yaml", strings.ReplaceAll(tiny, "%s", tt.objective)), filepath.Join(t.TempDir(), "result.json")
		page := filepath.Join(t.TempDir(), "report.html")
		code, out, errs := runArgs(t, t.Context(), "run", scenario, "--local", "--bedside", binary, "--json", result, "--html", page, "--seed", "7")
		text, err := os.ReadFile(result)
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, out, errs)
		}
		if html, err := os.ReadFile(page); err != nil || !bytes.Contains(html, []byte("</html>")) {
			t.Errorf("%s: page of %d bytes, %v", tt.name, len(html), err)
		}
		var got struct {
			Schema, Verdict string
			Scenario        struct{ Seed int }
			Run             struct{ Command []string }
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Schema != "bedside-bench/1" || got.Scenario.Seed != 7 || len(got.Run.Command) < 2 || got.Run.Command[1] != "run" {
			t.Errorf("%s: document %+v", tt.name, got)
		}
		if got.Verdict != tt.verdict && got.Verdict != "invalid" {
			t.Errorf("%s: verdict %s, want %s", tt.name, got.Verdict, tt.verdict)
		}
		if want := map[string]int{"pass": command.ExitFine}[got.Verdict]; (code == command.ExitFine) != (got.Verdict == "pass") || code != command.ExitFine && code != command.ExitFailed {
			t.Errorf("%s: exit %d with %s, want %d", tt.name, code, got.Verdict, want)
		}
		for _, want := range []string{"tiny: " + got.Verdict, tt.reason, "joins ", "generator ", "report  "} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, out)
			}
		}
		if (got.Verdict == "pass") != (errs[strings.LastIndex(strings.TrimSpace(errs), "\n")+1:] == "tiny: closing\n") {
			t.Errorf("%s: standard error ends with another line:\n%s", tt.name, errs)
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "bedside-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Ctrl+C while the rooms are full ends the run in order: what was measured is written and marked, and the
// server is gone.
func TestRunInterrupted(t *testing.T) {
	binary, remove, err := load.FindBinary(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remove() }()
	t.Setenv("TMPDIR", t.TempDir())
	scenario := file(t, "tiny.yaml", strings.ReplaceAll(strings.Replace(tiny, "hold: 2s", "hold: 1h", 1), "%s", "loss: 0%"))
	result := filepath.Join(t.TempDir(), "result.json")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	errs := &interrupter{at: "hold", do: cancel}
	var out bytes.Buffer
	code := run(ctx, world{in: strings.NewReader(""), out: &out, errs: errs}, []string{"run", scenario, "--local", "--bedside", binary, "--json", result})
	text, err := os.ReadFile(result)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.text.String())
	}
	if code != command.ExitFailed || !strings.Contains(errs.text.String(), "bedside-bench: invalid: ") || !strings.Contains(string(text), `"interrupted":true`) {
		t.Errorf("exit %d\n%s\n%.400s", code, errs.text.String(), text)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "bedside-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// interrupter is standard error; it interrupts when it reads a word.
type interrupter struct {
	text bytes.Buffer
	at   string
	do   func()
}

// Write implements io.Writer.
func (i *interrupter) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(i.at)) {
		i.do()
	}
	return i.text.Write(b)
}

// A run that cannot start exits with 1, leaves no file behind and does not show the key.
func TestRunCannotStart(t *testing.T) {
	scenario := file(t, "tiny.yaml", strings.ReplaceAll(tiny, "%s", "loss: 0%"))
	result := filepath.Join(t.TempDir(), "result.json")
	t.Setenv(keyVariable, "bedside_secret")
	code, out, errs := runArgs(t, t.Context(), "run", scenario, "--url", "http://127.0.0.1:1", "--json", result)
	if code != command.ExitFailed || out != "" || !strings.Contains(errs, "connection refused") || strings.Contains(errs, "secret") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	if _, err := os.Stat(result); !os.IsNotExist(err) {
		t.Errorf("a result is there: %v", err)
	}
}

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]string{"": "null", "0": "[0]", "3,0-1,1": "[0,1,3]", "2-1": "", "-1": "", "0,": "", "4096": "", "a": ""} {
		got, err := parseCPUs(text)
		b, _ := json.Marshal(got)
		if (err == nil) != (want != "") || err == nil && string(b) != want {
			t.Errorf("%q: %s, %v", text, b, err)
		}
	}
}

func TestProgressLine(t *testing.T) {
	for want, p := range map[string]load.Progress{
		"x: opening the rooms of 4 people": {Phase: load.Opening, Planned: 4},
		"x: hold, 12s left, 3 of 4 people, 1234 packets/s, delay p99 1.2ms, 5 lost, 6 failures": {
			Phase: load.Holding, Left: 12 * time.Second, People: 3, Planned: 4, Packets: 1234.4, DelayP99: 1234 * time.Microsecond, Lost: 5, Failures: 6},
		"x: ramp, 1m0s left, 0 of 4 people, 0 packets/s, 0 lost, 0 failures": {Phase: load.Ramping, Left: time.Minute, Planned: 4},
		"x: closing": {Phase: load.Closing},
	} {
		if got := progressLine("x", p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestReason(t *testing.T) {
	for want, r := range map[string]result.Result{
		"pass": {Verdict: result.Pass},
		"fail: p99_delay is 1s, at most 5ms was wanted":               {Verdict: result.Fail, Reasons: []string{"p99_delay is 1s, at most 5ms was wanted"}},
		"invalid: the generator used 85 % of its 1 cores, and 2 more": {Verdict: result.Invalid, Reasons: []string{"invalid: the generator used 85 % of its 1 cores", "a", "b"}},
	} {
		if got := reason(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999: "999ns", 12_345: "12.3µs", 1_234_567: "1.23ms", 57_412_345: "57.4ms", 1_149_123_456: "1.15s", 71*time.Second + 12_345_678: "1m11s",
	} {
		if got := short(result.Duration(d)).String(); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}
