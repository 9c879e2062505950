package signaling_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	withWall = `"participants":[{"role":"clinician","ref":"a"},{"role":"patient","ref":"b"},{"role":"device","ref":"c"},{"role":"observer","ref":"d"},{"role":"device","ref":"e","watch":true}]`
	theWall  = 4
)

var whepOffer = strings.ReplaceAll(whipOffer, "sendonly", "recvonly")

// watch has the wall display watch by WHEP.
func (v *visit) watch() *publisher {
	v.Helper()
	p := &publisher{visit: v, id: v.Participants[theWall].ID, token: v.token(theWall)}
	a := v.ask("POST", "/v1/whep", bearing(p.token, "application/sdp"), whepOffer)
	if a.status != 201 || a.header.Get("Content-Type") != "application/sdp" || !strings.HasPrefix(string(a.body), "v=0") {
		v.Fatalf("watch: %d %s", a.status, a.body)
	}
	p.location, p.etag = a.header.Get("Location"), a.header.Get("ETag")
	return p
}

// watchers returns which lines of somebody's last roster say that they watch.
func (c *client) watchers() (ids []string) {
	c.Helper()
	roster := c.last("roster").(*wire.Roster)
	for _, p := range roster.Participants {
		if p.Watch {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

func TestWHEP(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(withWall)
		doctor, patient := v.enter(0), v.enter(1)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 10)
		p := v.watch()
		if p.etag != `"1"` || !strings.HasPrefix(p.location, "/v1/whep/s_") {
			t.Errorf("ETag %s, Location %s", p.etag, p.location)
		}
		// Its patient is there, and still a clinician has to let it in.
		doctor.wantSee("clinician:admitted patient:admitted device:waiting")
		v.wantFlowing("clinician patient")
		if tracks, subscribes := v.media.published(p.id); len(tracks) != 0 || !subscribes {
			t.Errorf("the wall publishes %v, receives: %t", tracks, subscribes)
		}
		doctor.wantAnswer("done", &wire.Admit{Participant: p.id}, 11)
		v.wantFlowing("clinician patient device")
		for _, c := range []*client{doctor, patient} {
			if got := c.watchers(); !slices.Equal(got, []string{p.id}) {
				t.Errorf("told that %v watch, want %s", got, p.id)
			}
		}
		doctor.wantAnswer("done", &wire.Hold{Participant: v.Participants[1].ID}, 12)
		v.wantFlowing("clinician")
		doctor.wantAnswer("done", &wire.Unhold{Participant: v.Participants[1].ID}, 13)
		v.wantFlowing("clinician patient")
		doctor.wantAnswer("done", &wire.Unhold{Participant: p.id}, 14)
		v.wantFlowing("clinician patient device")
		if a := v.ask("DELETE", p.location, bearing(p.token, ""), ""); a.status != 200 {
			t.Errorf("DELETE: %d %s", a.status, a.body)
		}
		v.wantFlowing("clinician patient")
		p.wantGone()
		want := []string{"person.waiting", "person.admitted", "person.held", "person.resumed", "person.left"}
		if names := w.trail(p.id); !slices.Equal(names, want) {
			t.Errorf("the audit log has %v, want %v", names, want)
		}
	})
}

func TestWHEPRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		who    int
		header func(token string) http.Header
		body   string
		status int
		code   string
	}{
		{"no token", theWall, func(string) http.Header { return bearing("", "application/sdp") }, whepOffer, 401, "unauthorized"},
		{"no token of ours", theWall, func(string) http.Header { return bearing("x", "application/sdp") }, whepOffer, 401, "token_invalid"},
		{"an API key", theWall, func(string) http.Header { return bearing(apiKey, "application/sdp") }, whepOffer, 401, "token_invalid"},
		{"a page of another origin", theWall, func(token string) http.Header {
			return bearing(token, "application/sdp", "Origin", "https://evil.example")
		}, whepOffer, 403, "forbidden"},
		{"a stethoscope", theDevice, nil, whepOffer, 403, "forbidden"},
		{"an observer, who has to be told who is there", 3, nil, whepOffer, 403, "forbidden"},
		{"a patient", 1, nil, whepOffer, 403, "forbidden"},
		{"a clinician", 0, nil, whepOffer, 403, "forbidden"},
		{"another type", theWall, func(token string) http.Header { return bearing(token, "application/json") }, whepOffer, 415, "bad_request"},
		{"not SDP", theWall, nil, "hello", 400, "bad_sdp"},
		{"to send", theWall, nil, whipOffer, 422, "bad_sdp"},
		{"another codec", theWall, nil, whepOffer + "a=rtpmap:96 H265/90000\r\n", 422, "codec_mismatch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				v := w.open(withWall)
				doctor := v.enter(0)
				header := func(token string) http.Header { return bearing(token, "application/sdp") }
				if tt.header != nil {
					header = tt.header
				}
				a := v.ask("POST", "/v1/whep", header(v.token(tt.who)), tt.body)
				if a.status != tt.status || a.code() != tt.code || a.header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%d %s, want %d %s", a.status, a.body, tt.status, tt.code)
				}
				doctor.wantSee("clinician:admitted")
				v.wantFlowing("clinician")
				if !strings.Contains(w.metricsText(), "bedside_sessions 1\n") {
					t.Error("a session is still counted")
				}
			})
		})
	}
}

