package browser_test

import (
	"context"
	"net"
	"os/exec"
	"sync"
	"testing"

	"github.com/bedside-video/bedside/bench/browser/bidi"
)

// firefox is one headless Firefox with a fake camera and microphone, for one test.
type firefox struct {
	owner   *testing.T
	browser *bidi.Browser

	mu   sync.Mutex
	tabs map[string]*tab // by the id of their BiDi context
}

// newFirefox starts a browser. Firefox never sends media to its own machine by way of loopback, so
// that one of the machine's addresses must be another.
func newFirefox(t *testing.T) *firefox {
	t.Helper()
	return newFirefoxIn(t, t.TempDir())
}

// newFirefoxIn starts it with a profile that may hold something already.
func newFirefoxIn(t *testing.T, profile string) *firefox {
	t.Helper()
	path, err := exec.LookPath("firefox-esr")
	if err != nil {
		path, err = exec.LookPath("firefox")
	}
	if err != nil {
		t.Skip("firefox is not installed: apt-get install firefox-esr")
	}
	if !hasNetwork(t) {
		t.Skip("firefox needs an address that is not loopback")
	}
	f := &firefox{owner: t, tabs: map[string]*tab{}}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	f.browser, err = bidi.Start(ctx, bidi.Options{Path: path, Profile: profile, Log: f.log, Prefs: map[string]any{
		"media.navigator.audio.fake_frequency": 700, // the patient's, as page.js knows people
	}})
	if err != nil {
		t.Fatalf("start firefox: %v", err)
	}
	t.Cleanup(f.browser.Close)
	return f
}

func hasNetwork(t *testing.T) bool {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return true
		}
	}
	return false
}

// log fails the test for errors that pages report.
func (f *firefox) log(e bidi.Entry) {
	f.mu.Lock()
	p := f.tabs[e.Tab]
	f.mu.Unlock()
	if p != nil && e.Level == "error" {
		p.complained(e.Text)
	}
}

// newTab opens an empty page with page.js.
func (f *firefox) newTab(t *testing.T, name, script string) *tab {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f.owner.Cleanup(cancel)
	p := &tab{t: t, owner: f.owner, name: name, ctx: ctx, cancel: cancel}
	open, stop := context.WithTimeout(ctx, deadline)
	defer stop()
	opened, err := f.browser.Open(open, 1280, 800, script)
	if err != nil {
		t.Fatalf("%s: open a page: %v", name, err)
	}
	p.page = firefoxPage{opened, f}
	f.add(opened, p)
	return p
}

func (f *firefox) add(page *bidi.Tab, p *tab) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tabs[page.ID] = p
}

// firefoxPage is a page of Firefox.
type firefoxPage struct {
	*bidi.Tab
	of *firefox
}

// frame finds the frame: page.js is in it already.
func (p firefoxPage) frame(outer, inner *tab, _ string) {
	outer.t.Helper()
	inner.ctx, inner.cancel = outer.ctx, outer.cancel
	ctx, cancel := context.WithTimeout(outer.ctx, deadline)
	defer cancel()
	frames, err := p.Frames(ctx)
	if err != nil || len(frames) != 1 {
		outer.t.Fatalf("%d frames, error %v; want one", len(frames), err)
	}
	inner.page = firefoxPage{frames[0], p.of}
	p.of.add(frames[0], inner)
}

// TestFirefox is a consultation of a clinician in Chromium with a patient in Firefox.
func TestFirefox(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	fox := newFirefox(t)
	c := newConsultation(t, "VP8", func(role string) string { return role }, false)
	chromium := c.newTab
	c.newTab = func(name string) *tab {
		if name == patient {
			return fox.newTab(c.t, name, c.script(name))
		}
		return chromium(name)
	}
	var doctor, sam *tab
	steps := []struct {
		name string
		do   func()
	}{
		{"arrive", func() { doctor, sam = c.arrive(clinician), c.arrive(patient) }},
		{"nothing crosses the lobby", func() { lobby(c) }},
		{"admit", func() { admitOne(c, doctor, sam) }},
		{"both see and hear each other", func() { c.seesEach(); c.hearsEach() }},
		{"the camera is live", func() { live(doctor, patient) }},
		{"the roster comes before the first frame", func() { rosterFirst(c) }},
		{"mute", func() { mute(c, sam, doctor); mute(c, doctor, sam) }},
		{"camera off", func() { cameraOff(c, sam, doctor); cameraOff(c, doctor, sam) }},
		{"share a screen", func() { share(c, doctor, sam); share(c, sam, doctor) }},
		{"chat", func() { chat(doctor, sam) }},
		{"no wrong frame was ever shown", func() { noWrongFrame(c) }},
		{"leave", func() { leave(c, sam, doctor) }},
		{"end for all", func() { end(c, doctor) }},
	}
	for _, s := range steps {
		if !t.Run(s.name, func(t *testing.T) {
			c.within(t)
			s.do()
		}) {
			t.Fatalf("the story ends at %q", s.name)
		}
	}
}

// admitOne measures how long two people wait for each other's picture.
func admitOne(c *consultation, doctor, sam *tab) {
	c.admit(doctor, sam)
	sam.seesMore(clinician, "camera", 1)
	doctor.seesMore(patient, "camera", 1)
	click := ask[float64](doctor, "bedsideTest.clicks.findLast((c) => c.action === 'admit').at")
	for _, p := range []struct {
		viewer         *tab
		shown, browser string
	}{{sam, clinician, "Firefox"}, {doctor, patient, "Chromium"}} {
		first := ask[float64](p.viewer, "bedsideTest.frames[%q].firstShown", p.shown+"/camera")
		c.t.Logf("figure: %.0f ms from the click on Admit to the %s's first frame in %s", first-click, p.shown, p.browser)
	}
	for _, p := range c.present {
		if got, want := p.totals().Cipher, "SRTP_AEAD_AES_128_GCM"; got != want {
			c.t.Errorf("%s: cipher %s, want %s", p.name, got, want)
		}
	}
}

// live waits until the camera's own picture, in the middle of the frame, has changed.
func live(viewer *tab, name string) {
	viewer.until("change of colour in the picture of "+name, "bedsideTest.frames[%q].colours.length >= 4", name+"/camera")
}

func leave(c *consultation, who, viewer *tab) {
	id := c.invited(who.name).ID
	who.press("leave")
	who.until("goodbye", `bedsideTest.state() === "ended"`)
	viewer.until("place of "+who.name, "!bedsideTest.one('.tile[data-participant=%q]')", id)
	c.gone(who)
}
