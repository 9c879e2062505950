package web_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// samplesJS lists every text of a language: its path, its kind, what it says. Functions are called
// with values that can be found again in what they say.
const samplesJS = `globalThis.samples = async (language) => {
	const { strings } = await import('/sdk/v1/ui/strings.' + language + '.js');
	const at = new Date(2026, 10, 23, 9, 41);
	const figures = { width: 1280, height: 720, frames: 29, loss: 3.5, concealed: 1.5, jitter: 17, roundTrip: 153, down: 2.5, up: 4.5 };
	const about = { opensAt: at, closedAt: at, until: at, host: 'HOST', port: '8443' };
	const value = (name) => ({ d: at, n: 7, minutes: 8, seconds: 9, figures, about })[name] ?? name.toUpperCase();
	const known = ['HOST', '8443', '09:41', ...Object.values(figures).map(String), '7', '8', '9'];
	const out = {};
	const visit = (path, v) => {
		if (Array.isArray(v)) v.forEach((x, i) => visit(path + '.' + i, x));
		else if (typeof v === 'object') for (const [k, x] of Object.entries(v)) visit(path ? path + '.' + k : k, x);
		else if (typeof v === 'string') out[path] = { kind: 'text', says: v, values: '' };
		else {
			const names = v.toString().match(/^\(?([^)=]*)\)?\s*=>/)[1].split(',').map((s) => s.trim()).filter(Boolean);
			const says = [v(...names.map(value))].flat().join(' ');
			const values = [...known, ...names.map((s) => s.toUpperCase())].filter((x) => says.includes(x));
			out[path] = { kind: 'function of ' + names.join(), says, values: [...new Set(values)].sort().join(' ') };
		}
	};
	visit('', strings);
	return out;
};`

type sample struct{ Kind, Says, Values string }

// testStrings: the languages have the same texts, which say the same things of what they are given, and
// the pages use every one of them.
func testStrings(t *testing.T, browser context.Context) {
	f := newFake(t)
	p := newTab(t, browser, f.URL+"/c/x", "")
	english := eval[map[string]sample](p, samplesJS+`samples('en')`)
	german := eval[map[string]sample](p, samplesJS+`samples('de')`)
	if len(english) < 200 {
		t.Fatalf("%d texts: the files were not read", len(english))
	}
	same := 0
	for path, en := range english {
		de, ok := german[path]
		switch {
		case !ok:
			t.Errorf("%s is not in German", path)
		case de.Kind != en.Kind || de.Values != en.Values:
			t.Errorf("%s: a %s that tells %q in English, a %s that tells %q in German", path, en.Kind, en.Values, de.Kind, de.Values)
		case de.Says == en.Says:
			same++
		}
		if text := en.Says + german[path].Says; strings.ContainsAny(text, "!\u2026") {
			t.Errorf("%s: an exclamation mark or an ellipsis: %s", path, text)
		}
	}
	for path := range german {
		if _, ok := english[path]; !ok {
			t.Errorf("%s is in German only", path)
		}
	}
	if same > 12 { // Chat, PIN, names with roles
		t.Errorf("%d texts are the same in both languages: not translated?", same)
	}
	t.Logf("figure: %d texts in 2 languages", len(english))
	checkUsed(t, english)
}

// checkUsed: texts that nobody says had better go. Codes come from the server.
func checkUsed(t *testing.T, texts map[string]sample) {
	t.Helper()
	var scripts strings.Builder
	for _, name := range scriptFiles(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(text)
	}
	protocol, err := os.ReadFile("../wire/wire.go")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, m := range regexp.MustCompile(`= "([a-z_]+)"`).FindAllStringSubmatch(string(protocol), -1) {
		codes = append(codes, m[1])
	}
	used := make(map[string]bool)
	for path := range texts {
		for part := range strings.SplitSeq(path, ".") {
			if used[part] || regexp.MustCompile(`^\d+$`).MatchString(part) || slices.Contains(codes, part) {
				continue
			}
			used[part] = regexp.MustCompile(`(?:\W|^)` + regexp.QuoteMeta(part) + `(?:\W|$)`).MatchString(scripts.String())
			if made := regexp.MustCompile(`^(camera|microphone)_(denied|in_use|none)$|^without-`).MatchString(part); !used[part] && !made {
				t.Errorf("no script says %s", path)
			}
		}
	}
}

// scriptFiles are the pages' own scripts without the languages.
func scriptFiles(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir("assets/sdk", func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".js") && !strings.Contains(name, "strings.") {
			names = append(names, name)
		}
		return err
	})
	if err != nil || len(names) < 20 {
		t.Fatalf("%d scripts, %v", len(names), err)
	}
	return names
}

// TestColours: whatever has a colour, a radius, a shadow or a font takes it from a property that a
// vendor can set.
func TestColours(t *testing.T) {
	css, err := os.ReadFile("assets/sdk/ui/style.css")
	if err != nil {
		t.Fatal(err)
	}
	head, rules, ok := strings.Cut(string(css), "\n}\n")
	if !ok || !strings.Contains(head, "--bedside-accent:") {
		t.Fatal("the properties do not stand at the beginning")
	}
	for _, found := range regexp.MustCompile(`(?i)#[0-9a-f]{3,8}\b[^{]*?;|\brgba?\(|\bhsla?\(|:\s*(?:white|black|red)\b`).FindAllString(rules, -1) {
		t.Errorf("a colour outside the properties: %s", found)
	}
	for _, property := range regexp.MustCompile(`var\((--bedside-[a-z-]+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(head, property[1]+":") {
			t.Errorf("%s is used and not defined", property[1])
		}
	}
	for _, property := range regexp.MustCompile(`(--bedside-[a-z-]+):`).FindAllStringSubmatch(head, -1) {
		if !strings.Contains(string(css), "var("+property[1]) {
			t.Errorf("%s is defined and not used", property[1])
		}
	}
}

// testRightToLeft: the page keeps its order when the text runs the other way.
func testRightToLeft(t *testing.T, browser context.Context) {
	p := (&set{t: t, browser: browser, lang: "en", f: newFake(t)}).group(true)
	eval[bool](p, `document.documentElement.dir = 'rtl', true`)
	p.resize(1280, 800)
	side := func(selector string) int {
		return eval[int](p, fmt.Sprintf(`(({ left, right }) => (left + right) / 2 < innerWidth / 2 ? -1 : 1)(document.querySelector(%q).getBoundingClientRect())`, selector))
	}
	for selector, want := range map[string]int{`[part=people]`: -1, `[data-action=mic]`: 1, `[data-action=leave]`: -1, `[data-action=end]`: -1, `.top h1`: 1} {
		if got := side(selector); got != want {
			t.Errorf("%s is on side %d, want %d", selector, got, want)
		}
	}
	if covered := eval[string](p, `(() => {
		const own = document.querySelector('.selfview').getBoundingClientRect();
		return [...document.querySelectorAll('.tile')].filter((e) => {
			const r = e.getBoundingClientRect();
			return r.left < own.right - 1 && own.left < r.right - 1 && r.top < own.bottom - 1 && own.top < r.bottom - 1;
		}).map((e) => e.dataset.participant).join();
	})()`); covered != "" {
		t.Errorf("one's own picture covers %s", covered)
	}
	for _, width := range []int64{360, 1280} {
		p.resize(width, 800)
		if wrong := eval[string](p, sizesJS); wrong != "" {
			t.Errorf("at %d px: %s", width, wrong)
		}
	}
}
