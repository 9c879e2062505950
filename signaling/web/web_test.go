package web_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/signaling/web"
)

func newMux(t *testing.T, o web.Options) *http.ServeMux {
	t.Helper()
	site, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	site.Register(mux)
	return mux
}

func get(t *testing.T, h http.Handler, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoutes(t *testing.T) {
	mux := newMux(t, web.Options{})
	for _, test := range []struct {
		path, contentType string
		status            int
	}{
		{"/j/", "text/html; charset=utf-8", 200},
		{"/c/c_123", "text/html; charset=utf-8", 200},
		{"/precall", "text/html; charset=utf-8", 200},
		{"/sdk/v1/bedside.js", "text/javascript; charset=utf-8", 200},
		{"/sdk/v1/bedside.d.ts", "application/typescript; charset=utf-8", 200},
		{"/sdk/v1/ui/style.css", "text/css; charset=utf-8", 200},
		{"/sdk/v1/ui/icon.svg", "image/svg+xml", 200},
		{"/j/a-secret-in-the-path", "text/plain; charset=utf-8", 404},
		{"/c/", "text/plain; charset=utf-8", 404},
		{"/sdk/v1/", "text/plain; charset=utf-8", 404},
		{"/sdk/v1/ui", "text/plain; charset=utf-8", 404},
		{"/sdk/v1/../../web.go", "text/html; charset=utf-8", 307}, // the mux cleans it
	} {
		t.Run(test.path, func(t *testing.T) {
			r := get(t, mux, test.path)
			if r.StatusCode != test.status || r.Header.Get("Content-Type") != test.contentType {
				t.Errorf("%d %q, want %d %q", r.StatusCode, r.Header.Get("Content-Type"), test.status, test.contentType)
			}
		})
	}
}

func TestPageHeaders(t *testing.T) {
	mux := newMux(t, web.Options{})
	for _, path := range []string{"/j/", "/c/c_123", "/precall"} {
		h := get(t, mux, path).Header
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
				"img-src 'self' data:; media-src blob: mediastream:; base-uri 'none'; form-action 'none'; " +
				"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types bedside",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Cache-Control":                "no-cache",
			"Vary":                         "Accept-Encoding",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Access-Control-Allow-Origin":  "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if p := h.Get("Permissions-Policy"); !strings.Contains(p, "camera=(self), microphone=(self)") || !strings.Contains(p, "geolocation=()") {
			t.Errorf("%s: Permissions-Policy %q", path, p)
		}
	}
	if got := get(t, mux, "/sdk/v1/bedside.js").Header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("the SDK is readable by %q, want everybody", got)
	}
}

func TestOptions(t *testing.T) {
	mux := newMux(t, web.Options{FrameAncestors: []string{"https://portal.example"}, ConnectOrigins: []string{"wss://b.example:8443"}})
	h := get(t, mux, "/j/").Header
	csp := h.Get("Content-Security-Policy")
	if !strings.Contains(csp, "frame-ancestors https://portal.example;") || !strings.Contains(csp, "connect-src 'self' wss://b.example:8443;") {
		t.Errorf("policy %q", csp)
	}
	if got := h.Get("X-Frame-Options"); got != "" {
		t.Errorf("X-Frame-Options %q forbids what the policy allows", got)
	}
	for _, bad := range []string{
		"", "portal.example", "https://", "https://a.example/path", "https://a.example; script-src *",
		"https://a.example https://b.example", "'unsafe-inline'", "javascript://a.example", "https://a.example?x",
	} {
		if _, err := web.New(web.Options{FrameAncestors: []string{bad}}); !errors.Is(err, web.ErrOrigin) {
			t.Errorf("frame ancestor %q: %v", bad, err)
		}
		if _, err := web.New(web.Options{ConnectOrigins: []string{bad}}); !errors.Is(err, web.ErrOrigin) {
			t.Errorf("connect origin %q: %v", bad, err)
		}
	}
}

