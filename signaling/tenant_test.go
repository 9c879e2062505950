package signaling_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
)

// guard is what an operation of the API asks of a key. Every operation has one here.
type guard struct {
	scope string // "" for those that anybody may use
	body  string // of a request that works
	// other is what the key of another tenant gets: 404 when the ids are another's, else 200 or 201
	// with its own.
	other int
}

func guards() map[string]guard {
	return map[string]guard{
		"create-consultation":       {config.ScopeConsultations, people("second"), 201},
		"find-consultations":        {config.ScopeConsultations, "", 200},
		"get-consultation":          {config.ScopeConsultations, "", 404},
		"change-consultation":       {config.ScopeConsultations, `{"profile":"motion"}`, 404},
		"cancel-consultation":       {config.ScopeConsultations, "", 404},
		"invite-participant":        {config.ScopeConsultations, `{"role":"carer"}`, 404},
		"revoke-invitation":         {config.ScopeConsultations, "", 404},
		"read-report":               {config.ScopeConsultations, "", 404},
		"read-audit":                {config.ScopeAudit, "", 200},
		"list-recordings":           {config.ScopeRecordings, "", 200},
		"read-recording":            {config.ScopeRecordings, "", 404},
		"erase-recording":           {config.ScopeRecordings, "", 404},
		"read-recording-manifest":   {config.ScopeRecordings, "", 404},
		"read-recording-key":        {config.ScopeRecordings, "", 404},
		"replace-recording-key":     {config.ScopeRecordings, "age-x", 404},
		"read-former-recording-key": {config.ScopeRecordings, "", 404}, "forget-recording-keys": {config.ScopeRecordings, "", 404},
		"read-recording-part": {config.ScopeRecordings, "", 404},
		"join":                {},
		"connect":             {},
		"check":               {},
		"check-figures":       {},
		"check-download":      {},
		"check-upload":        {},
		"whip":                {},
		"whip-patch":          {},
		"whip-delete":         {},
		"whep":                {},
		"whep-patch":          {},
		"whep-delete":         {},
	}
}

// people is a consultation of two, everything of which carries the mark.
func people(mark string) string {
	return `{"external_id":"same","participants":[{"role":"clinician","display":"` + mark + ` A","ref":"` + mark + `-a"},{"role":"patient","display":"` + mark + ` B","ref":"` + mark + `-b"}]}`
}

// guarded returns the operations with what guards them, and fails for each that has no row above.
func (w *world) guarded(d *description) (routes []route, of map[string]guard) {
	w.Helper()
	of = guards()
	for _, r := range d.routes() {
		g, ok := of[r.ID]
		if !ok {
			w.Errorf("%s %s (%s) has no row in guards: which scope, and what does another tenant get?", r.method, r.path, r.ID)
			continue
		}
		if (g.scope == "") == r.keyed() {
			w.Errorf("%s: the description asks for %v, the row for scope %q", r.ID, r.Security, g.scope)
		}
		routes = append(routes, r)
	}
	if len(routes) != len(of) {
		w.Errorf("%d operations are described, %d have a row", len(routes), len(of))
	}
	return routes, of
}

