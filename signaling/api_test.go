package signaling_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/wire"
)

var update = flag.Bool("update", false, "write openapi.yaml anew")

func TestOpenAPIIsCurrent(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		got := w.get("/openapi.yaml")
		if *update {
			if err := os.WriteFile("openapi.yaml", []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile("openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Error("openapi.yaml is not what the server says: go test ./signaling -run OpenAPI -update")
		}
	})
}

// get reads a text that needs no key.
func (w *world) get(path string) string {
	w.Helper()
	resp, err := w.client.Get(publicURL + path)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return string(body)
}

func TestCreate(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		start := time.Date(2000, 1, 1, 9, 0, 0, 0, time.UTC) // the bubble's clock starts at midnight
		body := `{"external_id":"s|1","start":"2000-01-01T09:00:00Z","end":"2000-01-01T09:20:00Z","profile":"motion","recording":"never","max_participants":3,` + threePeople + `}`
		var first, again, read signaling.Consultation
		if status, code := w.call("POST", "/v1/consultations", apiKey, body, &first); status != 201 {
			t.Fatalf("create: %d %s", status, code)
		}
		want := first
		want.ExternalID, want.State, want.Start, want.End = "s|1", "scheduled", start, start.Add(20*time.Minute)
		want.Window = signaling.Window{From: start.Add(-30 * time.Minute), To: start.Add(80 * time.Minute)}
		want.Profile, want.Recording, want.MaxParticipants, want.Group, want.Lobby = "motion", "never", 3, false, true
		if !reflect.DeepEqual(first, want) {
			t.Errorf("got %+v, want %+v", first, want)
		}
		for i, p := range first.Participants {
			secret, ok := strings.CutPrefix(p.JoinURL, publicURL+"/j/#")
			if !ok || len(secret) != 22 || p.Ref != fmt.Sprint("r", i+1) || !strings.HasPrefix(p.ID, "p_") {
				t.Errorf("participant %+v", p)
			}
		}
		if status, _ := w.call("POST", "/v1/consultations", apiKey, body, &again); status != 200 || !reflect.DeepEqual(again, first) {
			t.Errorf("the same again: %d %+v, want 200 and %+v", status, again, first)
		}
		if status, code := w.call("POST", "/v1/consultations", apiKey, strings.Replace(body, "motion", "detail", 1), nil); status != 409 || code != "external_id_conflict" {
			t.Errorf("another body: %d %s", status, code)
		}
		if status, _ := w.call("POST", "/v1/consultations", otherAPIKey, body, &again); status != 201 || again.ID == first.ID {
			t.Errorf("another tenant's: %d %s", status, again.ID)
		}
		if status, _ := w.call("GET", "/v1/consultations/"+first.ID, apiKey, "", &read); status != 200 || !reflect.DeepEqual(read, first) {
			t.Errorf("read: %d %+v", status, read)
		}
		var list struct{ Consultations []signaling.Consultation }
		for _, tt := range []struct {
			key, id string
			want    int
		}{{apiKey, "s|1", 1}, {otherAPIKey, "s|1", 1}, {apiKey, "s|2", 0}} {
			if status, _ := w.call("GET", "/v1/consultations?external_id="+strings.ReplaceAll(tt.id, "|", "%7C"), tt.key, "", &list); status != 200 || len(list.Consultations) != tt.want {
				t.Errorf("find %s: %d, %d found, want %d", tt.id, status, len(list.Consultations), tt.want)
			}
		}
	})
}

