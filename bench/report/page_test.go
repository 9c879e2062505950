package report_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/bedside-video/bedside/bench/result"
)

const deadline = time.Minute

// shots is an environment variable: a folder that takes pictures of the pages, to look at.
const shots = "REPORT_SHOTS"

// open shows a result's page from a file; a complaint of the page or a request fails the test.
func open(t *testing.T, browser context.Context, r result.Result, width, height int64, scheme string) context.Context {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(render(t, r)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancelTimeout := context.WithTimeout(ctx, deadline)
	t.Cleanup(cancelTimeout)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var heard []string
	if err := chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			heard = append(heard, fmt.Sprintf("exception: %+v", e.ExceptionDetails))
		case *runtime.EventConsoleAPICalled:
			heard = append(heard, fmt.Sprintf("console.%s", e.Type))
		case *log.EventEntryAdded:
			heard = append(heard, e.Entry.Text)
		case *network.EventRequestWillBeSent:
			if e.Request.URL != "file://"+file {
				heard = append(heard, "request of "+e.Request.URL)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, what := range heard {
			t.Errorf("the page: %s", what)
		}
	})
	dark := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height), dark); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Navigate("file://"+file)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func eval[T any](t *testing.T, ctx context.Context, js string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", js, err)
	}
	return v
}

func newBrowser(t *testing.T) context.Context {
	t.Helper()
	exe, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed (apt-get install chromium): the page was not looked at")
	}
	a, cancelAllocator := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(exe), chromedp.Headless, chromedp.NoSandbox,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := chromedp.NewContext(a)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancel(); cancelAllocator() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// save keeps a picture if somebody wants to look at it.
func save(t *testing.T, name string, data []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv(shots); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPageInABrowser: on a desktop and a phone, light and dark, every plot is drawn, nothing sticks out,
// axe finds nothing, and the page prints.
func TestPageInABrowser(t *testing.T) {
	browser := newBrowser(t)
	axe, err := os.ReadFile("../../signaling/web/testdata/axe/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		width, height int64
		scheme        string
	}{{"desktop-light", 1280, 800, "light"}, {"desktop-dark", 1280, 800, "dark"}, {"phone-light", 390, 844, "light"}, {"phone-dark", 390, 844, "dark"}} {
		t.Run(c.name, func(t *testing.T) {
			ctx := open(t, browser, example(t), c.width, c.height, c.scheme)
			// lost is never known in the example.
			if got := eval[string](t, ctx, `[...document.querySelectorAll('[data-plot]')].filter((p) => !p.querySelector('canvas')).map((p) => p.dataset.plot).join()`); got != "" {
				t.Errorf("not drawn: %s", got)
			}
			if got := eval[bool](t, ctx, `document.documentElement.scrollWidth > innerWidth`); got {
				t.Errorf("the page is wider than its window: %v", eval[string](t, ctx,
					`[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.wide')).map((e) => e.tagName + '.' + e.className).slice(0, 8).join()`))
			}
			eval[bool](t, ctx, string(axe)+`;true`)
			for _, found := range eval[[]string](t, ctx, `axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.flatMap((v) =>
				v.nodes.map((n) => v.impact + ' ' + v.id + ': ' + n.html.slice(0, 160) + ' ' + n.failureSummary.replaceAll('\n', ' ').slice(0, 200))))`) {
				t.Errorf("axe: %s", found)
			}
			shot, err := chromedp.Run(ctx, chromedp.Action[[]byte](func(ctx context.Context, target *chromedp.Target) ([]byte, error) {
				r, err := cdp.Call(ctx, target, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: new(true)})
				return r.Data, err
			}))
			save(t, c.name+".png", shot, err)
			pdf, err := chromedp.Run(ctx, chromedp.PrintToPDF())
			save(t, c.name+".pdf", pdf, err)
			if !strings.HasPrefix(string(pdf), "%PDF") {
				t.Error("it does not print")
			}
		})
	}
}

// TestHostileNamesInABrowser: what a name says is never carried out.
func TestHostileNamesInABrowser(t *testing.T) {
	r := example(t)
	const evil = `</script><script>document.title='owned'</script><img src=x onerror="document.title='owned'">`
	r.Scenario.Name, r.Run.Target.Kind, r.Participants[1].Ref, r.Subscriptions[0].By = evil, evil, evil, evil
	ctx := open(t, newBrowser(t), r, 1280, 800, "light")
	if got := eval[string](t, ctx, `document.title`); got == "owned" || !strings.Contains(got, "<script>") {
		t.Errorf("the title is %q", got)
	}
}

// TestChoosingAParticipant: the plots follow the keyboard.
func TestChoosingAParticipant(t *testing.T) {
	r := example(t)
	r.Participants[0].Series = &result.Rates{Got: r.Participants[1].Series.Got}
	ctx := open(t, newBrowser(t), r, 1280, 800, "light")
	const labels = `[...document.querySelectorAll('[data-plot="rate"] .u-label')].map((e) => e.textContent).join()`
	if got := eval[string](t, ctx, labels); got != "s,received" {
		t.Errorf("first the plot has %q", got)
	}
	eval[bool](t, ctx, `document.getElementById('who').focus(), true`)
	if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.ArrowDown)); err != nil {
		t.Fatal(err)
	}
	if got := eval[string](t, ctx, labels); got != "s,received,link down,sent" {
		t.Errorf("then the plot has %q", got)
	}
}
