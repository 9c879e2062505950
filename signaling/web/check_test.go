package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/signaling/wire"
)

// network is what the fake server lets a check of the connection find.
type network struct {
	blocked bool   // answer without candidates
	refuse  string // a code to refuse with
	rate    int    // bytes a second, either way; 0 without limit
	silent  bool   // tell no figures
	idle    int    // bit/s of pictures, although the way up is not full; 0: as much as rate
}

func (f *fake) network() network { f.mu.Lock(); defer f.mu.Unlock(); return f.net }

func (f *fake) setNetwork(n network) { f.mu.Lock(); f.net = n; f.mu.Unlock() }

// registerCheck serves the check of a connection.
func (f *fake) registerCheck(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/check", func(w http.ResponseWriter, r *http.Request) {
		n := f.network()
		if n.refuse != "" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"code":"`+n.refuse+`"}`)
			return
		}
		offer, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/sdp" {
			f.t.Errorf("check: %v, %s", err, r.Header.Get("Content-Type"))
		}
		answer, err := f.echo(string(offer))
		if err != nil {
			f.t.Errorf("check: %v", err)
		}
		if n.blocked {
			answer = withoutCandidates(answer)
		}
		if !n.silent {
			w.Header().Set("Location", "/v1/check/figures")
		}
		_, _ = io.WriteString(w, answer)
	})
	mux.HandleFunc("GET /v1/check/figures", f.tellFigures)
	mux.HandleFunc("GET /v1/check/download", func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 4096)
		for sent := 0; sent < 1<<20 && f.pace(r, len(chunk)); sent += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("POST /v1/check/upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil && f.pace(r, int(n)) {
			w.WriteHeader(http.StatusNoContent)
		}
	})
}

// tellFigures tells of the way down at once, and of the way up when pictures have come: the page must send them then.
func (f *fake) tellFigures(w http.ResponseWriter, r *http.Request) {
	n := f.network()
	tell := func(line string) {
		_, _ = io.WriteString(w, line+"\n")
		_ = http.NewResponseController(w).Flush()
	}
	rate, full := 2_000_000, false
	if n.rate > 0 {
		rate, full = n.rate*8, true
	}
	select {
	case <-f.pictures:
		f.t.Error("pictures were sent before they were wanted")
	default:
	}
	tell(fmt.Sprintf(`{"over":false,"down":%d,"down_full":%t,"loss_down":0.01}`, rate, full))
	select {
	case <-f.pictures:
	case <-r.Context().Done():
		return
	}
	up := rate
	if n.idle > 0 {
		up = n.idle
	}
	tell(fmt.Sprintf(`{"over":true,"down":%d,"down_full":%t,"up":%d,"up_full":%t,"loss_down":0.01,"loss_up":0}`, rate, full, up, full))
}

// pace waits as long as n bytes take; false when the client has gone.
func (f *fake) pace(r *http.Request, n int) bool {
	rate := f.network().rate
	if rate == 0 {
		return true
	}
	timer := time.NewTimer(time.Duration(n) * time.Second / time.Duration(rate))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// echo answers with a connection that sends sound back.
func (f *fake) echo(offer string) (string, error) {
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	set := webrtc.SettingEngine{LoggerFactory: quiet}
	set.SetLite(true)
	set.SetIncludeLoopbackCandidate(true)
	set.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(set)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	f.t.Cleanup(func() { _ = pc.GracefulClose() })
	back, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "back", "back")
	if err != nil {
		return "", err
	}
	if _, err := pc.AddTransceiverFromTrack(back, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		return "", err
	}
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if remote.Kind() == webrtc.RTPCodecTypeVideo {
			if _, _, err := remote.ReadRTP(); err == nil {
				f.pictures <- struct{}{}
			}
			return
		}
		for {
			p, _, err := remote.ReadRTP()
			if err != nil || back.WriteRTP(p) != nil {
				return
			}
		}
	})
	return (&media{pc: pc}).answer(offer)
}

// testCheck: each verdict, found by the page itself, by keyboard.
func testCheck(t *testing.T, browser context.Context) {
	for _, tt := range []struct {
		name    string
		net     network
		verdict string
		title   string
	}{
		{"good", network{}, "ok", "Your connection is good"},
		{"250 kbit/s", network{rate: 250_000 / 8}, "warn", "Your connection is weak"},
		{"100 kbit/s", network{rate: 100_000 / 8}, "audio", "Your connection is too slow for video"},
		{"250 kbit/s, and nobody tells", network{rate: 250_000 / 8, silent: true}, "warn", "Your connection is weak"},
		{"an encoder that fills no line", network{idle: 200_000}, "ok", "Your connection is good"},
		{"no UDP", network{blocked: true}, "blocked", "Your network blocks video calls"},
		{"busy", network{refuse: wire.CodeRateLimited}, "busy", "The check is busy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // each waits for seconds, most of the time for nothing
			f := newFake(t)
			f.setNetwork(tt.net)
			p := newTab(t, browser, f.URL+"/precall", "")
			p.state("welcome", "Check your camera and microphone")
			p.press("continue")
			p.press("done")
			began := time.Now()
			p.until(`document.querySelector('.connection-check')?.dataset.verdict === '` + tt.verdict + `'`)
			p.state("connection", tt.title)
			t.Logf("figure: %s: %q in %v", tt.name, tt.verdict, time.Since(began).Round(100*time.Millisecond))
			p.until(`document.activeElement === document.querySelector('h1')`)
			if tt.verdict == "ok" {
				p.until(`/UDP\): yes/.test(document.querySelector('details').textContent) && /lost/.test(document.querySelector('details').textContent)`)
				p.press("again")
				p.until(`document.querySelector('.connection-check').dataset.verdict === 'running'`)
			}
		})
	}
}
