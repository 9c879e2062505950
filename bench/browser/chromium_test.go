package browser_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// trusting are the options of a Chromium that looks certificates up, in the databases of a home directory.
func trusting(home string) []chromedp.ExecAllocatorOption {
	return []chromedp.ExecAllocatorOption{chromedp.Flag("ignore-certificate-errors", false), chromedp.Env("HOME=" + home)}
}

// newChromium starts one headless Chromium with a fake camera and microphone, for one test.
func newChromium(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: apt-get install chromium")
	}
	camera := filepath.Join(t.TempDir(), "camera.y4m")
	writeCamera(t, camera)
	// The profile is a directory of chromedp's: before it goes, chromedp kills those of the browser's processes that
	// outlive it and write on. A directory of the test would not be empty when it goes, which fails the test.
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Headless, chromedp.DisableGPU,
		// Chromium refuses its sandbox to root, who runs continuous integration.
		chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("mute-audio", true), chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-file-for-fake-video-capture", camera),
		chromedp.Flag("ignore-certificate-errors", true), // a person would click through the warning
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns"),
		// Three pages are open and none is in the foreground.
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(browser) // waits until the browser has exited, so that its directory can go
		cancel()
		cancelAllocator()
	})
	// Start it now: otherwise each page would start a browser of its own.
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return browser
}

// newTab opens an empty page, which lives as long as the test owner, and in which page.js will run
// before the page's own scripts.
func newTab(t, owner *testing.T, browser context.Context, name, script string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	p := &tab{t: t, owner: owner, name: name, page: chromiumPage{}, ctx: ctx, cancel: cancel}
	owner.Cleanup(cancel)
	// The page lives as long as the first context it is used with: this one, without a deadline.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s: open a page: %v", name, err)
	}
	p.do(chromedp.EmulateViewport(1280, 800))
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		t.Fatalf("%s: inject page.js: %v", name, err)
	}
	p.watchConsole()
	return p
}

// watchConsole fails the test for errors that the page reports, such as a violation of its policy.
func (p *tab) watchConsole() {
	messages := chromedp.Console(p.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == chromedp.ConsoleError {
				p.complained(m.Text)
			}
		}
	}()
	p.owner.Cleanup(func() {
		p.cancel()
		<-done
	})
}

// do is for what only Chromium is asked.
func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, deadline)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// chromiumPage is a page of Chromium: chromedp finds it in the context.
type chromiumPage struct{}

func (chromiumPage) Evaluate(ctx context.Context, js string) ([]byte, error) {
	return chromedp.Run(ctx, chromedp.Evaluate[[]byte](js, chromedp.EvalAwaitPromise))
}

func (chromiumPage) Navigate(ctx context.Context, url string) error {
	return chromedp.Do(ctx, chromedp.Navigate(url))
}

func (chromiumPage) Click(ctx context.Context, x, y float64) error {
	return chromedp.Do(ctx, chromedp.MouseClickXY(x, y))
}

// frame attaches to the frame's process: pages of other sites have one of their own. It is loaded
// again, because page.js has to come first.
func (chromiumPage) frame(outer, inner *tab, script string) {
	outer.t.Helper()
	type point struct{ X, Y float64 }
	at := ask[point](outer, "(({ x, y }) => ({ x, y }))(bedsideTest.one('iframe').getBoundingClientRect())")
	inner.page = chromiumFrame{top: outer, x: at.X, y: at.Y}
	var found target.ID
	outer.eventually("process of the frame", func() bool {
		ctx, cancel := context.WithTimeout(outer.ctx, deadline)
		defer cancel()
		targets, err := chromedp.Targets(ctx)
		if err != nil {
			outer.t.Fatal(err)
		}
		for _, t := range targets {
			if t.Type == "iframe" {
				found = t.TargetID
			}
		}
		return found != ""
	})
	inner.ctx, inner.cancel = chromedp.NewContext(outer.ctx, chromedp.WithTargetID(found))
	outer.owner.Cleanup(inner.cancel)
	if err := chromedp.Do(inner.ctx); err != nil {
		outer.t.Fatalf("attach to the frame: %v", err)
	}
	if _, err := chromedp.Call(inner.ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		outer.t.Fatalf("inject page.js: %v", err)
	}
	ask[bool](inner, "setTimeout(() => location.reload()), true")
	inner.watchConsole()
}

// chromiumFrame is a frame of another site, which takes no clicks of its own.
type chromiumFrame struct {
	chromiumPage
	top  *tab
	x, y float64 // where it is in the top page
}

func (f chromiumFrame) Click(_ context.Context, x, y float64) error {
	ctx, cancel := context.WithTimeout(f.top.ctx, deadline)
	defer cancel()
	return f.top.page.Click(ctx, x+f.x, y+f.y)
}
