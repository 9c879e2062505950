package browser_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// portal serves the pages of docs/examples/portal as a vendor would, from an origin of its own, with
// the headers that docs/embedding.md says.
type portal struct {
	*httptest.Server

	mu         sync.Mutex
	video      string // URL of the video server
	invitation string // of the person who is logged in
}

// hosts in the examples and in the headers stand for the video server.
func (p *portal) replaceHosts(text string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.NewReplacer("https://video.example", p.video, "wss://video.example", strings.Replace(p.video, "http", "ws", 1)).Replace(text)
}

// startPortal starts a portal that knows nobody yet.
func startPortal(t *testing.T) *portal {
	t.Helper()
	p := &portal{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /invitation", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]string{"invitation": p.invitation})
	})
	for _, page := range []struct{ path, file, contentType, section string }{
		{"GET /{$}", "index.html", "text/html", "As an element"},
		{"GET /frame.html", "frame.html", "text/html", "In a frame"},
		{"GET /portal.js", "portal.js", "text/javascript", ""},
		{"GET /frame.js", "frame.js", "text/javascript", ""},
		{"GET /portal.css", "portal.css", "text/css", ""},
	} {
		text := readDoc(t, filepath.Join("examples", "portal", page.file))
		headers := documentedHeaders(t, page.section)
		mux.HandleFunc(page.path, func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range headers {
				w.Header().Set(name, p.replaceHosts(value))
			}
			w.Header().Set("Content-Type", page.contentType)
			_, _ = w.Write([]byte(p.replaceHosts(text)))
		})
	}
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// logIn says who is at the portal, and where the video server is.
func (p *portal) logIn(s *server, who invited) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.video, p.invitation = s.url, who.invitation()
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documentedHeaders are those of the section's block in docs/embedding.md, for a vendor to copy.
func documentedHeaders(t *testing.T, section string) map[string]string {
	t.Helper()
	if section == "" {
		return nil
	}
	_, text, found := strings.Cut(readDoc(t, "embedding.md"), "\n## "+section+"\n")
	block := regexp.MustCompile("(?s)```http\n(.*?)```").FindStringSubmatch(text)
	if !found || block == nil {
		t.Fatalf("docs/embedding.md has no headers under %q", section)
	}
	headers := map[string]string{}
	for line := range strings.Lines(block[1]) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			t.Fatalf("docs/embedding.md: %q is no header", line)
		}
		headers[name] = value
	}
	if headers["Content-Security-Policy"] == "" || headers["Permissions-Policy"] == "" {
		t.Fatalf("docs/embedding.md: %q lacks a policy: %v", section, headers)
	}
	return headers
}

// browserTabs returns how to open a page of the patient's, by browser.
func (c *consultation) browserTabs(t *testing.T, browser string) func(name string) *tab {
	if browser == "Chromium" {
		return c.newTab
	}
	fox := newFirefox(t)
	return func(name string) *tab { return fox.newTab(c.t, name, c.script(name)) }
}

// TestPortal is a consultation with the patient on the page of a portal of another origin.
func TestPortal(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	for _, browser := range []string{"Chromium", "Firefox"} {
		t.Run(browser, func(t *testing.T) {
			site := startPortal(t)
			c := newConsultation(t, "VP8", func(role string) string { return role }, false, "--origin", site.URL)
			open := c.browserTabs(t, browser)
			site.logIn(c.server, c.invited(patient))
			doctor := c.arrive(clinician)
			sam := open(patient)
			sam.navigate(site.URL)
			sam.until("element", `bedsideTest.one('[data-action="continue"]')`)
			restyled(sam)
			c.enter(sam)
			sam.until("what the portal says of the lobby", "document.getElementById('status').textContent === 'You are in the waiting room'")
			c.admit(doctor, sam)
			c.seesEach()
			c.hearsEach()
			sam.until("what the portal says of the room", "document.getElementById('status').textContent === 'You are in the consultation'")
			withinPage(sam)
			sam.click("#leave")
			sam.until("goodbye", `bedsideTest.state() === "ended"`)
			sam.until("what the portal says of the end", "document.getElementById('status').textContent === 'The consultation is over'")
			doctor.until("empty room", "!bedsideTest.one('.tile[data-participant]')")
			sam.checkFrames()
			sam.checkNothingBlocked()
			c.gone(sam)
			end(c, doctor)
		})
	}
}

