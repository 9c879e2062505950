package signaling_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	whipOffer = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:client0\r\na=ice-pwd:secretpasswordofclient\r\na=mid:0\r\na=sendonly\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=sendonly\r\n"
	whipRestart = "a=ice-ufrag:client1\r\na=ice-pwd:secretpasswordofclient\r\n"
	whipTrickle = "a=ice-ufrag:client0\r\na=ice-pwd:secretpasswordofclient\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"

	fivePeople = `"participants":[{"role":"clinician","ref":"a"},{"role":"patient","ref":"b"},{"role":"device","ref":"c"},{"role":"observer","ref":"d"},{"role":"device","ref":"e"}]`
	theDevice  = 2
)

// bearing returns the headers of a request with a token; more are names and values.
func bearing(token, contentType string, more ...string) http.Header {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// publisher is a WHIP client that has published.
type publisher struct {
	*visit
	id, token, location, etag string
	links                     []string
}

// publish has the i-th participant publish by WHIP.
func (v *visit) publish(i int) *publisher {
	v.Helper()
	p := &publisher{visit: v, id: v.Participants[i].ID, token: v.token(i)}
	a := v.ask("POST", "/v1/whip", bearing(p.token, "application/sdp"), whipOffer)
	if a.status != 201 || a.header.Get("Content-Type") != "application/sdp" || !strings.HasPrefix(string(a.body), "v=0") {
		v.Fatalf("publish: %d %s", a.status, a.body)
	}
	p.location, p.etag, p.links = a.header.Get("Location"), a.header.Get("ETag"), a.header.Values("Link")
	return p
}

func (p *publisher) patch(ifMatch, body string) answer {
	p.Helper()
	h := bearing(p.token, "application/trickle-ice-sdpfrag")
	if ifMatch != "" {
		h.Set("If-Match", ifMatch)
	}
	return p.ask("PATCH", p.location, h, body)
}

// wantGone checks that the resource is over.
func (p *publisher) wantGone() {
	p.Helper()
	p.settle()
	for method, a := range map[string]answer{
		"DELETE": p.ask("DELETE", p.location, bearing(p.token, ""), ""), "PATCH": p.patch("*", whipTrickle),
	} {
		if a.status != 404 || a.code() != "not_found" {
			p.Errorf("%s: %d %s, want 404 not_found", method, a.status, a.code())
		}
	}
}

func (p *publisher) wantThere() {
	p.Helper()
	if a := p.patch("*", whipTrickle); a.status != 204 || len(a.body) != 0 {
		p.Errorf("the resource answers %d %s, want 204", a.status, a.body)
	}
}

// trail returns what the audit log has of a participant in the call.
func (w *world) trail(participant string) []string {
	w.Helper()
	page, err := w.audit.Read(w.Context(), audit.Query{})
	if err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, r := range page.Records {
		if (r.Actor.ID == participant || r.Subject.ID == participant) && strings.HasPrefix(string(r.Name), "person.") {
			names = append(names, string(r.Name))
		}
	}
	return names
}

func TestWHIPRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		who    int
		header func(token string) http.Header
		path   string
		body   string
		status int
		code   string
	}{
		{"no token", theDevice, func(string) http.Header { return bearing("", "application/sdp") }, "", whipOffer, 401, "unauthorized"},
		{"another scheme", theDevice, func(token string) http.Header {
			return http.Header{"Authorization": {"Basic " + token}, "Content-Type": {"application/sdp"}}
		}, "", whipOffer, 401, "unauthorized"},
		{"no token of ours", theDevice, func(string) http.Header { return bearing("x", "application/sdp") }, "", whipOffer, 401, "token_invalid"},
		{"an API key", theDevice, func(string) http.Header { return bearing(apiKey, "application/sdp") }, "", whipOffer, 401, "token_invalid"},
		{"a token in the URL", theDevice, func(token string) http.Header { return bearing(token, "application/sdp") }, "?token=x", whipOffer, 400, "token_in_url"},
		{"a page of another origin", theDevice, func(token string) http.Header {
			return bearing(token, "application/sdp", "Origin", "https://evil.example")
		}, "", whipOffer, 403, "forbidden"},
		{"a person, who has to be told who listens", 1, func(token string) http.Header { return bearing(token, "application/sdp") }, "", whipOffer, 403, "forbidden"},
		{"a role that publishes nothing", 3, func(token string) http.Header { return bearing(token, "application/sdp") }, "", whipOffer, 403, "forbidden"},
		{"another type", theDevice, func(token string) http.Header { return bearing(token, "application/json") }, "", whipOffer, 415, "bad_request"},
		{"an answer of another type", theDevice, func(token string) http.Header {
			return bearing(token, "application/sdp", "Accept", "application/json, text/*")
		}, "", whipOffer, 406, "bad_request"},
		{"too large", theDevice, func(token string) http.Header { return bearing(token, "application/sdp") }, "", whipOffer + strings.Repeat("a=x:y\r\n", 10_000), 413, "message_too_large"},
		{"empty", theDevice, func(token string) http.Header { return bearing(token, "application/sdp") }, "", "", 400, "bad_sdp"},
		{"not SDP", theDevice, func(token string) http.Header { return bearing(token, "application/sdp") }, "", "hello", 400, "bad_sdp"},
		{"to receive", theDevice, func(token string) http.Header { return bearing(token, "application/sdp") }, "", strings.ReplaceAll(whipOffer, "sendonly", "recvonly"), 422, "bad_sdp"},
		{"SDP that the media plane refuses", theDevice, func(token string) http.Header { return bearing(token, "application/sdp") }, "", whipOffer + "a=mutilated\r\n", 400, "bad_sdp"},
		{"another codec", theDevice, func(token string) http.Header { return bearing(token, "application/sdp") }, "", whipOffer + "a=rtpmap:96 H265/90000\r\n", 422, "codec_mismatch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				v := w.open(fivePeople)
				doctor := v.enter(0)
				a := v.ask("POST", "/v1/whip"+tt.path, tt.header(v.token(tt.who)), tt.body)
				if a.status != tt.status || a.code() != tt.code || a.header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%d %s, want %d %s", a.status, a.body, tt.status, tt.code)
				}
				if challenge := a.header.Get("WWW-Authenticate") != ""; challenge != (tt.status == 401) {
					t.Errorf("WWW-Authenticate: %q", a.header.Get("WWW-Authenticate"))
				}
				if a.status == 415 && a.header.Get("Accept-Post") != "application/sdp" {
					t.Errorf("Accept-Post: %q", a.header.Get("Accept-Post"))
				}
				v.advance(time.Second) // net/http lingers on a connection whose body was too large
				// Whoever was refused is not there, and holds no session.
				doctor.wantSee("clinician:admitted")
				v.wantFlowing("clinician")
				if !strings.Contains(w.metricsText(), "bedside_sessions 1\n") {
					t.Error("a session is still counted")
				}
			})
		})
	}
}

