package report_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/bench/report"
	"github.com/bedside-video/bedside/bench/result"
)

// example is the result that package result has as its golden file.
func example(t *testing.T) result.Result {
	t.Helper()
	f, err := os.Open("../result/testdata/visit.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, err := result.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func render(t *testing.T, r result.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// body is the page without what is the same in all.
func body(page string) string {
	_, page, _ = strings.Cut(page, "<body>")
	page, _, _ = strings.Cut(page, `<script type="application/json"`)
	return page
}

func TestPageSaysWhatTheResultSays(t *testing.T) {
	page := body(render(t, example(t)))
	for _, want := range []string{
		`<span class="badge fail">fail</span> visit`, "<li>loss is 1.005%, at most 0.5% was wanted</li>",
		`<th scope="row">fps</th><td>≥ 20</td><td>24</td><td class="met">met</td>`, `<td>≤ 0.5%</td><td>1.005%</td><td class="missed">missed</td>`,
		"2 of 2", "25 µs", "patient of doctor, camera, pinned", "bedside-bench run visit.yaml", "seed 1", "room 0: patient (patient)",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestPageAsksNobodyForAnything(t *testing.T) {
	page := render(t, example(t))
	// What loads: attributes with an address, url() and @import, and the script's means.
	if found := regexp.MustCompile(`(?i)(\s(src|href|action|srcset)\s*=)|url\(|@import|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|\bimport\(`).FindString(page); found != "" {
		t.Errorf("the page has %q", found)
	}
	if !strings.Contains(page, `content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"`) {
		t.Error("the page's policy would let it ask")
	}
	if !strings.Contains(page, "Permission is hereby granted") || !strings.Contains(page, "v1.6.32") {
		t.Error("the page has uPlot without its licence or version")
	}
}

func TestHostileNames(t *testing.T) {
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)>"'` + "`" + `{{.}}\u2028<!--`
	r := example(t)
	plain := strings.Count(render(t, r), "<script")
	r.Scenario.Name, r.Scenario.Purpose, r.Scenario.Hash = evil, evil, evil
	r.Verdict, r.Reasons, r.Violations = result.Verdict(evil), []string{evil}, []string{evil}
	r.Run.Command, r.Run.Version = []string{evil, evil}, evil
	r.Run.Target = result.Target{Kind: evil, URL: "javascript:" + evil, Version: evil}
	r.Run.Machine = result.Machine{OS: evil, Kernel: evil, CPU: evil, Go: evil}
	r.Objectives[0] = result.Objective{Name: evil, Outcome: evil, Text: evil}
	r.Joins.Phases[0].Name, r.Joins.Errors, r.Joins.Refused = evil, []result.Count{{What: evil, Times: 1}}, []result.Count{{What: evil, Times: 1}}
	r.Participants[1].Ref, r.Participants[1].Role = evil, evil
	r.Subscriptions[0].By, r.Subscriptions[0].Of, r.Subscriptions[0].Source = evil, evil, evil
	r.Server.Source = evil
	page := render(t, r)
	if n := strings.Count(page, "<script"); n != plain {
		t.Errorf("%d script elements, want %d", n, plain)
	}
	if strings.Contains(page, "<img") || strings.Contains(body(page), "<!--") {
		t.Error("markup came through")
	}
}

func TestEmptyResult(t *testing.T) {
	page := body(render(t, result.Result{Schema: result.Schema, Verdict: result.Invalid, Reasons: []string{"invalid: interrupted before the end"}}))
	for _, want := range []string{"invalid: interrupted", "The scenario has none.", "Nothing was received."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "NaN") {
		t.Error("NaN is no figure")
	}
}
