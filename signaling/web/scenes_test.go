package web_test

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/bedside-video/bedside/signaling/wire"
)

var updateImages = flag.Bool("update-images", false, "take the pictures in docs/images/states again instead of checking every state")

//go:embed testdata/axe/axe.min.js
var axe string

// scene is one state of the page that a person may see.
type scene struct {
	name    string
	arrange func(*set) *tab
}

// set is what a scene is played on.
type set struct {
	t       *testing.T
	browser context.Context
	lang    string
	f       *fake
	size    *size // of the screen; the browser's own when nil
}

type size struct {
	name          string
	width, height int64
	scale         float64 // of the picture
}

// tab opens a page on the set's screen.
func (s *set) tab(url, inject string) *tab {
	s.t.Helper()
	if s.size == nil {
		return newTab(s.t, s.browser, url, inject)
	}
	return newTab(s.t, s.browser, url, inject, chromedp.EmulateViewport(s.size.width, s.size.height, chromedp.EmulateScale(s.size.scale)))
}

// words are what people write to each other, in the language of the page.
func (s *set) words(en, de string) string { return map[string]string{"en": en, "de": de}[s.lang] }

// faces gives the page a camera that shows something like a person, and no microphone's beeps.
const faces = `{
	const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
	navigator.mediaDevices.getUserMedia = async ({ video, audio }) => {
		const out = audio ? await real({ audio }) : new MediaStream();
		if (!video) return out;
		const canvas = document.createElement('canvas');
		Object.assign(canvas, { width: 640, height: 360 });
		const c = canvas.getContext('2d');
		let n = 0;
		const draw = () => {
			c.fillStyle = '#c9d6df'; c.fillRect(0, 0, 640, 360);
			c.fillStyle = '#8fa3b0'; c.fillRect(60, 0, 150, 360);
			c.fillStyle = '#3e5c76';
			c.beginPath(); c.ellipse(320, 400, 190, 150, 0, 0, 7); c.fill();
			c.fillStyle = '#e0b394';
			c.beginPath(); c.ellipse(320, 160 + (n++ % 20) / 10, 78, 100, 0, 0, 7); c.fill();
		};
		draw();
		setInterval(draw, 100);
		out.addTrack(canvas.captureStream(10).getVideoTracks()[0]);
		return out;
	};
}
`

// open starts the page of i in the scene's language and waits for a state.
func (s *set) open(i *invited, state, inject string) *tab {
	s.t.Helper()
	s.f.invite("x", i)
	p := s.tab(s.f.URL+"/j/?lang="+s.lang+"#x", connections+faces+inject)
	p.in(state)
	return p
}