func TestWHIPTokenWorksOnce(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(fivePeople)
		p := v.publish(theDevice)
		if a := v.ask("POST", "/v1/whip", bearing(p.token, "application/sdp"), whipOffer); a.status != 401 || a.code() != "token_used" {
			t.Errorf("the second time: %d %s", a.status, a.code())
		}
		p.wantThere()
		late := v.token(4)
		v.advance(61 * time.Second)
		if a := v.ask("POST", "/v1/whip", bearing(late, "application/sdp"), whipOffer); a.status != 401 || a.code() != "token_expired" {
			t.Errorf("too late: %d %s", a.status, a.code())
		}
		p.wantThere() // the token goes on opening its own resource
		if got := w.reasons(audit.TokenRefused); !slices.Equal(got, []string{"token_used", "token_expired"}) {
			t.Errorf("the audit log has %v", got)
		}
		// What is refused before the token is looked at does not use it up.
		again := v.token(4)
		if a := v.ask("POST", "/v1/whip", bearing(again, "text/plain"), whipOffer); a.status != 415 {
			t.Errorf("another type: %d", a.status)
		}
		if a := v.ask("POST", "/v1/whip", bearing(again, "application/sdp"), whipOffer); a.status != 201 {
			t.Errorf("after a mistake: %d %s", a.status, a.body)
		}
	})
}

