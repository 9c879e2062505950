package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// tab is one page of a browser, with page.js in it.
type tab struct {
	t      *testing.T // of the step that uses it
	owner  *testing.T
	name   string // of the person in it
	page   driver
	ctx    context.Context
	cancel context.CancelFunc
	// expected are parts of what the page may complain of in its console.
	expected []string
}

// driver is what both browsers can do.
type driver interface {
	// Evaluate returns the value of an expression, awaited when it is a promise, as JSON.
	Evaluate(ctx context.Context, js string) ([]byte, error)
	Navigate(ctx context.Context, url string) error
	Click(ctx context.Context, x, y float64) error
}

// deadline of everything that a browser is asked for: more than any wait inside the page.
const deadline = 40 * time.Second

// complained fails the test for what the page wrote to its console as an error, unless it should.
func (p *tab) complained(text string) {
	if !slices.ContainsFunc(p.expected, func(part string) bool { return strings.Contains(text, part) }) {
		p.owner.Errorf("%s: console: %s", p.name, text)
	}
}

// navigate goes to url.
func (p *tab) navigate(url string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, deadline)
	defer cancel()
	if err := p.page.Navigate(ctx, url); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// ask evaluates an expression, or awaits it when it is a promise.
func ask[T any](p *tab, format string, args ...any) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, deadline)
	defer cancel()
	js := fmt.Sprintf(format, args...)
	raw, err := p.page.Evaluate(ctx, js)
	if err != nil {
		p.t.Fatalf("%s: %s: %v", p.name, js, err)
	}
	var v T
	if len(raw) == 0 || string(raw) == "null" { // JSON has no word for infinity, either
		p.t.Fatalf("%s: %s: no value", p.name, js)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		p.t.Fatalf("%s: %s: %v", p.name, js, err)
	}
	return v
}

// until waits for a condition in the page, 15 s at most.
func (p *tab) until(what, format string, args ...any) {
	p.t.Helper()
	ask[bool](p, "bedsideTest.until(%q, 15000, async () => (%s)).then(() => true)", what, fmt.Sprintf(format, args...))
}

// click presses a button as a person would: where it is, and only when nothing covers it.
func (p *tab) click(selector string) {
	p.t.Helper()
	type point struct{ X, Y float64 }
	at := ask[point](p, "bedsideTest.until(%q, 15000, () => bedsideTest.still(%q))", "way to click "+selector, selector)
	ctx, cancel := context.WithTimeout(p.ctx, deadline)
	defer cancel()
	if err := p.page.Click(ctx, at.X, at.Y); err != nil {
		p.t.Fatalf("%s: click %s: %v", p.name, selector, err)
	}
}

// press clicks the button of an action.
func (p *tab) press(action string) {
	p.t.Helper()
	p.click(`[data-action="` + action + `"]`)
}