func TestWHEPResource(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(withWall)
		p := v.watch()
		for _, tt := range []struct {
			name, method, path, ifMatch, body string
			status                            int
		}{
			{"no If-Match", "PATCH", p.location, "", whipRestart, 428},
			{"a stale ETag", "PATCH", p.location, `"0"`, whipRestart, 412},
			{"no fragment", "PATCH", p.location, "*", "hello", 400},
			{"candidates", "PATCH", p.location, `"1"`, whipTrickle, 204},
			{"a restart", "PATCH", p.location, `"1"`, whipRestart, 200},
			{"the ETag before", "PATCH", p.location, `"1"`, whipTrickle, 412},
			{"the other protocol's URL", "PATCH", strings.Replace(p.location, "whep", "whip", 1), "*", whipTrickle, 404},
			{"GET", "GET", p.location, "", "", 405},
			{"GET the endpoint", "GET", "/v1/whep", "", "", 405},
		} {
			h := bearing(p.token, "application/trickle-ice-sdpfrag")
			if tt.ifMatch != "" {
				h.Set("If-Match", tt.ifMatch)
			}
			a := v.ask(tt.method, tt.path, h, tt.body)
			if a.status != tt.status {
				t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.status)
			}
			if tt.status == 200 && (a.header.Get("ETag") != `"2"` || !strings.Contains(string(a.body), "a=ice-ufrag:server2\r\n")) {
				t.Errorf("%s: %v %s", tt.name, a.header, a.body)
			}
		}
		again := v.watch() // by the same link
		p.wantGone()
		if a := v.ask("DELETE", again.location, bearing(again.token, ""), ""); a.status != 200 {
			t.Errorf("DELETE: %d", a.status)
		}
		again.wantGone()
	})
}

// A session that nobody may know of is not opened.
func TestWHEPWithoutAuditLog(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(withWall)
		doctor, token := v.enter(0), v.token(theWall)
		w.audit.Fail(audit.ErrUnavailable)
		if a := v.ask("POST", "/v1/whep", bearing(token, "application/sdp"), whepOffer); a.status != 503 || a.code() != "audit_unavailable" {
			t.Errorf("%d %s", a.status, a.body)
		}
		doctor.wantSee("clinician:admitted")
		v.wantFlowing("clinician")
	})
}

func TestWHEPCrossOrigin(t *testing.T) {
	portal := func(c *config.Signaling, _ *signaling.Deps) { c.Origins = []string{"https://portal.example"} }
	inWorld(t, portal, func(w *world) {
		for _, tt := range []struct{ path, origin, methods, accept string }{
			{"/v1/whep", "https://portal.example", "POST", "Accept-Post"},
			{"/v1/whep/s_x", "https://portal.example", "PATCH, DELETE", "Accept-Patch"},
			{"/v1/whep", "https://evil.example", "", "Accept-Post"},
		} {
			a := w.ask("OPTIONS", tt.path, http.Header{"Origin": {tt.origin}}, "")
			if a.status != 200 || a.header.Get("Access-Control-Allow-Methods") != tt.methods || a.header.Get(tt.accept) == "" {
				t.Errorf("OPTIONS %s from %s: %d %v", tt.path, tt.origin, a.status, a.header)
			}
		}
	})
}