func TestBadRequests(t *testing.T) {
	people := func(roles ...string) string {
		return `"participants":[{"role":"` + strings.Join(roles, `"},{"role":"`) + `"}]`
	}
	for _, tt := range []struct {
		name, method, path, key, body string
		status                        int
		code                          string
	}{
		{"no key", "POST", "/v1/consultations", "", "{}", 401, "unauthorized"},
		{"a wrong key", "POST", "/v1/consultations", "wrong", "{}", 401, "unauthorized"},
		{"the hash as the key", "POST", "/v1/consultations", sha256Hex(apiKey), "{}", 401, "unauthorized"},
		{"not JSON", "POST", "/v1/consultations", apiKey, "{", 400, "bad_request"},
		{"nobody", "POST", "/v1/consultations", apiKey, `{"participants":[]}`, 422, "bad_request"},
		{"51 people", "POST", "/v1/consultations", apiKey, "{" + people(slices.Repeat([]string{"carer"}, 51)...) + "}", 422, "bad_request"},
		{"an unknown role", "POST", "/v1/consultations", apiKey, "{" + people("doctor") + "}", 422, "bad_request"},
		{"an unknown field", "POST", "/v1/consultations", apiKey, `{"colour":"red",` + people("patient") + "}", 422, "bad_request"},
		{"two patients", "POST", "/v1/consultations", apiKey, "{" + people("patient", "patient") + "}", 422, "two_patients"},
		{"two patients of a group", "POST", "/v1/consultations", apiKey, `{"group":true,` + people("patient", "patient") + "}", 201, ""},
		{"recording", "POST", "/v1/consultations", apiKey, `{"recording":"always",` + people("patient") + "}", 422, "bad_request"},
		{"one place", "POST", "/v1/consultations", apiKey, `{"max_participants":1,` + people("patient") + "}", 422, "bad_request"},
		{"21 places", "POST", "/v1/consultations", apiKey, `{"max_participants":21,` + people("patient") + "}", 422, "bad_request"},
		{"a name of 65 characters", "POST", "/v1/consultations", apiKey, `{"participants":[{"role":"carer","display":"` + strings.Repeat("ü", 65) + `"}]}`, 422, "bad_request"},
		{"a name of 64 characters", "POST", "/v1/consultations", apiKey, `{"participants":[{"role":"carer","display":"` + strings.Repeat("ü", 64) + `"}]}`, 201, ""},
		{"the end before the start", "POST", "/v1/consultations", apiKey, `{"start":"2000-01-01T10:00:00Z","end":"2000-01-01T09:00:00Z",` + people("carer") + "}", 422, "bad_request"},
		{"two days", "POST", "/v1/consultations", apiKey, `{"start":"2000-01-01T10:00:00Z","end":"2000-01-03T10:00:00Z",` + people("carer") + "}", 422, "bad_request"},
		{"yesterday", "POST", "/v1/consultations", apiKey, `{"start":"1999-12-31T10:00:00Z",` + people("carer") + "}", 422, "bad_request"},
		{"64 KiB and more", "POST", "/v1/consultations", apiKey, `{"external_id":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "message_too_large"},
		{"no such consultation", "GET", "/v1/consultations/c_x", apiKey, "", 404, "not_found"},
		{"a path for an id", "GET", "/v1/consultations/..%2F..%2Fetc", apiKey, "", 404, "not_found"},
		{"no external id", "GET", "/v1/consultations", apiKey, "", 422, "bad_request"},
		{"no such route", "GET", "/v1/rooms", apiKey, "", 404, "not_found"},
		{"no invitation", "POST", "/v1/join", "", `{}`, 422, "bad_request"},
		{"an unknown invitation", "POST", "/v1/join", "", `{"invitation":"AAAAAAAAAAAAAAAAAAAAAA"}`, 404, "invitation_unknown"},
		{"an invitation in the URL", "POST", "/v1/join?invitation=x", "", `{}`, 400, "token_in_url"},
		{"a connection without a handshake", "GET", "/v1/connect", "", "", 400, "bad_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				doctor := w.open(threePeople).enter(0)
				if status, code := w.call(tt.method, tt.path, tt.key, tt.body, nil); status != tt.status || code != tt.code {
					t.Errorf("got %d %q, want %d %q", status, code, tt.status, tt.code)
				}
				doctor.wantAlive()
			})
		})
	}
}

func TestOtherTenantsDoNotExist(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor := v.enter(0)
		for _, path := range []string{"/v1/consultations/" + v.ID, "/v1/consultations/" + v.ID + "/participants/" + v.Participants[1].ID} {
			for _, method := range []string{"GET", "DELETE"} {
				if method == "GET" && strings.Contains(path, "participants") {
					continue // no such route for anybody
				}
				if status, code := w.call(method, path, otherAPIKey, "", nil); status != 404 || code != "not_found" {
					t.Errorf("%s: %d %s, want 404 not_found", method, status, code)
				}
			}
		}
		doctor.wantAlive()
	})
}

func TestScopesAndOrigins(t *testing.T) {
	change := func(c *config.Signaling, _ *signaling.Deps) {
		c.APIKeys = []config.APIKey{
			{ID: "a", Tenant: "t", Hash: strings.ToUpper(sha256Hex("a")), Scopes: []string{"consultations"}, Origins: []string{"https://portal.example"}},
			{ID: "b", Tenant: "t", Hash: sha256Hex("b"), Scopes: []string{"audit", "recordings", "admin"}},
		}
	}
	for _, tt := range []struct {
		name, key, origin string
		status            int
	}{
		{"with the scope", "a", "", 404}, {"without it", "b", "", 403},
		{"from a listed page", "a", "https://portal.example", 404}, {"from another page", "a", "https://evil.example", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, change, func(w *world) {
				req, err := http.NewRequest("GET", publicURL+"/v1/consultations/c_x", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+tt.key)
				if tt.origin != "" {
					req.Header.Set("Origin", tt.origin)
				}
				resp, err := w.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != tt.status {
					t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
				}
			})
		})
	}
}

func TestWindowOfJoin(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(`"start":"2000-01-01T02:00:00Z","end":"2000-01-01T03:00:00Z",` + threePeople)
		join := func() (status int, p signaling.Problem) {
			status, p.Code = w.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[1]+`"}`, &p)
			return status, p
		}
		if status, p := join(); status != 403 || p.Code != "not_yet_open" || p.OpensAt != "2000-01-01T01:30:00Z" {
			t.Errorf("before the window: %d %+v", status, p)
		}
		w.advance(90 * time.Minute)
		if status, p := join(); status != 200 {
			t.Errorf("as it opens: %d %+v", status, p)
		}
		w.advance(150*time.Minute - 30*time.Second)
		late := v.token(1)
		w.advance(30 * time.Second)
		if status, p := join(); status != 410 || p.Code != "window_closed" || p.ClosedAt != "2000-01-01T04:00:00Z" {
			t.Errorf("after the window: %d %+v", status, p)
		}
		c := w.dial()
		c.send(&wire.Join{Token: late}, 1)
		w.settle()
		c.wantEnded("window_closed", 1008)
		if e := c.last("error").(*wire.Error); e.ClosedAt != "2000-01-01T04:00:00Z" {
			t.Errorf("the session says closed_at %q", e.ClosedAt)
		}
	})
}

