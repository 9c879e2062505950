// Package report makes one HTML page of a result: readable offline, on a phone and on paper, and asking
// nobody for anything. It is pure.
package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
)

// The page's parts. uPlot is https://github.com/leeoniya/uPlot 1.6.32 (MIT), as its npm package has it;
// its licence goes into every page with it.
//
//go:embed assets
var assets embed.FS

const worstShown = 20 // subscriptions in the table

// page is what the template sees.
type page struct {
	result.Result
	Style  template.CSS
	Script template.JS
	Plots  plots
	Worst  []result.Subscription
	Hidden int // subscriptions that the table leaves out
	Drawn  []drawn
}

// plots is what the script draws.
type plots struct {
	Curve        [][2]float64    `json:"curve"`
	Series       result.Series   `json:"series"`
	Participants []*result.Rates `json:"participants"`
}

// drawn is one participant who can be chosen.
type drawn struct {
	Index int
	Name  string
}

// Write writes the page of a result.
func Write(w io.Writer, r result.Result) error {
	t, err := template.New("page.html").Funcs(template.FuncMap{
		"figure": scenario.Format, "bound": bound, "time": seconds, "bytes": bytesOf, "percent": percent, "per": per, "title": title,
		"bits":  func(v float64) string { return number(v/1e6, 3) + " Mbit/s" },
		"num":   func(v float64) string { return number(v, 3) },
		"bar":   func(part, whole result.Duration) string { return number(100*float64(part)/float64(max(whole, 1)), 3) },
		"share": func(v float64) string { return number(100*v, 3) + " %" },
		"join":  func(parts []string) string { return strings.Join(parts, " ") },
	}).ParseFS(assets, "assets/page.html")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	p := page{Result: r, Worst: r.Subscriptions[:min(worstShown, len(r.Subscriptions))], Plots: plots{Curve: r.Delay.Curve, Series: r.Series}}
	p.Hidden = len(r.Subscriptions) - len(p.Worst) + r.Omitted
	for _, one := range r.Participants {
		if one.Series != nil {
			p.Drawn = append(p.Drawn, drawn{len(p.Drawn), fmt.Sprintf("room %d: %s (%s)", one.Room, one.Ref, one.Role)})
			p.Plots.Participants = append(p.Plots.Participants, one.Series)
		}
	}
	licence, err := text("uplot/LICENSE")
	if err != nil {
		return err
	}
	style, err := text("uplot/uPlot.min.css", "page.css")
	if err != nil {
		return err
	}
	script, err := text("uplot/uPlot.iife.min.js", "page.js")
	if err != nil {
		return err
	}
	p.Style, p.Script = template.CSS(style), template.JS("/*\n"+licence+"*/\n"+script)
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// text joins assets.
func text(names ...string) (string, error) {
	var out strings.Builder
	for _, name := range names {
		b, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return "", fmt.Errorf("report: %w", err)
		}
		out.Write(b)
		out.WriteByte('\n')
	}
	return out.String(), nil
}

// bound says what an objective wants.
func bound(o result.Objective) string {
	if scenario.AtLeast(o.Name) {
		return "≥ " + scenario.Format(o.Name, o.Limit)
	}
	return "≤ " + scenario.Format(o.Name, o.Limit)
}

// seconds writes a duration with three digits, at most to the microsecond.
func seconds(d result.Duration) string {
	v := time.Duration(d)
	switch {
	case v == 0:
		return "0"
	case v < time.Millisecond:
		return number(float64(v)/1e3, 3) + " µs"
	case v < time.Second:
		return number(float64(v)/1e6, 3) + " ms"
	case v < 2*time.Minute:
		return number(v.Seconds(), 3) + " s"
	}
	return v.Round(time.Second).String()
}

func bytesOf(n uint64) string {
	switch v := float64(n); {
	case n < 1<<10:
		return strconv.FormatUint(n, 10) + " B"
	case n < 1<<20:
		return number(v/(1<<10), 3) + " KiB"
	case n < 1<<30:
		return number(v/(1<<20), 3) + " MiB"
	default:
		return number(v/(1<<30), 3) + " GiB"
	}
}

// percent is a part of what came and what did not.
func percent(part, rest uint64) string {
	if part == 0 {
		return "0 %"
	}
	return number(100*float64(part)/float64(part+rest), 3) + " %"
}

// per divides a number of bytes by a time, as a rate.
func per(n uint64, of result.Duration) string {
	if of <= 0 {
		return ""
	}
	return number(8*float64(n)/time.Duration(of).Seconds()/1000, 3) + " kbit/s"
}

// number writes v with so many digits, without an exponent.
func number(v float64, digits int) string {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil {
		return "?"
	}
	return strconv.FormatFloat(short, 'f', -1, 64)
}

// title begins with a capital.
func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
