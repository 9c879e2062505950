package bidi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/browser/bidi"
)

const page = `<!doctype html><title>page</title><body style="margin:0">
<button style="position:absolute;left:50px;top:60px;width:40px;height:20px" onclick="pressed++">Press</button>
<script>var pressed = 0; console.error('seen ' + before)</script>`

func TestBrowser(t *testing.T) {
	path, err := exec.LookPath("firefox-esr")
	if err != nil {
		t.Skip("firefox-esr is not installed: apt-get install firefox-esr")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // of a busy machine
	defer cancel()
	pages := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, page)
	}))
	defer pages.Close()
	entries := make(chan bidi.Entry, 16)
	start := time.Now()
	browser, err := bidi.Start(ctx, bidi.Options{Path: path, Profile: t.TempDir(), Log: func(e bidi.Entry) {
		select {
		case entries <- e:
		default: // a test that is about one entry
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	t.Logf("figure: Firefox can be driven %v after its start", time.Since(start).Round(time.Millisecond))
	tab, err := browser.Open(ctx, 800, 600, "window.before = 'the preload script'")
	if err != nil {
		t.Fatal(err)
	}
	if err := tab.Navigate(ctx, pages.URL); err != nil { // a certificate that nobody vouches for
		t.Fatal(err)
	}
	t.Run("console", func(t *testing.T) {
		want := bidi.Entry{Tab: tab.ID, Level: "error", Text: "seen the preload script"}
		select {
		case got := <-entries:
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		case <-ctx.Done():
			t.Error("no entry")
		}
	})
	t.Run("click", func(t *testing.T) {
		if err := tab.Click(ctx, 70, 70); err != nil {
			t.Fatal(err)
		}
		wantValue(t, tab, "pressed", "1")
	})
	t.Run("values", func(t *testing.T) {
		wantValue(t, tab, "Promise.resolve({a: [1, 'two', null]})", `{"a":[1,"two",null]}`)
		wantValue(t, tab, "undefined", "")
		wantValue(t, tab, "innerWidth + 'x' + innerHeight", `"800x600"`)
	})
	t.Run("exception", func(t *testing.T) {
		for _, js := range []string{"Promise.reject(new Error('the words'))", "(() => { throw 'the words' })()", "the words"} {
			_, err := tab.Evaluate(ctx, js)
			if !errors.Is(err, bidi.ErrException) || js != "the words" && !strings.Contains(err.Error(), "the words") {
				t.Errorf("%s: got %v, want an exception with its words", js, err)
			}
		}
	})
	t.Run("deadline", func(t *testing.T) {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if _, err := tab.Evaluate(short, "new Promise(() => {})"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
	})
	t.Run("picture", func(t *testing.T) {
		png, err := tab.Screenshot(ctx)
		if err != nil || !strings.HasPrefix(string(png), "\x89PNG") {
			t.Errorf("got %d bytes, error %v; want a PNG", len(png), err)
		}
	})
	t.Run("closed tab", func(t *testing.T) {
		if err := tab.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := tab.Evaluate(ctx, "1"); err == nil {
			t.Error("a closed tab evaluates")
		}
	})
	t.Run("closed browser", func(t *testing.T) {
		browser.Close()
		if _, err := tab.Evaluate(ctx, "1"); err == nil {
			t.Error("a closed browser evaluates")
		}
	})
}

func wantValue(t *testing.T, tab *bidi.Tab, js, want string) {
	t.Helper()
	got, err := tab.Evaluate(t.Context(), js)
	if err != nil || string(got) != want {
		t.Errorf("%s: got %s, error %v; want %s", js, got, err, want)
	}
}

func TestStartWithoutFirefox(t *testing.T) {
	_, err := bidi.Start(t.Context(), bidi.Options{Path: "true", Profile: t.TempDir()})
	if !errors.Is(err, bidi.ErrNotListening) {
		t.Errorf("got %v, want %v", err, bidi.ErrNotListening)
	}
}