func TestCaching(t *testing.T) {
	mux := newMux(t, web.Options{})
	for _, path := range []string{"/j/", "/sdk/v1/bedside.js"} {
		plain := get(t, mux, path)
		small := get(t, mux, path, "Accept-Encoding", "br, gzip;q=0.8")
		if plain.Header.Get("ETag") == small.Header.Get("ETag") {
			t.Errorf("%s: both encodings have the ETag %s", path, plain.Header.Get("ETag"))
		}
		z, err := gzip.NewReader(small.Body)
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(unpacked, body(t, plain)) {
			t.Errorf("%s: the encodings differ", path)
		}
		again := get(t, mux, path, "Accept-Encoding", "gzip", "If-None-Match", small.Header.Get("ETag"))
		if b := body(t, again); again.StatusCode != http.StatusNotModified || len(b) != 0 {
			t.Errorf("%s: %d with %d bytes, want 304 with none", path, again.StatusCode, len(b))
		}
		if other := get(t, mux, path, "If-None-Match", small.Header.Get("ETag")); other.StatusCode != http.StatusOK {
			t.Errorf("%s: another encoding's ETag gives %d", path, other.StatusCode)
		}
	}
	for _, refused := range []string{"gzip;q=0", "gzip; q=0.0", "br", "", "x-gzip"} {
		if got := get(t, mux, "/j/", "Accept-Encoding", refused).Header.Get("Content-Encoding"); got != "" {
			t.Errorf("Accept-Encoding %q was answered with %s", refused, got)
		}
	}
}