// TestTwoTenants has the second tenant do everything that the API describes, with the first one's
// ids; then the first one does the same, to show that the requests were good.
func TestTwoTenants(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		d := w.describe()
		routes, of := w.guarded(d)
		v := &visit{world: w}
		if status, code := w.call("POST", "/v1/consultations", apiKey, people("first"), &v.Consultation); status != 201 {
			t.Fatalf("create: %d %s", status, code)
		}
		for _, p := range v.Participants {
			v.invitations = append(v.invitations, strings.TrimPrefix(p.JoinURL, publicURL+"/j/#"))
		}
		doctor := v.enter(0)
		before := w.ask("GET", "/v1/consultations/"+v.ID, bearer(apiKey), "")
		firsts := append([]string{"first", "tenant-1", v.ID, v.Participants[0].ID, v.Participants[1].ID}, v.invitations...)
		ids := map[string]string{"id": v.ID, "pid": v.Participants[1].ID, "external_id": "same", "consultation": v.ID, "n": "0", "k": "1"}
		w.shelf.put(v.ID, "tenant-1", v.ID, time.Time{}) // a recording of the same id

		for _, r := range routes {
			g := of[r.ID]
			if g.scope == "" {
				continue
			}
			path, err := r.fill(ids)
			if err != nil {
				t.Fatal(err)
			}
			a := w.ask(r.method, path, bearer(otherAPIKey), g.body)
			if a.status != g.other || a.status == 404 && a.code() != "not_found" {
				t.Errorf("%s by the other tenant: %d %s, want %d", r.ID, a.status, a.code(), g.other)
			}
			for _, secret := range firsts {
				if r.ID == "read-audit" && secret == v.ID {
					continue // checked below: its own question is in its own log
				}
				if strings.Contains(string(a.body), secret) {
					t.Errorf("%s tells the other tenant %q: %s", r.ID, secret, a.body)
				}
			}
		}
		if after := w.ask("GET", "/v1/consultations/"+v.ID, bearer(apiKey), ""); !reflect.DeepEqual(after.body, before.body) {
			t.Errorf("the other tenant has changed the consultation:\n%s\n%s", before.body, after.body)
		}
		doctor.wantAlive()

		var second struct{ Consultations []signaling.Consultation }
		w.call("GET", "/v1/consultations?external_id=same", otherAPIKey, "", &second)
		if len(second.Consultations) != 1 || second.Consultations[0].ID == v.ID || second.Consultations[0].Participants[0].Ref != "second-a" {
			t.Errorf("the second tenant's own is %+v", second)
		}
		w.wantDisjointTrails()
		for _, r := range routes {
			if g := of[r.ID]; g.scope != "" {
				path, _ := r.fill(ids)
				body := strings.ReplaceAll(g.body, "second", "first")
				w.shelf.put(v.ID, "tenant-1", v.ID, time.Time{}) // whatever became of it
				if a := w.ask(r.method, path, bearer(apiKey), body); a.status >= 300 {
					t.Errorf("%s by the tenant itself: %d %s", r.ID, a.status, a.body)
				}
			}
		}
	})
}

// wantDisjointTrails reads both tenants' audit logs.
func (w *world) wantDisjointTrails() {
	w.Helper()
	seen := map[uint64]string{}
	for _, tt := range []struct{ key, tenant string }{{apiKey, "tenant-1"}, {otherAPIKey, "tenant-2"}} {
		var page signaling.AuditPage
		w.call("GET", "/v1/audit", tt.key, "", &page)
		if len(page.Records) < 3 {
			w.Errorf("%s has %d records", tt.tenant, len(page.Records))
		}
		for _, r := range page.Records {
			if r.Tenant != tt.tenant || seen[r.Index] != "" {
				w.Errorf("%s reads record %d of %s, which %q has read", tt.tenant, r.Index, r.Tenant, seen[r.Index])
			}
			seen[r.Index] = tt.tenant
		}
	}
}