func TestJoinTellsWhatTheLobbyMayShow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		var j signaling.Joining
		join := func() signaling.Joining {
			j = signaling.Joining{}
			w.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[1]+`"}`, &j)
			return j
		}
		got := join()
		want := signaling.Joining{
			Token: got.Token, Connect: "/v1/connect", ExpiresIn: 60, Role: "patient", Display: "B", State: "open", Window: v.Window, Recording: "never",
			Facts: wire.Facts{Start: "2000-01-01T00:00:00Z", End: "2000-01-01T01:00:00Z", Closes: "2000-01-01T02:00:00Z"},
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		v.three()
		w.advance(time.Second)
		if got := join(); !got.Facts.ClinicianPresent || got.State != "in_progress" || got.Facts.Started != "2000-01-01T00:00:00Z" {
			t.Errorf("once clinician and patient have met: %+v", got)
		}
	})
}

func TestCancelAndRevokeEndSessions(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, interpreter := v.three()
		path := "/v1/consultations/" + v.ID
		for range 2 { // twice is the same as once
			if status, _ := w.call("DELETE", path+"/participants/"+v.Participants[1].ID, apiKey, "", nil); status != 204 {
				t.Errorf("revoke: %d", status)
			}
		}
		w.settle()
		patient.wantEnded("revoked", 1000)
		doctor.wantSee("clinician:admitted interpreter:admitted")
		doctor.wantAlive()
		var read signaling.Consultation
		w.call("GET", path, apiKey, "", &read)
		if p := read.Participants[1]; !p.Revoked || p.JoinURL != "" || read.Participants[0].JoinURL != v.Participants[0].JoinURL {
			t.Errorf("after the revocation: %+v", read.Participants)
		}
		if status, code := w.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[1]+`"}`, nil); status != 410 || code != "invitation_revoked" {
			t.Errorf("a revoked invitation: %d %s", status, code)
		}
		token := v.token(2)
		if status, _ := w.call("DELETE", path, apiKey, "", nil); status != 204 {
			t.Errorf("cancel: %d", status)
		}
		w.settle()
		doctor.wantEnded("cancelled", 1000)
		interpreter.wantEnded("cancelled", 1000)
		w.advance(2 * time.Second) // the room has gone; the record remains
		c := w.dial()
		c.send(&wire.Join{Token: token}, 1)
		w.settle()
		c.wantEnded("consultation_ended", 1008)
		w.call("GET", path, apiKey, "", &read)
		if read.State != "cancelled" {
			t.Errorf("state %q, want cancelled", read.State)
		}
	})
}

