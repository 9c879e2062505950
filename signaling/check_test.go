package signaling_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/signaling"
)

// check asks for one of the requests of a check.
func (w *world) check(kind, body string) answer {
	sdp := http.Header{"Content-Type": {"application/sdp"}}
	switch kind {
	case "media":
		return w.ask("POST", "/v1/check", sdp, body)
	case "download":
		return w.ask("GET", "/v1/check/download", nil, "")
	}
	return w.ask("POST", "/v1/check/upload", http.Header{"Content-Type": {"text/plain"}}, body)
}

// TestChecksOfConnections is the check of a connection as a page makes it: nobody shows an invitation.
func TestChecksOfConnections(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if a := w.check("media", "an offer"); a.status != 200 || string(a.body) != "an answer" || a.header.Get("Content-Type") != "application/sdp" {
			t.Errorf("media: %d %s", a.status, a.body)
		}
		began := time.Now()
		a := w.check("download", "")
		took := time.Since(began)
		if rate := float64(len(a.body)) / took.Seconds(); a.status != 200 || len(a.body) > 2_010_000 || rate < 490_000 || rate > 510_000 {
			t.Errorf("download: %d, %d bytes in %v", a.status, len(a.body), took)
		}
		began = time.Now()
		if a = w.check("upload", strings.Repeat("x", 500_000)); a.status != 204 || time.Since(began) < 980*time.Millisecond {
			t.Errorf("upload: %d in %v", a.status, time.Since(began))
		}
		var told float64
		if _, err := fmt.Sscanf(a.header.Get("Server-Timing"), "body;dur=%f", &told); err != nil || told < 980 || told > 1020 {
			t.Errorf("the body took %q", a.header.Get("Server-Timing"))
		}
		for _, kind := range []string{"media", "download", "upload"} {
			if line := `bedside_checks_total{kind="` + kind + `",outcome="ok"} 1`; !strings.Contains(w.metricsText(), line+"\n") {
				t.Errorf("no %s in the metrics", line)
			}
		}
	})
}

// TestFiguresOfACheck: who makes a check is told what it finds, as it finds it, and nobody else.
func TestFiguresOfACheck(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		at := w.check("media", "an offer").header.Get("Location")
		if len(at) != len("/v1/check/")+22 {
			t.Fatalf("Location: %q", at)
		}
		w.media.tellCheck(sfu.CheckFigures{Down: sfu.Rate{Bitrate: 250_000, Full: true}, LossDown: sfu.Share{Lost: 1, Of: 100}})
		w.media.tellCheck(sfu.CheckFigures{
			Over: true, Down: sfu.Rate{Bitrate: 250_000, Full: true}, Up: sfu.Rate{Bitrate: 900_000},
			LossDown: sfu.Share{Lost: 1, Of: 100}, LossUp: sfu.Share{Lost: 0, Of: 100},
		})
		a := w.ask("GET", at, nil, "")
		want := `{"over":false,"down":250000,"down_full":true,"loss_down":0.01}` + "\n" +
			`{"over":true,"down":250000,"down_full":true,"up":900000,"loss_down":0.01,"loss_up":0}` + "\n"
		if string(a.body) != want || a.header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%d %s, want %s", a.status, a.body, want)
		}
		for range 100 { // what nobody reads is not kept for ever
			w.media.tellCheck(sfu.CheckFigures{})
		}
		w.media.endCheck()
		w.advance(time.Second)
		if a := w.ask("GET", at, nil, ""); a.status != 404 || a.code() != "not_found" {
			t.Errorf("after the end: %d %s", a.status, a.body)
		}
		if a := w.ask("GET", "/v1/check/AAAAAAAAAAAAAAAAAAAAAA", nil, ""); a.status != 404 {
			t.Errorf("a guess: %d %s", a.status, a.body)
		}
	})
}

// TestFiguresEndWithTheCheck: who waits for figures is not left waiting when there are no more.
func TestFiguresEndWithTheCheck(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		at := w.check("media", "an offer").header.Get("Location")
		answers := make(chan answer, 1)
		runAsk := func() { answers <- w.ask("GET", at, nil, "") }
		go runAsk()
		w.advance(time.Second)
		w.media.endCheck()
		if a := <-answers; a.status != 200 || len(a.body) != 0 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// TestChecksAreBounded: they take no invitation, so that anybody may ask.
func TestChecksAreBounded(t *testing.T) {
	portal := func(c *config.Signaling, _ *signaling.Deps) { c.Origins = []string{"https://portal.example"} }
	ask := func(origin, method, path string) func(*world) answer {
		return func(w *world) answer { return w.ask(method, path, http.Header{"Origin": {origin}}, "") }
	}
	for _, tt := range []struct {
		name   string
		ask    func(*world) answer
		status int
		code   string
	}{
		{"no offer", func(w *world) answer { return w.check("media", "v=0") }, 400, "bad_sdp"},
		{"no type", func(w *world) answer { return w.ask("POST", "/v1/check", nil, "an offer") }, 415, "bad_request"},
		{"an offer of 64 KiB and a byte", func(w *world) answer { return w.check("media", strings.Repeat("x", 64<<10+1)) }, 413, "message_too_large"},
		{"a third connection of an address", func(w *world) answer {
			w.check("media", "an offer")
			w.check("media", "an offer")
			return w.check("media", "an offer")
		}, 429, "rate_limited"},
		{"a third that comes after one is over", func(w *world) answer {
			w.check("media", "an offer")
			w.check("media", "an offer")
			w.media.endCheck()
			return w.check("media", "an offer")
		}, 200, ""},
		{"2 MB and a byte", func(w *world) answer { return w.check("upload", strings.Repeat("x", 2_000_001)) }, 413, "message_too_large"},
		{"the ninth request at once", func(w *world) answer {
			for range 8 {
				w.check("media", "v=0")
			}
			return w.check("media", "v=0")
		}, 429, "rate_limited"},
		{"a parameter", func(w *world) answer { return w.ask("GET", "/v1/check/download?bytes=1000000000", nil, "") }, 400, "token_in_url"},
		{"a page of another origin", ask("https://evil.example", "POST", "/v1/check/upload"), 403, "forbidden"},
		{"a page of the portal", ask("https://portal.example", "POST", "/v1/check/upload"), 204, ""},
		{"another method", ask("http://bedside.test", "PUT", "/v1/check"), 404, "not_found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, portal, func(w *world) {
				a := tt.ask(w)
				w.advance(time.Second) // net/http lingers where it has not read all
				code := ""
				if a.status >= 400 {
					code = a.code()
				}
				if a.status != tt.status || code != tt.code {
					t.Errorf("%d %s, want %d %s", a.status, code, tt.status, tt.code)
				}
				if refused := a.status == 429 || a.status == 503; refused && a.header.Get("Retry-After") == "" {
					t.Error("nothing says when to try again")
				}
				if a.header.Get("Cache-Control") != "no-store" && a.status != 404 {
					t.Errorf("headers %v", a.header)
				}
			})
		})
	}
}