// TestEveryRouteIsGuarded shows every operation every kind of wrong key.
func TestEveryRouteIsGuarded(t *testing.T) {
	const portal = "https://portal.example"
	change := func(c *config.Signaling, _ *signaling.Deps) {
		c.APIKeys = nil
		for _, scope := range config.Scopes() {
			c.APIKeys = append(c.APIKeys, config.APIKey{ID: scope, Tenant: "t", Hash: sha256Hex(scope), Scopes: []string{scope}, Origins: []string{portal}})
		}
	}
	inWorld(t, change, func(w *world) {
		routes, of := w.guarded(w.describe())
		var made signaling.Consultation
		w.call("POST", "/v1/consultations", config.ScopeConsultations, people("x"), &made)
		for _, r := range routes {
			g := of[r.ID]
			if g.scope == "" {
				continue
			}
			path, err := r.fill(map[string]string{"id": made.ID, "pid": made.Participants[1].ID, "external_id": "x", "n": "0", "k": "1"})
			if err != nil {
				t.Fatal(err)
			}
			from := func(origins ...string) http.Header {
				h := bearer(g.scope)
				h["Origin"] = origins
				return h
			}
			joiner := "?"
			if strings.Contains(path, "?") {
				joiner = "&"
			}
			for _, tt := range []struct {
				name, path string
				header     http.Header
				status     int
				code       string
			}{
				{"no key", path, nil, 401, "unauthorized"},
				{"an empty key", path, bearer(""), 401, "unauthorized"},
				{"another key", path, bearer("wrong"), 401, "unauthorized"},
				{"the hash of the key", path, bearer(sha256Hex(g.scope)), 401, "unauthorized"},
				{"another scheme", path, http.Header{"Authorization": {"Basic " + g.scope}}, 401, "unauthorized"},
				{"the key as a cookie", path, http.Header{"Cookie": {"Authorization=Bearer " + g.scope}}, 401, "unauthorized"},
				{"the key in the URL", path + joiner + "access_token=" + g.scope, nil, 401, "unauthorized"},
				{"the key in the URL, too", path + joiner + "access_token=" + g.scope, bearer(g.scope), 422, "bad_request"},
				{"a page of another origin", path, from("https://evil.example"), 403, "forbidden"},
				{"origin null", path, from("null"), 403, "forbidden"},
				{"the origin without TLS", path, from("http://portal.example"), 403, "forbidden"},
				{"the origin at another port", path, from(portal + ":8443"), 403, "forbidden"},
				{"an origin that starts like it", path, from(portal + ".evil.example"), 403, "forbidden"},
				{"two origins, one of them right", path, from(portal, "https://evil.example"), 403, "forbidden"},
			} {
				if a := w.ask(r.method, tt.path, tt.header, g.body); a.status != tt.status || a.code() != tt.code {
					t.Errorf("%s with %s: %d %s, want %d %s", r.ID, tt.name, a.status, a.code(), tt.status, tt.code)
				}
			}
			for _, scope := range config.Scopes() {
				if a := w.ask(r.method, path, bearer(scope), g.body); (a.status == 403) != (scope != g.scope) || a.status == 401 {
					t.Errorf("%s with the scope %s: %d %s", r.ID, scope, a.status, a.code())
				}
			}
			// The right origin lets the key through (whatever is left of the consultation by now).
			if a := w.ask(r.method, path, from(portal), g.body); a.status == 401 || a.status == 403 {
				t.Errorf("%s from the right page: %d %s", r.ID, a.status, a.code())
			}
		}
	})
}

// TestNoOtherRoutes reads which routes the code registers beside those that the description holds,
// so that a new one cannot go without a decision on who may use it.
func TestNoOtherRoutes(t *testing.T) {
	want := []string{"/v1/", "DELETE /v1/recordings/{id}", "DELETE /v1/recordings/{id}/keys", "DELETE /v1/whep/{session}", "DELETE /v1/whip/{session}", "GET /healthz", "GET /openapi.yaml", "GET /readyz", "GET /v1/check/download", "GET /v1/check/{id}", "GET /v1/connect",
		"GET /v1/recordings", "GET /v1/recordings/{id}", "GET /v1/recordings/{id}/key", "GET /v1/recordings/{id}/keys/{k}", "GET /v1/recordings/{id}/manifest", "GET /v1/recordings/{id}/parts/{n}", "OPTIONS /v1/", "OPTIONS /v1/check",
		"OPTIONS /v1/join", "OPTIONS /v1/whep", "OPTIONS /v1/whep/{session}", "OPTIONS /v1/whip", "OPTIONS /v1/whip/{session}",
		"PATCH /v1/whep/{session}", "PATCH /v1/whip/{session}", "POST /v1/check", "POST /v1/check/upload", "POST /v1/whep", "POST /v1/whip", "PUT /v1/recordings/{id}/key"}
	var got []string
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "HandleFunc" && sel.Sel.Name != "Handle" {
				return true
			}
			pattern := "?"
			if literal, ok := call.Args[0].(*ast.BasicLit); ok {
				pattern, _ = strconv.Unquote(literal.Value)
			}
			got = append(got, pattern)
			return true
		})
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	inWorld(t, nil, func(w *world) {
		for _, path := range []string{"/v1", "/v1/", "/v1/rooms", "/metrics", "/debug/pprof/", "/debug/vars", "/docs", "/schemas/Problem.json", "/openapi.json"} {
			if a := w.ask("GET", path, nil, ""); a.status != 404 && a.status != 301 && a.status != 307 {
				t.Errorf("GET %s: %d %s", path, a.status, a.body)
			}
		}
		var p signaling.Problem
		if a := w.ask("PUT", "/v1/consultations", bearer(apiKey), "{}"); a.status != 404 || json.Unmarshal(a.body, &p) != nil || p.Code != "not_found" {
			t.Errorf("PUT: %d %s", a.status, a.body)
		}
	})
}
