package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
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

	mu       sync.Mutex
	expected []string // parts of what the page may complain of in its console
	said     []string // what it has complained of
}

// driver is what both browsers can do.
type driver interface {
	// Evaluate returns the value of an expression, awaited when it is a promise, as JSON.
	Evaluate(ctx context.Context, js string) ([]byte, error)
	Navigate(ctx context.Context, url string) error
	Click(ctx context.Context, x, y float64) error
	// frame makes inner the driver of the page in the only frame of outer, with script in it.
	frame(outer, inner *tab, script string)
}

// patience is how long is waited for what comes within seconds where nobody else uses the machine.
const patience = time.Minute

// longPatience is for what a browser does again when its machine has had no time: its estimate of the way comes back
// over a minute.
const longPatience = 3 * time.Minute

// deadline of everything that a browser is asked for: more than any wait inside the page.
const deadline = patience + 30*time.Second

// expects lets the page complain of something.
func (p *tab) expects(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, part)
}

// complained fails the test for what the page wrote to its console as an error, unless it should.
func (p *tab) complained(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, text)
	if !slices.ContainsFunc(p.expected, func(part string) bool { return strings.Contains(text, part) }) {
		p.owner.Errorf("%s: console: %s", p.name, text)
	}
}

// complains waits until the page has complained of something that it was expected to.
func (p *tab) complains(part string) {
	p.t.Helper()
	p.eventually("word of "+part, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.ContainsFunc(p.said, func(line string) bool { return strings.Contains(line, part) })
	})
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

// frame is the page in this page's frame.
func (p *tab) frame(script string) *tab {
	p.t.Helper()
	p.until("frame", "bedsideTest.one('iframe')?.src")
	inner := &tab{t: p.t, owner: p.owner, name: p.name}
	p.page.frame(p, inner, script)
	inner.eventually("frame's page", func() bool {
		ctx, cancel := context.WithTimeout(inner.ctx, deadline)
		defer cancel()
		loaded, err := inner.page.Evaluate(ctx, "Boolean(window.bedsideTest) && location.protocol !== 'about:' && document.readyState === 'complete'")
		return err == nil && string(loaded) == "true" // no page answers while it gives way to another
	})
	return inner
}

// eventually waits for a condition that is not one of the page.
func (p *tab) eventually(what string, holds func() bool) {
	p.t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-end:
			p.t.Fatalf("%s: no %s within %v", p.name, what, patience)
		case <-tick.C:
		}
	}
}

// ask evaluates an expression, or awaits it when it is a promise.
func ask[T any](p *tab, format string, args ...any) T {
	p.t.Helper()
	return askWithin[T](p, deadline, fmt.Sprintf(format, args...))
}

func askWithin[T any](p *tab, within time.Duration, js string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
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

// until waits for a condition in the page.
func (p *tab) until(what, format string, args ...any) {
	p.t.Helper()
	p.untilWithin(patience, what, format, args...)
}

func (p *tab) untilWithin(within time.Duration, what, format string, args ...any) {
	p.t.Helper()
	askWithin[bool](p, within+deadline-patience,
		fmt.Sprintf("bedsideTest.until(%q, %d, async () => (%s)).then(() => true)", what, within.Milliseconds(), fmt.Sprintf(format, args...)))
}

// click presses a button as a person would: where it is, and only when nothing covers it.
func (p *tab) click(selector string) {
	p.t.Helper()
	type point struct{ X, Y float64 }
	at := ask[point](p, "bedsideTest.until(%q, %d, () => bedsideTest.still(%q))", "way to click "+selector, patience.Milliseconds(), selector)
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