func TestWHIPResource(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(fivePeople)
		p := v.publish(theDevice)
		other := v.publish(4)
		if p.etag != `"1"` || p.location == other.location || !strings.HasPrefix(p.location, "/v1/whip/s_") {
			t.Errorf("ETag %s, Location %s", p.etag, p.location)
		}
		fragment := "application/trickle-ice-sdpfrag"
		for _, tt := range []struct {
			name, method, location string
			header                 http.Header
			body                   string
			status                 int
			code                   string
		}{
			{"no token", "DELETE", p.location, bearing("", ""), "", 401, "unauthorized"},
			{"another's token", "DELETE", p.location, bearing(other.token, ""), "", 401, "token_invalid"},
			{"another's token", "PATCH", p.location, bearing(other.token, fragment, "If-Match", "*"), whipRestart, 401, "token_invalid"},
			{"no such resource", "DELETE", "/v1/whip/s_x", bearing(p.token, ""), "", 404, "not_found"},
			{"no such resource", "PATCH", "/v1/whip/s_x", bearing(p.token, fragment, "If-Match", "*"), whipRestart, 404, "not_found"},
			{"a token in the URL", "DELETE", p.location + "?token=x", bearing(p.token, ""), "", 400, "token_in_url"},
			{"another type", "PATCH", p.location, bearing(p.token, "application/sdp", "If-Match", "*"), whipRestart, 415, "bad_request"},
			{"too large", "PATCH", p.location, bearing(p.token, fragment, "If-Match", "*"), strings.Repeat("a=x:y\r\n", 3_000), 413, "message_too_large"},
			{"no If-Match", "PATCH", p.location, bearing(p.token, fragment), whipRestart, 428, "bad_request"},
			{"candidates without If-Match", "PATCH", p.location, bearing(p.token, fragment), whipTrickle, 428, "bad_request"},
			{"a stale ETag", "PATCH", p.location, bearing(p.token, fragment, "If-Match", `"0"`), whipRestart, 412, "bad_request"},
			{"a weak ETag", "PATCH", p.location, bearing(p.token, fragment, "If-Match", `W/"1"`), whipRestart, 412, "bad_request"},
			{"no fragment", "PATCH", p.location, bearing(p.token, fragment, "If-Match", "*"), "hello", 400, "bad_sdp"},
			{"GET", "GET", p.location, bearing(p.token, ""), "", 405, "bad_request"},
			{"POST", "POST", p.location, bearing(p.token, "application/sdp"), whipOffer, 405, "bad_request"},
			{"PUT", "PUT", p.location, bearing(p.token, "application/sdp"), whipOffer, 405, "bad_request"},
			{"PROPFIND", "PROPFIND", p.location, bearing(p.token, ""), "", 405, "bad_request"},
			{"GET the endpoint", "GET", "/v1/whip", nil, "", 405, "bad_request"},
			{"PATCH the endpoint", "PATCH", "/v1/whip", nil, "", 405, "bad_request"},
			{"below a resource", "GET", p.location + "/x", nil, "", 404, "not_found"},
			{"by the other protocol", "DELETE", strings.Replace(p.location, "whip", "whep", 1), bearing(p.token, ""), "", 404, "not_found"},
			{"a name that begins like it", "GET", "/v1/whipped", nil, "", 404, "not_found"},
		} {
			a := v.ask(tt.method, tt.location, tt.header, tt.body)
			if a.status != tt.status || a.code() != tt.code {
				t.Errorf("%s, %s: %d %s, want %d %s", tt.method, tt.name, a.status, a.body, tt.status, tt.code)
			}
			if allow := a.header.Get("Allow") != ""; allow != (a.status == 405) {
				t.Errorf("%s, %s: Allow: %q", tt.method, tt.name, a.header.Get("Allow"))
			}
		}
		v.advance(time.Second) // net/http lingers on a connection whose body was too large
		p.wantThere()
		a := v.ask("DELETE", p.location, bearing(p.token, "", "If-Match", `"stale"`), "") // ignored (RFC 9725 section 4.3)
		if a.status != 200 || len(a.body) != 0 {
			t.Errorf("DELETE: %d %s", a.status, a.body)
		}
		p.wantGone()
		other.wantThere()
		if strings.Contains(w.log.String(), "secretpassword") || strings.Contains(w.log.String(), p.token) {
			t.Error("the log has SDP or a token")
		}
	})
}

