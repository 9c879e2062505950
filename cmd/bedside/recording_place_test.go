package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bedside-video/bedside/cmd/internal/command"
)

// fakeServer serves the recordings of a directory like a server's API, and breaks every answer off after
// so many bytes.
func fakeServer(t *testing.T, dir, id string, breakAfter int64) (url string, broken *atomic.Int32) {
	t.Helper()
	broken = new(atomic.Int32)
	mux := http.NewServeMux()
	file := func(w http.ResponseWriter, r *http.Request, name string) {
		b, err := os.ReadFile(filepath.Join(dir, recordingsDir, id, name))
		if err != nil {
			http.Error(w, `{"detail":"there is no such recording"}`, http.StatusNotFound)
			return
		}
		cut := &cutWriter{w, breakAfter}
		http.ServeContent(cut, r, "", time.Time{}, bytes.NewReader(b))
		if cut.left < 0 {
			broken.Add(1)
			panic(http.ErrAbortHandler)
		}
	}
	mux.HandleFunc("GET /v1/recordings", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"recordings":[{"id":%q,"state":"complete"}]}`, id)
	})
	mux.HandleFunc("GET /v1/recordings/{id}/manifest", func(w http.ResponseWriter, r *http.Request) { file(w, r, id+".json") })
	mux.HandleFunc("GET /v1/recordings/{id}/key", func(w http.ResponseWriter, r *http.Request) { file(w, r, id+".key.age") })
	mux.HandleFunc("GET /v1/recordings/{id}/keys/{n}", func(w http.ResponseWriter, r *http.Request) {
		file(w, r, id+".key."+r.PathValue("n")+".age")
	})
	mux.HandleFunc("DELETE /v1/recordings/{id}/keys", func(w http.ResponseWriter, _ *http.Request) {
		if err := os.Remove(filepath.Join(dir, recordingsDir, id, id+".key.1.age")); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /v1/recordings/{id}/parts/{n}", func(w http.ResponseWriter, r *http.Request) {
		file(w, r, fmt.Sprintf("%s.p%03s.mkv.age", id, r.PathValue("n")))
	})
	mux.HandleFunc("PUT /v1/recordings/{id}/key", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		name := filepath.Join(dir, recordingsDir, id, id)
		if err != nil || os.Rename(name+".key.age", name+".key.1.age") != nil || os.WriteFile(filepath.Join(dir, recordingsDir, id, id+".key.age"), b, 0o600) != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /v1/recordings/{id}", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"detail":"the recording goes on: end it before"}`, http.StatusConflict)
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer bedside_right" {
			http.Error(w, `{"detail":"no such key"}`, http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, broken
}

type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (c *cutWriter) Write(b []byte) (int, error) {
	if c.left -= int64(len(b)); c.left < 0 {
		return c.ResponseWriter.Write(b[:max(0, int64(len(b))+c.left)])
	}
	return c.ResponseWriter.Write(b)
}

func TestRecordingsOfAServer(t *testing.T) {
	files, public := newPairs(t)
	others, otherPublic := newPairs(t)
	dir := t.TempDir()
	id, _ := newRecording(t, dir, public)
	url, broken := fakeServer(t, dir, id, 40_000)
	key := filepath.Join(t.TempDir(), "api.key")
	if err := os.WriteFile(key, []byte("bedside_right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	film := filepath.Join(t.TempDir(), "film.mkv")
	tests := []struct {
		name string
		args string
		code int
		out  string
		errs string
	}{
		{"list", "list", 0, id + ` .*complete  c-1\n$`, `^$`},
		{"show", "show " + id, 0, `"participant": "p-1"`, `^$`},
		{"show of a path", "show ../x", 1, `^$`, `no such recording`},
		{"verify", "verify " + id + " -i " + files[0], 0, `nothing is wrong`, `^$`},
		{"open", "open " + id + " -o " + film + " -i " + files[1], 0, `not encrypted any more`, `^$`},
		{"rewrap", "rewrap " + id + " -i " + files[0] + " --to " + otherPublic[0] + " --to " + otherPublic[1], 0, `sealed to`, `^$`},
		{"verify with the new key", "verify " + id + " -i " + others[0], 0, `nothing is wrong`, `^$`},
		{"verify with the former key", "verify " + id + " -i " + files[0], 1, `former key 1, which was replaced`, `1 things`},
		{"rewrap and forget", "rewrap " + id + " -i " + others[0] + " --to " + otherPublic[0] + " --to " + otherPublic[1] + " --forget", 0, `destroyed`, `^$`},
		{"verify with the forgotten key", "verify " + id + " -i " + files[0], 1, `^$`, `none of these identities`},
		{"erase", "erase " + id + " --yes", 1, `^$`, `409 Conflict: the recording goes on`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			args := append([]string{"recording"}, strings.Fields(tt.args)...)
			code := run(t.Context(), testWorld(&out, &errs), append(args, "--server", url, "--api-key-file", key))
			if code != tt.code || !regexp.MustCompile(tt.out).MatchString(out.String()) || !regexp.MustCompile(tt.errs).MatchString(errs.String()) {
				t.Errorf("exit code %d, printed %q, %q", code, out.String(), errs.String())
			}
		})
	}
	if broken.Load() == 0 {
		t.Error("no answer broke off")
	}
	if b, err := os.ReadFile(film); err != nil || !bytes.Contains(b, []byte("p-1 camera")) {
		t.Errorf("the film: %d bytes, %v", len(b), err)
	}
}

func TestServersThatAreNotAsked(t *testing.T) {
	for name, args := range map[string]string{
		"without TLS":     "--server http://video.example.org --api-key-file main.go",
		"no URL":          "--server video.example.org",
		"with a password": "--server https://a:b@video.example.org",
		"without a key":   "--server https://video.example.org",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(keyVariable, "")
			var out, errs bytes.Buffer
			if code := run(t.Context(), testWorld(&out, &errs), append([]string{"recording", "list"}, strings.Fields(args)...)); code != command.ExitFailed {
				t.Errorf("exit code %d: %s", code, errs.String())
			}
		})
	}
}