func TestJoinIsLimitedByAddress(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		codes := map[int]int{}
		for range 30 {
			status, _ := w.call("POST", "/v1/join", "", `{"invitation":"x"}`, nil)
			codes[status]++
		}
		if want := map[int]int{404: 20, 429: 10}; !reflect.DeepEqual(codes, want) {
			t.Errorf("got %v, want %v", codes, want)
		}
		w.advance(time.Second)
		for range 30 {
			status, _ := w.call("POST", "/v1/join", "", `{"invitation":"x"}`, nil)
			codes[status]++
		}
		if want := map[int]int{404: 30, 429: 30}; !reflect.DeepEqual(codes, want) {
			t.Errorf("a second later: %v, want %v", codes, want)
		}
	})
}

func TestConsultationsAreBoundedAndForgotten(t *testing.T) {
	two := func(c *config.Signaling, _ *signaling.Deps) { c.Limits.Consultations = 2 }
	inWorld(t, two, func(w *world) {
		v := w.open(threePeople)
		w.open(threePeople)
		if status, code := w.call("POST", "/v1/consultations", apiKey, "{"+threePeople+"}", nil); status != 429 || code != "unavailable" {
			t.Errorf("a third: %d %s", status, code)
		}
		w.advance(26*time.Hour - 1) // an hour long, open an hour more, kept a day
		if status, _ := w.call("GET", "/v1/consultations/"+v.ID, apiKey, "", nil); status != 200 {
			t.Errorf("a day after the end: %d", status)
		}
		w.advance(1)
		if status, _ := w.call("GET", "/v1/consultations/"+v.ID, apiKey, "", nil); status != 404 {
			t.Errorf("a nanosecond later: %d", status)
		}
		if status, code := w.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[0]+`"}`, nil); status != 404 || code != "invitation_unknown" {
			t.Errorf("its invitation: %d %s", status, code)
		}
		w.open(threePeople)
	})
}

func TestHealthAndDrain(t *testing.T) {
	broken := errors.New("port is not bound")
	var ready error
	inWorld(t, func(_ *config.Signaling, d *signaling.Deps) { d.Ready = func() error { return ready } }, func(w *world) {
		v := w.open(threePeople)
		doctor := v.enter(0)
		if got := w.get("/healthz") + w.get("/readyz"); got != "ok\nready\n" {
			t.Errorf("got %q", got)
		}
		ready = broken
		if got := w.get("/readyz"); got != "port is not bound\n" {
			t.Errorf("got %q", got)
		}
		ready = nil
		if err := w.server.Drain(w.Context()); err != nil {
			t.Error(err)
		}
		doctor.wantEnded("server_draining", 1012)
		if got := w.get("/healthz") + w.get("/readyz"); got != "ok\ndraining\n" {
			t.Errorf("got %q", got)
		}
		if status, code := w.call("POST", "/v1/join", "", `{"invitation":"x"}`, nil); status != 503 || code != "unavailable" {
			t.Errorf("join while draining: %d %s", status, code)
		}
		if _, resp, err := w.tryDial("/v1/connect", nil); err == nil || resp.StatusCode != 503 {
			t.Errorf("connect while draining: %+v %v", resp, err)
		}
	})
}
