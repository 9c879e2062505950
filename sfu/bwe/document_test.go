package bwe_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/bandwidth.md and its plots anew")

const (
	documentPath = "../../docs/bandwidth.md"
	plots        = "../../docs/images/bandwidth"
	tableBegins  = "<!-- begin: go test ./sfu/bwe -run RFC8867 -update -->\n"
	tableEnds    = "<!-- end -->\n"
)

// compareTable compares the table in docs/bandwidth.md with what the committed seeds give. Elsewhere
// than on amd64 the compiler fuses operations, and the last digit is another.
func compareTable(t *testing.T, rows string) {
	t.Helper()
	if os.Getenv("SOAK") != "" || raceEnabled || runtime.GOARCH != "amd64" || strings.Count(rows, "images/bandwidth") < len(cases()) {
		return
	}
	b, err := os.ReadFile(documentPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), tableBegins)
	was, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		t.Fatal("docs/bandwidth.md has no place for the table")
	}
	table := "\n| case | figure | worst of the seeds | bar | |\n|---|---|---|---|---|\n" + rows + "\n"
	if *update {
		if err := os.WriteFile(documentPath, []byte(before+tableBegins+table+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was != table {
		t.Error("docs/bandwidth.md is not what the tests give: go test ./sfu/bwe -run RFC8867 -update")
	}
}

// writeRows writes the worst of each figure of a case.
func writeRows(b *strings.Builder, c aCase, worst []figure) {
	for i, f := range worst {
		name, bar, verdict := "", "none", ""
		if i == 0 {
			name = fmt.Sprintf("[%s](images/bandwidth/%s.svg) %s", c.name, c.name, c.title)
		}
		if f.bar != 0 {
			bar, verdict = "≥ "+number(f.bar), "met"
			if f.most {
				bar = "≤ " + number(f.bar)
			}
			if !f.met() {
				verdict = "**missed**"
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", name, f.name, strings.TrimSpace(number(f.value)+" "+f.unit), bar, verdict)
	}
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 0):
		return "never"
	case v >= 20:
		return fmt.Sprintf("%.0f", v)
	}
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}

// plot draws the capacity, the estimates and the queueing delay of a run, two points a second.
func plot(t *testing.T, c aCase, o outcome) {
	const width, height, below = 760.0, 220.0, 90.0
	seconds := float64(len(o.flows[0].rates)) / 10
	most := 0.0
	for _, s := range o.capacity {
		most = max(most, float64(s.rate)*1.15)
	}
	x := func(s float64) float64 { return 40 + width*s/seconds }
	y := func(v float64) float64 { return 10 + height*(1-min(v/most, 1)) }
	z := func(q float64) float64 { return 20 + height + below*(1-min(q/0.3, 1)) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 810 350" font-family="sans-serif" font-size="11">`+"\n")
	fmt.Fprintf(&b, `<title>%s: %s. Above: estimates and capacity in Mbit/s; below: queueing delay, 0 to 300 ms</title>`+"\n", c.name, c.title)
	fmt.Fprintf(&b, `<rect width="810" height="350" fill="#fff"/><path d="M40 10V%.0fH800M40 %.0fV%.0fH800" fill="none" stroke="#888"/>`+"\n",
		10+height, 20+height, 20+height+below)
	for _, v := range []float64{0.5e6, 1e6, 2e6, 3e6, 4e6} {
		if v < most {
			fmt.Fprintf(&b, `<text x="8" y="%.0f">%g M</text>`, y(v)+4, v/1e6)
		}
	}
	fmt.Fprintf(&b, `<text x="2" y="%.0f">300 ms</text><text x="780" y="345">%.0f s</text>`+"\n", 24+height, seconds)
	path := ""
	for i, s := range o.capacity {
		until := seconds
		if i+1 < len(o.capacity) {
			until = o.capacity[i+1].at.Seconds()
		}
		path += fmt.Sprintf("%s%.0f %.0fH%.0f", []string{"M", "L"}[min(i, 1)], x(s.at.Seconds()), y(float64(s.rate)), x(until))
	}
	fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="#222" stroke-dasharray="5 3"/>`+"\n", path)
	colours := []string{"#0b6", "#06c", "#c40", "#909", "#880"}
	for i, m := range o.flows {
		rate, queue := "", ""
		for k := 0; k+5 <= len(m.rates); k += 5 {
			at := time.Duration(k) * 100 * time.Millisecond
			rate += fmt.Sprintf(" %.0f,%.0f", x(at.Seconds()), y(float64(m.rates[k])))
			if k+5 <= len(m.queueN) {
				worst := 0.0
				for j := k; j < k+5; j++ {
					worst = max(worst, m.queueSum[j]/float64(max(m.queueN[j], 1)))
				}
				queue += fmt.Sprintf(" %.0f,%.0f", x(at.Seconds()), z(worst))
			}
		}
		for _, p := range []string{rate, queue} {
			fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s"/>`+"\n", strings.TrimSpace(p), colours[i%len(colours)])
		}
	}
	b.WriteString("</svg>\n")
	if err := os.MkdirAll(plots, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(plots, c.name+".svg"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