// TestFrame is the same with the page in a frame.
func TestFrame(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	for _, browser := range []string{"Chromium", "Firefox"} {
		t.Run(browser, func(t *testing.T) {
			site := startPortal(t)
			c := newConsultation(t, "VP8", func(role string) string { return role }, false, "--origin", site.URL)
			open := c.browserTabs(t, browser)
			site.logIn(c.server, c.invited(patient))
			doctor := c.arrive(clinician)
			top := open(patient)
			top.navigate(site.URL + "/frame.html")
			sam := top.frame(c.script(patient))
			c.enter(sam)
			c.admit(doctor, sam)
			c.seesEach()
			c.hearsEach()
			sam.checkFrames()
			sam.checkNothingBlocked()
			top.checkNothingBlocked()
			end(c, doctor)
		})
	}
}

// TestFrameUnknown: a portal that the server does not know gets no frame.
func TestFrameUnknown(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	site := startPortal(t)
	c := newConsultation(t, "VP8", func(role string) string { return role }, false)
	site.logIn(c.server, c.invited(patient))
	top := c.newTab(patient)
	const refused = `frame-ancestors 'none'`
	top.expects(refused)
	top.navigate(site.URL + "/frame.html")
	top.complains(refused)
}

// restyled checks that the portal's style sheet reaches the element, and the element's not the portal.
func restyled(p *tab) {
	style := func(selector, property string) string {
		return ask[string](p, "getComputedStyle(bedsideTest.one(%q))[%q]", selector, property)
	}
	for _, want := range []struct{ selector, property, value string }{
		{".button.primary", "backgroundColor", "rgb(0, 105, 92)"},
		{".button.primary", "borderTopLeftRadius", "2px"},
		{"[part=card]", "borderBlockStartWidth", "2px"},
		{"bedside-consultation h1", "fontFamily", "Georgia, serif"},
		{"html", "fontSize", "16px"},
		{"#leave, header", "display", "flex"},
	} {
		if got := style(want.selector, want.property); got != want.value {
			p.t.Errorf("%s: %s is %s, want %s", want.selector, want.property, got, want.value)
		}
	}
}

// withinPage checks that the call fits below the portal's own header.
func withinPage(p *tab) {
	if bottom, height := ask[float64](p, "bedsideTest.one('bedside-consultation').getBoundingClientRect().bottom"), ask[float64](p, "innerHeight"); bottom > height+0.5 {
		p.t.Errorf("the element ends at %v, the page at %v", bottom, height)
	}
}

// checkNothingBlocked fails the test when the page's policy has forbidden anything.
func (p *tab) checkNothingBlocked() {
	p.t.Helper()
	for _, b := range ask[[]string](p, "bedsideTest.blocked") {
		p.t.Errorf("%s: the page's policy blocked %s", p.name, b)
	}
}

// TestPortalUnknown: a portal that the server does not know is told so, on the page and in the console.
func TestPortalUnknown(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	for _, browser := range []string{"Chromium", "Firefox"} {
		t.Run(browser, func(t *testing.T) {
			site := startPortal(t)
			c := newConsultation(t, "VP8", func(role string) string { return role }, false, "--origin", "https://another.example")
			open := c.browserTabs(t, browser)
			site.logIn(c.server, c.invited(patient))
			sam := open(patient)
			wanted := "bedside: origin_not_allowed: " + site.URL + " is not among the signaling.origins of " + c.server.url
			sam.expects(wanted)
			for _, browsers := range []string{"blocked by CORS policy", "Failed to load resource", "Cross-Origin Request Blocked"} {
				sam.expects(browsers)
			}
			sam.navigate(site.URL)
			sam.until("problem", "bedsideTest.problem() === 'origin_not_allowed'")
			sam.until("code for the portal's support", "bedsideTest.one('.code').textContent.includes('origin_not_allowed')")
			sam.complains(wanted)
			sam.checkNothingBlocked()
		})
	}
}
