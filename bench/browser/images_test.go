package browser_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

var updateImages = flag.Bool("update-images", false, "take the pictures in docs/images again, and do nothing else")

// TestImages takes the pictures of the documentation. It is no test: somebody has to look at them.
func TestImages(t *testing.T) {
	if !*updateImages {
		t.Skip("takes pictures only with -update-images")
	}
	names := map[string]string{clinician: "Dr Lee", patient: "Sam Novak", interpreter: "Ana Silva", carer: "Jo Novak"}
	c := newConsultation(t, "VP8", func(role string) string { return names[role] }, true)
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	doctor.until("queue", `bedsideTest.one('[data-action="admit"]')`)
	sam.desktop("lobby")
	sam.phone("lobby")
	doctor.desktop("queue")
	ana := c.arrive(interpreter)
	c.admit(doctor, sam)
	c.admit(doctor, ana)
	for _, p := range c.present {
		p.until("two pictures", `bedsideTest.all('.tile[data-shown="true"]').length === 2`)
		p.until("large pictures", `bedsideTest.all('.tile video').every((v) => v.videoWidth >= 320)`)
	}
	doctor.until("calm page", `!bedsideTest.all('p, span').some((e) => e.textContent.includes('has joined'))`)
	doctor.desktop("call")
	sam.phone("call")
}

// phone takes a picture of the page as a phone shows it.
func (p *tab) phone(name string) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait))
	p.save(name + "-phone")
	p.do(chromedp.EmulateViewport(1280, 800))
}

// desktop takes a picture of the page as it is.
func (p *tab) desktop(name string) {
	p.t.Helper()
	p.save(name + "-desktop")
}

// save writes the picture once the page has had two frames to arrange itself.
func (p *tab) save(name string) {
	p.t.Helper()
	const settled = "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => r(true), 300))))"
	ask[bool](p, settled)
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatalf("%s: %v", name, err)
	}
	path := filepath.Join("..", "..", "docs", "images", name+".png")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("wrote %s, %d kB", path, len(png)>>10)
}