// loaded returns what a browser loads for a page or module: itself and everything it names.
func loaded(t *testing.T, mux http.Handler, path string, seen map[string]int) {
	t.Helper()
	if _, ok := seen[path]; ok {
		return
	}
	r := get(t, mux, path, "Accept-Encoding", "gzip")
	if r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d", path, r.StatusCode)
	}
	seen[path] = len(body(t, r))
	text := body(t, get(t, mux, path))
	for _, m := range regexp.MustCompile(`(?:src|href)="(/sdk[^"]+)"`).FindAllSubmatch(text, -1) {
		loaded(t, mux, string(m[1]), seen)
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:import|export) [^']*'(\.[^']+)';`).FindAllSubmatch(text, -1) {
		loaded(t, mux, filepath.Join(filepath.Dir(path), string(m[1])), seen)
	}
}

func TestSizes(t *testing.T) {
	mux := newMux(t, web.Options{})
	for _, test := range []struct {
		path string
		also []string // what is loaded by import()
		most int      // bytes, gzip
	}{
		{"/sdk/v1/bedside.js", nil, 15_000},
		{"/j/", []string{"/sdk/v1/ui/app.js", "/sdk/v1/ui/strings.en.js"}, 60_000},
		{"/precall", []string{"/sdk/v1/ui/strings.en.js"}, 60_000},
	} {
		seen := make(map[string]int)
		for _, path := range append(test.also, test.path) {
			loaded(t, mux, path, seen)
		}
		total := 0
		for _, n := range seen {
			total += n
		}
		t.Logf("%s: %d files, %d bytes gzip", test.path, len(seen), total)
		if total > test.most {
			t.Errorf("%s: %d bytes gzip, at most %d", test.path, total, test.most)
		}
	}
}

// TestLean: what is served is the source without its comment lines, and nothing else is lost. A
// comment cannot be told from text inside a literal of several lines: there must be none.
func TestLean(t *testing.T) {
	mux := newMux(t, web.Options{})
	comment := regexp.MustCompile(`(?m)^[ \t]*(//.*|/\*(?s:.*?)\*/)?[ \t]*\n`)
	files := 0
	err := filepath.WalkDir("assets/sdk", func(name string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(name); err != nil || (ext != ".js" && ext != ".css") {
			return err
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		want := comment.ReplaceAllString(string(source), "")
		if got := string(body(t, get(t, mux, web.SDKPath+strings.TrimPrefix(filepath.ToSlash(name), "assets/sdk/")))); got != want {
			t.Errorf("%s: served is not the source without comments", name)
		}
		for i, line := range strings.Split(want, "\n") {
			if strings.Count(line, "`")%2 != 0 {
				t.Errorf("%s: line %d: a literal of several lines", name, i+1)
			}
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestPreload: every module of the page is named in it, so that none waits for another's imports.
func TestPreload(t *testing.T) {
	mux := newMux(t, web.Options{})
	for page, missing := range map[string][]string{
		"/j/":      {"/sdk/v1/ui/fallback.js", "/sdk/v1/ui/page.js"}, // scripts of the page itself
		"/precall": {"/sdk/v1/ui/fallback.js", "/sdk/v1/ui/precall.js"},
	} {
		text := string(body(t, get(t, mux, page)))
		seen := make(map[string]int)
		loaded(t, mux, page, seen)
		for path := range seen {
			if strings.HasSuffix(path, ".js") && !slices.Contains(missing, path) && !strings.Contains(text, `<link rel="modulepreload" href="`+path+`">`) {
				t.Errorf("%s does not preload %s", page, path)
			}
		}
	}
}

// TestNothingFromOutside: no page or module names another host.
func TestNothingFromOutside(t *testing.T) {
	mux := newMux(t, web.Options{})
	known := []string{"http://www.w3.org/2000/svg", "https://video.example"} // a namespace, an example in a comment
	seen := make(map[string]int)
	for _, path := range []string{"/j/", "/precall", "/c/x", "/sdk/v1/ui/app.js", "/sdk/v1/ui/strings.en.js", "/sdk/v1/bedside.d.ts"} {
		loaded(t, mux, path, seen)
	}
	for path := range seen {
		for _, url := range regexp.MustCompile(`(?:https?:)?//[a-z0-9][a-z0-9.-]+\.[a-z]{2,}[^\s'"]*`).FindAllString(string(body(t, get(t, mux, path))), -1) {
			if !slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(url, k) }) {
				t.Errorf("%s names %s", path, url)
			}
		}
	}
}

// TestTypes lets the TypeScript compiler check bedside.d.ts and a program that uses it.
func TestTypes(t *testing.T) {
	tsc, err := exec.LookPath("tsc")
	if err != nil {
		t.Skip("tsc is not installed (npm install -g typescript): bedside.d.ts was not checked")
	}
	dir := t.TempDir()
	types := body(t, get(t, newMux(t, web.Options{}), "/sdk/v1/bedside.d.ts"))
	program, err := os.ReadFile("testdata/types.ts")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"bedside.d.ts": types, "types.ts": program} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(tsc, "--noEmit", "--strict", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler",
		"--lib", "es2022,dom,dom.iterable", "types.ts", "bedside.d.ts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
}

// TestScope: the style sheet leaves everything alone that is not below the element. A portal has
// cards and buttons of its own.
func TestScope(t *testing.T) {
	text := string(body(t, get(t, newMux(t, web.Options{}), "/sdk/v1/ui/style.css")))
	text = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(text, "")
	rules := regexp.MustCompile(`([^{};]+)\{`).FindAllStringSubmatch(text, -1)
	if len(rules) < 100 {
		t.Errorf("only %d rules were looked at", len(rules))
	}
	for _, r := range rules {
		selector := strings.TrimSpace(r[1])
		if strings.HasPrefix(selector, "@") || selector == ":where(:root, bedside-consultation)" {
			continue // the latter sets variables alone
		}
		for _, one := range commas(selector) {
			one = strings.TrimSpace(one)
			if !regexp.MustCompile(`^(?::where\()?(?:bedside-consultation|\[data-bedside-state)`).MatchString(one) {
				t.Errorf("%q holds outside the element", one)
			}
		}
	}
}

// commas splits a list of selectors, those within parentheses left alone.
func commas(list string) []string {
	depth := 0
	return strings.FieldsFunc(list, func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return depth == 0 && r == ','
	})
}
