package browser_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

//go:embed page.js
var pageScript string

// The people of the test. Their names are searched for where no name may be.
const (
	clinician   = "clinician"
	patient     = "patient"
	interpreter = "interpreter"
	carer       = "carer"
)

// consultation is one consultation and the pages that are open on it.
type consultation struct {
	t       *testing.T
	server  *server
	people  []invited
	names   map[string]string        // participant id -> role, as page.js knows people
	script  func(name string) string // page.js for one person
	newTab  func(name string) *tab
	present []*tab
}

// newConsultation starts a server and a browser and opens a consultation for the four.
//
// With portraits, people look like people and cannot be told apart by page.js. The flags are the
// server's.
func newConsultation(t *testing.T, codec string, display func(role string) string, portraits bool, flags ...string) *consultation {
	t.Helper()
	browser := newChromium(t)
	c := &consultation{t: t, server: startServer(t, flags...), names: map[string]string{}}
	c.people = c.server.open("browser", codec, display, clinician, patient, interpreter, carer)
	for _, p := range c.people {
		c.names[p.ID] = p.Role
	}
	c.script = func(name string) string { return scriptFor(t, name, c.names, portraits) }
	c.newTab = func(name string) *tab { return newTab(c.t, t, browser, name, c.script(name)) }
	return c
}

// scriptFor is page.js for one person.
func scriptFor(t *testing.T, name string, names map[string]string, portraits bool) string {
	t.Helper()
	ids, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(pageScript, "(PERSON)", fmt.Sprintf("(%q, %s, %t)", name, ids, portraits), 1)
}

func (c *consultation) invited(role string) invited {
	for _, p := range c.people {
		if p.Role == role {
			return p
		}
	}
	c.t.Fatalf("nobody is invited as %s", role)
	return invited{}
}

// arrive opens a person's link and goes the way in, to the room or to the lobby.
func (c *consultation) arrive(role string) *tab {
	c.t.Helper()
	p := c.newTab(role)
	p.navigate(c.link(role))
	c.enter(p)
	return p
}

// enter goes the way from the first page to the room or to the lobby.
func (c *consultation) enter(p *tab) {
	c.t.Helper()
	if p.name != clinician {
		p.press("continue")
		p.until("way past the camera check", `bedsideTest.state() === "devices" && bedsideTest.one('[data-action="join"]')`)
		p.press("join")
		p.until("lobby", `bedsideTest.state() === "waiting"`)
	} else {
		p.until("room", `bedsideTest.state() === "room"`)
	}
	p.until("connection", `(await bedsideTest.totals()).connected === 1`)
	c.present = append(c.present, p)
}

// link is a person's link. The patient is on another machine, as far as one machine can tell: the
// page comes over TLS from the address that others use.
func (c *consultation) link(role string) string {
	url := c.invited(role).JoinURL
	if role == patient && c.server.lan != "" {
		return strings.Replace(url, c.server.url, c.server.lan, 1)
	}
	return url
}

// admit lets a person in, by the clinician's button.
func (c *consultation) admit(from *tab, who *tab) {
	c.t.Helper()
	c.letIn(from, c.invited(who.name))
	who.until("room", `bedsideTest.state() === "room"`)
}

// letIn presses the button that admits somebody who waits.
func (c *consultation) letIn(from *tab, who invited) {
	c.t.Helper()
	button := fmt.Sprintf(`[data-roster=%q] [data-action="admit"]`, who.ID)
	from.until("sign that the "+who.Role+" waits", `bedsideTest.one(%q) || bedsideTest.one('[data-action="show-waiting"]')`, button)
	if !ask[bool](from, "Boolean(bedsideTest.one(%q))", button) {
		from.press("show-waiting")
	}
	from.click(button)
}

// gone takes a page out of those that are present.
func (c *consultation) gone(who *tab) {
	for i, p := range c.present {
		if p == who {
			c.present = append(c.present[:i:i], c.present[i+1:]...)
			return
		}
	}
}

// eachPair calls f for everybody present and everybody they should see.
func (c *consultation) eachPair(f func(viewer, shown *tab)) {
	for _, viewer := range c.present {
		for _, shown := range c.present {
			if viewer != shown {
				f(viewer, shown)
			}
		}
	}
}

// seesEach waits until everybody present shows 30 more frames of everybody else, as themselves.
func (c *consultation) seesEach() {
	c.t.Helper()
	var waits []func()
	c.eachPair(func(viewer, shown *tab) { waits = append(waits, viewer.more(shown.name, "camera", 30)) })
	for _, wait := range waits {
		wait()
	}
}

// seesMore waits until the page has shown n more frames of a person's source.
func (p *tab) seesMore(name, source string, n int) {
	p.t.Helper()
	p.more(name, source, n)()
}

// more counts from now; the function that it returns waits.
func (p *tab) more(name, source string, n int) func() {
	p.t.Helper()
	key := name + "/" + source
	before := ask[int](p, "bedsideTest.frames[%q]?.shown ?? 0", key)
	return func() {
		p.t.Helper()
		p.until(fmt.Sprintf("%d more frames of %s", n, key), "bedsideTest.frames[%q]?.shown >= %d", key, before+n)
	}
}

// hearsEach waits until everybody present hears everybody else's tone.
func (c *consultation) hearsEach() {
	c.t.Helper()
	c.eachPair(func(viewer, shown *tab) {
		viewer.until("sound of "+shown.name, "await bedsideTest.hears(%q)", shown.name)
	})
}

// wrongFrame is a frame of somebody else than its tile said.
type wrongFrame struct {
	Tile, Got string
	At        float64
}

// A picture may begin with two frames that are plain black: in one run of eight with H.264 (Chromium 156,
// 2026-11-22). With VP8 two that could not be read were seen once that day, perhaps the same, and with H.264 one
// that was green and no colour ("GGG-", as zeros are in YUV) on a machine with twenty other processes. Why is not
// known. A frame of which some quadrants are black or no colour, and the others of one colour, is nobody's: everybody's
// four differ. More than unreadFrames on a page, or anything else, is a wrong frame.
const (
	unread       = "k-"
	unreadFrames = 4
)

// nobodys tells whether a frame that could not be read as anybody's shows nothing of anybody.
func nobodys(quadrants string) bool {
	seen := strings.Trim(quadrants, unread)
	return strings.ContainsAny(quadrants, unread) && (seen == "" || strings.Trim(seen, seen[:1]+unread) == "")
}

// checkFrames fails the test if a page has ever shown a wrong frame.
func (p *tab) checkFrames() {
	p.t.Helper()
	seen := 0
	for _, w := range ask[[]wrongFrame](p, "bedsideTest.wrong") {
		if seen++; !nobodys(w.Got) || seen > unreadFrames {
			p.t.Errorf("%s: the tile of %s showed %s", p.name, w.Tile, w.Got)
		}
	}
}

// totals are the statistics of all of a page's connections together.
type totals struct {
	Connected               int
	Sent, Received, Decoded int // packets, packets, frames
	Cipher                  string
	Streams                 []struct {
		Mid           string
		Decoded, Lost int
		Freezes       int
	}
}

func (p *tab) totals() totals {
	p.t.Helper()
	return ask[totals](p, "bedsideTest.totals()")
}

func TestNobodys(t *testing.T) {
	for quadrants, want := range map[string]bool{
		"kkkk": true, "GGG-": true, "----": true, "k-GG": true, "G-kG": true,
		"RGB-": false, "kGBY": false, "GG-R": false, "GGGG": false, "patient": false, "": false,
	} {
		if got := nobodys(quadrants); got != want {
			t.Errorf("%q: %v", quadrants, got)
		}
	}
}