func TestWHIPRestartsICE(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(fivePeople)
		p := v.publish(theDevice)
		a := p.patch(p.etag, whipRestart)
		want := "a=ice-lite\r\na=ice-ufrag:server2\r\na=ice-pwd:0000000000000000000002\r\n"
		if a.status != 200 || string(a.body) != want || a.header.Get("ETag") != `"2"` || a.header.Get("Content-Type") != "application/trickle-ice-sdpfrag" {
			t.Errorf("restart: %d %v %q", a.status, a.header, a.body)
		}
		if a := p.patch(p.etag, whipTrickle); a.status != 412 {
			t.Errorf("candidates of the session before: %d", a.status)
		}
		if a := p.patch(`"1", "2"`, whipRestart); a.status != 204 {
			t.Errorf("the same credentials again: %d, want 204", a.status)
		}
		if a := p.patch(`"*"`, strings.ReplaceAll(whipRestart, "client1", "client2")); a.status != 200 || a.header.Get("ETag") != `"3"` {
			t.Errorf("the second restart: %d %s", a.status, a.header.Get("ETag"))
		}
		// One too many a second is refused; the session lives.
		refused := 0
		for range 200 {
			if a := p.patch("*", whipTrickle); a.status == 429 {
				refused++
			}
		}
		if refused == 0 {
			t.Error("200 requests at once were let through")
		}
		v.advance(10 * time.Second)
		p.wantThere()
	})
}

func TestWHIPDeviceWaitsForItsPatient(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(fivePeople)
		doctor, patient := v.enter(0), v.enter(1)
		p := v.publish(theDevice)
		doctor.wantSee("clinician:admitted patient:waiting device:waiting")
		v.wantFlowing("clinician")
		tracks, subscribes := v.media.published(p.id)
		if !slices.Equal(tracks, []sfu.Track{{Mid: "0", Source: "auscultation"}, {Mid: "1", Source: "exam"}}) || subscribes {
			t.Errorf("the device publishes %v, receives: %t", tracks, subscribes)
		}
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 10)
		v.wantFlowing("clinician patient device")
		doctor.wantAnswer("done", &wire.Hold{Participant: v.Participants[1].ID}, 11)
		v.wantFlowing("clinician")
		doctor.wantSee("clinician:admitted patient:held device:held")
		doctor.wantAnswer("done", &wire.Unhold{Participant: v.Participants[1].ID}, 12)
		v.wantFlowing("clinician patient device")
		p.wantThere()
		// Again, by the link: straight to the patient, and the session before is over.
		again := v.publish(theDevice)
		v.wantFlowing("clinician patient device")
		p.wantGone()
		doctor.wantAnswer("done", &wire.Remove{Participant: p.id}, 13)
		v.wantFlowing("clinician patient")
		again.wantGone()
		if status, code := v.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[theDevice]+`"}`, nil); status != 410 || code != "invitation_revoked" {
			t.Errorf("the link of who was removed: %d %s", status, code)
		}
		patient.wantAlive()
	})
}

func TestWHIPAdmittedByClinician(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(fivePeople)
		doctor := v.enter(0)
		p := v.publish(4)
		doctor.wantSee("clinician:admitted device:waiting")
		v.wantFlowing("clinician")
		tracks, subscribes := v.media.published(p.id)
		if !slices.Equal(tracks, []sfu.Track{{Mid: "0", Source: "auscultation"}, {Mid: "1", Source: "exam"}}) || subscribes {
			t.Errorf("the device publishes %v, receives: %t", tracks, subscribes)
		}
		doctor.wantAnswer("done", &wire.Admit{Participant: p.id}, 10)
		v.wantFlowing("clinician device")
		if a := v.ask("DELETE", p.location, bearing(p.token, ""), ""); a.status != 200 {
			t.Errorf("DELETE: %d", a.status)
		}
		v.wantFlowing("clinician")
		doctor.wantSee("clinician:admitted")
		waiting := v.publish(4)
		v.wantFlowing("clinician")
		doctor.wantAnswer("done", &wire.Refuse{Participant: p.id}, 11)
		waiting.wantGone()
		names := w.trail(p.id)
		want := []string{"person.waiting", "person.admitted", "person.left", "person.waiting", "person.refused"}
		if !slices.Equal(names, want) {
			t.Errorf("the audit log has %v, want %v", names, want)
		}
	})
}

func TestWHIPWithoutAuditLog(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(fivePeople)
		doctor, token := v.enter(0), v.token(theDevice)
		w.audit.Fail(audit.ErrUnavailable)
		if a := v.ask("POST", "/v1/whip", bearing(token, "application/sdp"), whipOffer); a.status != 503 || a.code() != "audit_unavailable" {
			t.Errorf("%d %s", a.status, a.body)
		}
		doctor.wantSee("clinician:admitted")
		v.wantFlowing("clinician")
	})
}

func TestWHIPEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*publisher, *client)
		see  string
	}{
		{"ICE has given up", func(p *publisher, _ *client) { p.media.events(p.id).Failed(sfu.FailedTransport) }, "clinician:admitted device~:admitted"},
		{"too many streams", func(p *publisher, _ *client) { p.media.events(p.id).Failed(sfu.FailedSSRCLimit) }, "clinician:admitted device~:admitted"},
		{"the invitation is withdrawn", func(p *publisher, _ *client) {
			p.call("DELETE", "/v1/consultations/"+p.ID+"/participants/"+p.id, apiKey, "", nil)
		}, "clinician:admitted"},
		{"the consultation is over", func(_ *publisher, doctor *client) { doctor.send(&wire.End{}, 20) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				v := w.open(fivePeople)
				doctor := v.enter(0)
				p := v.publish(theDevice)
				doctor.wantAnswer("done", &wire.Admit{Participant: p.id}, 10)
				tt.end(p, doctor)
				p.wantGone()
				if tt.see != "" {
					doctor.wantSee(tt.see)
					v.wantFlowing("clinician")
				}
			})
		})
	}
}

func TestWHIPServerStops(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		v := w.open(fivePeople)
		v.enter(0)
		p, token := v.publish(theDevice), v.token(4)
		if err := w.server.Drain(w.Context()); err != nil {
			t.Fatal(err)
		}
		p.wantGone()
		if a := v.ask("POST", "/v1/whip", bearing(token, "application/sdp"), whipOffer); a.status != 503 || a.code() != "unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("while draining: %d %s", a.status, a.body)
		}
		w.restart()
		p.wantGone()
		if a := v.ask("POST", "/v1/whip", bearing(token, "application/sdp"), whipOffer); a.status != 401 || a.code() != "token_expired" {
			t.Errorf("a token of before: %d %s", a.status, a.code())
		}
		v.publish(theDevice).wantThere()
	})
}

func TestWHIPLimits(t *testing.T) {
	few := func(c *config.Signaling, _ *signaling.Deps) { c.Limits.SessionsPerIP = 2 }
	inWorld(t, few, func(w *world) {
		v := w.open(fivePeople)
		v.enter(0)
		p := v.publish(theDevice)
		token := v.token(4)
		if a := v.ask("POST", "/v1/whip", bearing(token, "application/sdp"), whipOffer); a.status != 429 || a.code() != "rate_limited" {
			t.Errorf("the third session of an address: %d %s", a.status, a.code())
		}
		v.ask("DELETE", p.location, bearing(p.token, ""), "")
		w.settle()
		if a := v.ask("POST", "/v1/whip", bearing(token, "application/sdp"), whipOffer); a.status != 201 {
			t.Errorf("when there is room again: %d %s", a.status, a.body)
		}
	})
}

func TestWHIPCrossOrigin(t *testing.T) {
	portal := func(c *config.Signaling, _ *signaling.Deps) { c.Origins = []string{"https://portal.example"} }
	inWorld(t, portal, func(w *world) {
		v := w.open(fivePeople)
		for _, tt := range []struct {
			path, origin, methods, accept string
		}{
			{"/v1/whip", "https://portal.example", "POST", "Accept-Post"},
			{"/v1/whip/s_x", "https://portal.example", "PATCH, DELETE", "Accept-Patch"},
			{"/v1/whip", "https://evil.example", "", "Accept-Post"},
		} {
			a := v.ask("OPTIONS", tt.path, http.Header{"Origin": {tt.origin}}, "")
			if a.status != 200 || a.header.Get("Access-Control-Allow-Methods") != tt.methods || a.header.Get(tt.accept) == "" ||
				(a.header.Get("Access-Control-Allow-Origin") == tt.origin) != (tt.methods != "") {
				t.Errorf("OPTIONS %s from %s: %d %v", tt.path, tt.origin, a.status, a.header)
			}
		}
		a := v.ask("POST", "/v1/whip", bearing(v.token(theDevice), "application/sdp", "Origin", "https://portal.example"), whipOffer)
		if a.status != 201 || a.header.Get("Access-Control-Allow-Origin") != "https://portal.example" || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "Location") {
			t.Errorf("POST: %d %v", a.status, a.header)
		}
	})
}
