package deploy_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// alert is one rule of prometheus-rules.yaml.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus-rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// exported is the set of metrics that a server in service has before anybody has joined, with their
// types. A histogram is one.
func exported(t *testing.T, r running) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for line := range strings.Lines(get(t, "http://"+r.metrics+"/metrics")) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" {
			found[f[2]] = f[3]
		}
	}
	return found
}

// named are the metrics that an expression or a text names.
func named(text string) []string {
	var list []string
	for _, name := range regexp.MustCompile(`\b(bedside|process|go)_[a-z][a-z_]*\b`).FindAllString(text, -1) {
		for _, part := range []string{"_bucket", "_sum", "_count"} { // of a histogram
			name = strings.TrimSuffix(name, part)
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// A metric that is written wrong in a rule is an alert that never fires, and nobody notices.
func TestMetrics(t *testing.T) {
	r := serve(t)
	metrics := exported(t, r)
	known := func(where, text string) {
		for _, name := range named(text) {
			if metrics[name] == "" {
				t.Errorf("%s names %s, which the server does not have", where, name)
			}
		}
	}
	for _, a := range alerts(t) {
		known("alert "+a.Alert, a.Expr)
	}
	var dashboard struct {
		Panels []struct {
			Title, Description, Type string
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana-dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	for _, p := range dashboard.Panels {
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %s has no description or shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			known("panel "+p.Title, target.Expr)
			for _, name := range named(target.Expr) {
				shown[name] = true
			}
		}
	}
	var bedsides []string
	for name := range metrics {
		if strings.HasPrefix(name, "bedside_") {
			bedsides = append(bedsides, name)
			if !shown[name] {
				t.Errorf("the dashboard does not show %s", name)
			}
		}
	}
	slices.Sort(bedsides)
	if written := writtenMetrics(t); !slices.Equal(bedsides, written) {
		t.Errorf("a fresh server has\n%s\nthe sources name\n%s\n(a vector without a first series does not exist: no alert sees its first event)",
			strings.Join(bedsides, "\n"), strings.Join(written, "\n"))
	}
	if explained := explainedMetrics(t); !slices.Equal(bedsides, explained) {
		t.Errorf("docs/operations.md explains\n%s\nthe server has\n%s", strings.Join(explained, "\n"), strings.Join(bedsides, "\n"))
	}
	t.Logf("figure: %d metrics, %d alerts, each metric in the table and on the dashboard", len(bedsides), len(alerts(t)))

	want := fmt.Sprintf("bedside_certificate_not_after_seconds %g\n", float64(r.ends.Unix()))
	if text := get(t, "http://"+r.metrics+"/metrics"); !strings.Contains(text, want) {
		t.Errorf("no %q among the metrics", want)
	}
}

// writtenMetrics are those that the sources name.
func writtenMetrics(t *testing.T) []string {
	t.Helper()
	names := make(map[string]bool)
	for _, dir := range []string{"cmd", "sfu", "signaling", "turn", "recording"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, m := range regexp.MustCompile(`"(bedside_[a-z_]+)"`).FindAllStringSubmatch(read(t, path), -1) {
				names[m[1]] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// explainedMetrics are those with a row in the table of the manual.
func explainedMetrics(t *testing.T) []string {
	t.Helper()
	rows := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(bedside_[a-z_]+)").FindAllStringSubmatch(read(t, "../docs/operations.md"), -1) {
		if rows[m[1]] {
			t.Errorf("docs/operations.md explains %s twice", m[1])
		}
		rows[m[1]] = true
	}
	return slices.Sorted(maps.Keys(rows))
}

// Every alert leads to a paragraph that says what to do, and no paragraph is about an alert that is gone.
func TestRunbook(t *testing.T) {
	var want []string
	for _, a := range alerts(t) {
		want = append(want, a.Alert)
		if link := "docs/operations.md#" + strings.ToLower(a.Alert); a.Annotations["runbook"] != link {
			t.Errorf("%s leads to %q, want %q", a.Alert, a.Annotations["runbook"], link)
		}
		if s := a.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has severity %q", a.Alert, s)
		}
		if a.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", a.Alert)
		}
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^#### (Bedside\w+)\n\n\S`).FindAllStringSubmatch(read(t, "../docs/operations.md"), -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/operations.md is about\n%s\nthe alerts are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, a := range alerts(t) {
		if n := strings.Count(read(t, "prometheus-rules.test.yaml"), "\n      - alertname: "+a.Alert+"\n"); n != 1 {
			t.Errorf("%s fires in %d tests of prometheus-rules.test.yaml, want 1", a.Alert, n)
		}
		if !strings.Contains(read(t, "prometheus-rules.test.yaml"), "- {alertname: "+a.Alert+", ") {
			t.Errorf("no ordinary day without %s", a.Alert)
		}
	}
}

func TestRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if promtool, err = filepath.Abs("../.tools/promtool"); err != nil {
			t.Fatal(err)
		}
		if _, err := exec.LookPath(promtool); err != nil {
			t.Skip("SKIPPED: no promtool here: the alert rules are not run")
		}
	}
	for _, args := range [][]string{{"check", "rules", "prometheus-rules.yaml"}, {"test", "rules", "prometheus-rules.test.yaml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
