package web_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// newBrowser starts one headless Chromium with a fake camera and microphone.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	exe, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed (apt-get install chromium): the pages were not tested")
	}
	// The profile is a directory of chromedp's: it kills those of the browser's processes that write on, before it goes.
	a, cancelAllocator := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(exe), chromedp.Headless, chromedp.NoSandbox,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.DisableGPU, chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("mute-audio", true), chromedp.Flag("use-fake-device-for-media-stream", "fps=30"),
		chromedp.Flag("use-fake-ui-for-media-stream", true), chromedp.Flag("auto-accept-this-tab-capture", true),
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns"),
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true))
	ctx, cancel := chromedp.NewContext(a)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancel(); cancelAllocator() }) // Cancel waits for its end
	if err := chromedp.Do(ctx); err != nil {                                    // else every tab would start a browser of its own
		t.Fatal(err)
	}
	return ctx
}

// tab is one page under test. Whatever it complains about fails the test.
type tab struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	errors  []string
	forgive string // a complaint that the test's own injected script causes
}

// newTab opens url; inject runs before every script of the page.
func newTab(t *testing.T, browser context.Context, url string, inject string, steps ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancelTimeout := context.WithTimeout(ctx, 2*deadline)
	t.Cleanup(cancelTimeout)
	p := &tab{t: t, ctx: ctx, cancel: cancel}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatal(err)
	}
	if inject != "" {
		steps = append(steps, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: inject})
			return err
		}))
	}
	for _, step := range steps {
		if err := chromedp.Do(ctx, step); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := chromedp.Run(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.check)
	return p
}

// close ends the page before the test does.
func (p *tab) close() { p.cancel() }

func (p *tab) listen(event any) {
	var text string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprintf("console.%s", e.Type)
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceNetwork {
			return // a problem document is a failed request, and the page's task to explain
		}
		text = fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text)
	default:
		return
	}
	p.mu.Lock()
	p.errors = append(p.errors, text)
	p.mu.Unlock()
}

func (p *tab) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.errors {
		if p.forgive != "" && strings.Contains(e, p.forgive) {
			continue
		}
		p.t.Errorf("the page complains: %s", e)
	}
}

// eval evaluates an expression, awaiting it if it is a promise.
func eval[T any](p *tab, js string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// until waits for a JavaScript condition.
func (p *tab) until(condition string) {
	p.t.Helper()
	js := fmt.Sprintf(`new Promise((done) => {
		const end = performance.now() + %d;
		const look = () => {
			let v = false;
			try { v = (() => (%s))(); } catch {}
			if (v) done(''); else if (performance.now() > end) done(document.body.innerText || '(empty)');
			else setTimeout(look, 10);
		};
		look();
	})`, deadline.Milliseconds(), condition)
	if page := eval[string](p, js); page != "" {
		p.t.Fatalf("never: %s\nthe page says:\n%s", condition, page)
	}
}

// state waits for the page to be in state with this heading.
func (p *tab) state(state, heading string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.querySelector('[data-bedside-state=%q]:not([hidden]) h1')?.textContent === %q`, state, heading))
}

func (p *tab) problem(code, heading string) {
	p.t.Helper()
	p.state("problem", heading)
	if got := eval[string](p, `document.querySelector('[data-bedside-state]').dataset.bedsideProblem`); got != code {
		p.t.Errorf("problem %q, want %q", got, code)
	}
	if text := eval[string](p, `document.body.innerText`); !strings.Contains(text, "Code for support: "+code) {
		p.t.Errorf("the page does not show its code %s", code)
	}
}

func (p *tab) press(action string) {
	p.t.Helper()
	p.still(fmt.Sprintf(`[data-action=%q]`, action))
	if err := chromedp.Do(p.ctx, chromedp.Click(chromedp.CSS(fmt.Sprintf("[data-action=%q]", action)))); err != nil {
		p.t.Fatalf("press %s: %v", action, err)
	}
}

// still waits until an element is seen and stays where it is: a click is sent to a place.
func (p *tab) still(selector string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`(() => {
		const e = document.querySelector(%[1]q);
		const r = e?.checkVisibility() ? JSON.stringify(e.getBoundingClientRect()) : '';
		if (globalThis.lastRect !== r) [globalThis.lastRect, globalThis.lastMoved] = [r, performance.now()];
		return r && performance.now() - globalThis.lastMoved > 150;
	})()`, selector))
}

// pressFor presses a button in somebody's row of the list of people.
func (p *tab) pressFor(participant, action string) {
	p.t.Helper()
	selector := fmt.Sprintf("[data-roster=%q] [data-action=%q]", participant, action)
	p.still(selector)
	if err := chromedp.Do(p.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		p.t.Fatalf("press %s: %v", action, err)
	}
}

func (p *tab) key(keys string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.KeyEvent(keys)); err != nil {
		p.t.Fatal(err)
	}
}

// resize waits until the page has its new size.
func (p *tab) resize(width, height int64) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.EmulateViewport(width, height)); err != nil {
		p.t.Fatal(err)
	}
	p.until(fmt.Sprintf("innerWidth === %d", width))
	p.settle()
}

// settle waits until the page has arranged itself: observers of sizes speak between two frames.
func (p *tab) settle() {
	p.t.Helper()
	eval[bool](p, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(true)))))`)
}