func (p *tab) in(state string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.querySelector('[data-bedside-state=%q]:not([hidden]) h1')`, state))
}

// room is the page of i in the room, with everybody of the roster whose pictures arrive.
func (s *set) room(i *invited, roster []wire.Participant, inject string) (*tab, *session) {
	s.t.Helper()
	i.echo = true
	i.joined.Roster = roster
	i.joined.State = wire.StateAdmitted
	i.joined.Facts.ClinicianPresent = true
	s.f.invite("x", i)
	p := s.tab(s.f.URL+"/j/?lang="+s.lang+"#x", connections+faces+inject)
	if i.joined.Role != wire.RoleClinician {
		p.press("continue")
		p.press("join")
	}
	session := s.f.session(s.t)
	p.in("room")
	p.until(`bedside.connection.state === 'connected' && !document.querySelector('[data-action=mic].off')`)
	return p, session
}

// pictures gives everybody in the room a slot in which something flows.
func (s *session) pictures(p *tab, roster []wire.Participant) {
	p.t.Helper()
	select {
	case <-s.media.flows:
	case <-p.ctx.Done():
		p.t.Fatal("the camera does not flow")
	}
	mids := eval[[]string](p, `bedside.tiles.map((t) => t.mid)`)
	var assignments []wire.Assignment
	for _, who := range roster {
		if who.ID == s.who.joined.Self || who.State != wire.StateAdmitted || !who.Connected || len(assignments) == len(mids) {
			continue
		}
		if who.Role == wire.RoleObserver || len(who.Muted) > 1 {
			continue
		}
		assignments = append(assignments, wire.Assignment{
			Mid: mids[len(assignments)], Participant: who.ID, Source: wire.SourceCamera, State: wire.SlotLive, RTP: s.media.now(),
		})
	}
	s.send(&wire.Slots{Epoch: 1, Assignments: assignments})
	p.until(fmt.Sprintf(`document.querySelectorAll('.tile[data-shown="true"]').length === %d`, len(assignments)))
}

// TestStates shows every state in both languages: nothing sticks out, every control can be hit, axe has
// nothing to say, no word is missing from the translations.
func TestStates(t *testing.T) {
	t.Parallel() // each has a browser of its own
	browser := newBrowser(t)
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, lang := range []string{"en", "de"} {
				if *updateImages {
					s.images(t, browser, lang)
					continue
				}
				f := newFake(t)
				f.marked = lang == "de"
				p := s.arrange(&set{t: t, browser: browser, lang: lang, f: f})
				if lang == "en" {
					p.checkAccessibility()
				} else {
					p.checkMarked()
				}
				p.checkSizes(lang)
				p.close()
			}
		})
	}
}

// checkSizes looks at the page from a small phone to a wall, on a phone's side and enlarged to 200 %.
func (p *tab) checkSizes(lang string) {
	p.t.Helper()
	sizes := [][2]int64{{320, 640}, {360, 740}, {768, 1024}, {1920, 1080}, {844, 390}, {640, 400}}
	if lang == "en" {
		sizes = sizes[:1] // German words are the longer ones
	}
	for _, size := range sizes {
		p.resize(size[0], size[1])
		if wrong := eval[string](p, sizesJS); wrong != "" {
			p.t.Errorf("%s at %d x %d: %s", lang, size[0], size[1], wrong)
		}
	}
}

// sizesJS says what is outside the page, too small to be hit, or cut off.
const sizesJS = `(() => {
	const wrong = [];
	const name = (e) => e.dataset.action ?? e.className ?? e.tagName;
	const wide = document.documentElement.scrollWidth;
	if (wide > innerWidth) wrong.push('the page is ' + wide + ' px wide');
	for (const e of document.querySelectorAll('button, input, select, summary, a, h1, h2, p, .label, .tile, .panel, .notice')) {
		const r = e.getBoundingClientRect();
		if (!e.checkVisibility() || r.width <= 1 || e.closest('.visually-hidden')) continue;
		if (r.left < -1 || r.right > innerWidth + 1) wrong.push('outside: ' + name(e));
		if (!e.matches('button, input, select, summary, a')) continue;
		const hit = e.type === 'checkbox' ? e.closest('label').getBoundingClientRect() : r;
		const least = e.matches('.control, .card .button, .dialog .button') ? 48 : 44;
		if (hit.width < least - .5 || hit.height < least - .5) wrong.push('small: ' + name(e) + ' ' + hit.width + ' x ' + hit.height);
		if (e.matches('button') && e.scrollWidth > e.clientWidth + 1) wrong.push('cut off: ' + name(e));
		if (e.closest('.bar, .top') && (r.top < 0 || r.bottom > innerHeight + 1)) wrong.push('below: ' + name(e));
	}
	return wrong.join('; ');
})()`

// checkAccessibility runs axe on a phone's and a desktop's width. Nothing at all is to be found.
func (p *tab) checkAccessibility() {
	p.t.Helper()
	eval[bool](p, axe+`;true`)
	for _, size := range [][2]int64{{390, 844}, {1280, 800}} {
		p.resize(size[0], size[1])
		for _, found := range eval[[]string](p, `axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.flatMap((v) =>
			v.nodes.map((n) => v.impact + ' ' + v.id + ': ' + n.html.slice(0, 160) + ' ' + n.failureSummary.replaceAll('\n', ' ').slice(0, 200))))`) {
			p.t.Errorf("axe at %d px: %s", size[0], found)
		}
	}
}

// marked is a strings file whose every text stands between two marks that are not seen and take no
// room: what a page says without them is written in its scripts.
func marked(source string) string {
	return strings.Replace(source, "export const strings =", "const plain =", 1) + `
const mark = (v) => typeof v === 'string' ? '\u2061' + v + '\u2062'
	: typeof v === 'function' ? (...a) => mark(v(...a))
	: Array.isArray(v) ? v.map(mark) : Object.fromEntries(Object.entries(v).map(([k, x]) => [k, mark(x)]));
export const strings = mark(plain);
`
}

// checkMarked finds words that do not come from the strings file. Names, messages and the names of
// devices and languages are nobody's to translate.
func (p *tab) checkMarked() {
	p.t.Helper()
	if found := eval[string](p, `(() => {
		const rest = (s) => { for (let b = ''; b !== s;) { b = s; s = s.replace(/\u2061[^\u2061\u2062]*\u2062/g, ''); } return s; };
		const found = [];
		const look = (s) => { if (/\p{L}/u.test(rest(s))) found.push(s); };
		const ours = '.languages, option, .message span, [lang="en"], .static';
		const all = document.createTreeWalker(document.querySelector('[data-bedside-state]:not([hidden])'), NodeFilter.SHOW_TEXT);
		while (all.nextNode()) if (!all.currentNode.parentElement.closest(ours)) look(all.currentNode.data);
		for (const e of document.querySelectorAll('[aria-label], [placeholder], [title], [aria-description], [alt]')) {
			for (const a of ['aria-label', 'placeholder', 'title', 'aria-description', 'alt']) look(e.getAttribute(a) ?? '');
		}
		if (!document.body.matches('.static')) look(document.title);
		return found.join(' | ');
	})()`); found != "" {
		p.t.Errorf("not from the strings file: %s", found)
	}
}

// images takes the pictures of the documentation. Somebody has to look at them.
func (s scene) images(t *testing.T, browser context.Context, lang string) {
	t.Helper()
	dir := filepath.Join("..", "..", "docs", "images", "states")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, size := range []*size{{"phone", 390, 844, 1}, {"desktop", 1280, 800, .75}} {
		p := s.arrange(&set{t: t, browser: browser, lang: lang, f: newFake(t), size: size})
		p.settle()
		quality := int64(50)
		got, err := chromedp.Run(p.ctx, chromedp.Action[[]byte](func(ctx context.Context, target *chromedp.Target) ([]byte, error) {
			r, err := cdp.Call(ctx, target, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: &quality})
			return r.Data, err
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, s.name+"-"+lang+"-"+size.name+".webp"), got, 0o644); err != nil {
			t.Fatal(err)
		}
		p.close()
	}
}
