package signaling_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// everyRole is a consultation with one of each role, a guardian included, and two to do things to:
// one in the room and one who waits.
const everyRole = `"recording":"ask","max_participants":12,"group":true,"participants":[{"role":"clinician"},{"role":"patient"},{"role":"carer"},
	{"role":"carer","proxy_for":"p"},{"role":"interpreter"},{"role":"observer"},{"role":"device"},{"role":"carer"},{"role":"carer"},{"role":"clinician"}]`

const (
	inRoom, inLobby, colleague = 7, 8, 9 // indexes of everyRole
	actors                     = 7
)

// needs is which right a message needs, whom it is tried on, and how it is answered for who has it.
// A message type that is not here fails the test: somebody must say who may send it.
var needs = map[string]struct {
	verb   consult.Verb
	whom   int
	answer string
}{
	"join":     {"", 0, "already_joined"},
	"offer":    {"", 0, "answer"},
	"mute":     {"", 0, "unknown_mid"},
	"layout":   {"", 0, "done"},
	"stats":    {"", 0, "done"},
	"admit":    {consult.VerbAdmit, inLobby, "done"},
	"refuse":   {consult.VerbRefuse, inLobby, "done"},
	"remove":   {consult.VerbRemove, inRoom, "done"},
	"hold":     {consult.VerbHold, inRoom, "done"},
	"unhold":   {consult.VerbHold, inRoom, "no_such_participant"}, // who is not on hold
	"message":  {consult.VerbMessage, inRoom, "done"},
	"vitals":   {consult.VerbVitals, inRoom, "done"}, // a message of that kind
	"record":   {consult.VerbRecord, 0, "done"},
	"consent":  {consult.VerbConsent, 0, "done"},
	"end":      {consult.VerbEnd, 0, "ended"},
	"leave":    {consult.VerbLeave, 0, "ended"},
	"leave_to": {consult.VerbHandOver, colleague, "ended"},
}

// build makes a message of a type, aimed at a participant, by reflection: new fields need no change.
func build(t *testing.T, typ, whom string) wire.ClientMessage {
	t.Helper()
	name, _ := strings.CutSuffix(typ, "_to")
	if typ == "vitals" {
		name = "message"
	}
	m, _, err := wire.Decode([]byte(`{"type":"` + name + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		switch f := v.Type().Field(i).Name; {
		case f == "Participant", f == "To" && name != typ, f == "To" && name == "message":
			v.Field(i).SetString(whom)
		case f == "Recording":
			v.Field(i).SetString(string(wire.ConsentGranted))
		case f == "Notice":
			v.Field(i).SetString(notice)
		case f == "Action":
			v.Field(i).SetString(string(wire.RecordRequest))
		case f == "Kind":
			v.Field(i).SetString("chat")
		case f == "SDP":
			v.Field(i).SetString("good")
		}
	}
	if say, ok := m.(*wire.Say); ok && typ == "vitals" {
		say.Kind = consult.KindVitals
	}
	return m
}

// clientType finds the types of the messages that clients send.
var clientType = regexp.MustCompile(`clientType\(\) string\s+\{ return "(\w+)" \}`)

// TestEveryRoleWithEveryMessage is the table of rights at the socket.
func TestEveryRoleWithEveryMessage(t *testing.T) {
	source, err := os.ReadFile("wire/client.go")
	if err != nil {
		t.Fatal(err)
	}
	types := []string{"vitals", "leave_to"}
	for _, m := range clientType.FindAllSubmatch(source, -1) {
		types = append(types, string(m[1]))
	}
	for _, typ := range types {
		if _, known := needs[typ]; !known {
			t.Errorf("who may send %s?", typ)
		}
	}
	if len(needs) != len(types) {
		t.Errorf("%d rows for %d messages", len(needs), len(types))
	}
	for typ, need := range needs {
		for actor := range actors {
			t.Run(fmt.Sprintf("%s by %d", typ, actor), func(t *testing.T) {
				inWorld(t, withRecorder(new(fakeRecorder)), func(w *world) {
					v := w.open(everyRole)
					var people []*client
					for i := range v.Participants {
						people = append(people, v.enter(i))
					}
					doctor, c := people[0], people[actor]
					for i, p := range v.Participants {
						if i != inLobby && p.Role != wire.RoleClinician {
							doctor.wantAnswer("done", &wire.Admit{Participant: p.ID}, uint64(100+i))
						}
					}
					v.settle()
					before := v.media.flowing(v.ID)
					joined := c.last("joined").(*wire.Joined)
					may := need.verb == "" || slices.Contains(joined.Policy.Can, string(need.verb))
					if rights := consult.RightsFor(joined.Role, actor == 3); may != (need.verb == "" || rights.May(need.verb)) {
						t.Errorf("the client is told that it may: %v", may)
					}
					m := build(t, typ, v.Participants[need.whom].ID)
					got := c.ask(m, 500)
					if reason, code := c.ended(); code != 0 {
						got = "ended"
						if reason != "ended" && reason != "left" {
							t.Errorf("ended with %q", reason)
						}
					}
					want := need.answer
					if !may {
						want = "forbidden"
					}
					if got != want {
						t.Errorf("%s by %s: %q, want %q", typ, joined.Role, got, want)
					}
					if after := v.media.flowing(v.ID); !may && !slices.Equal(before, after) {
						t.Errorf("forbidden, and yet media flows between %v after %v", after, before)
					}
				})
			})
		}
	}
}

// TestEveryMessageFromTheLobbyAndFromHold: nobody who is not in the room does anything in it.
func TestEveryMessageFromTheLobbyAndFromHold(t *testing.T) {
	allowed := []string{"join", "offer", "mute", "layout", "stats", "consent", "leave"} // what concerns oneself only
	for _, where := range []wire.State{wire.StateWaiting, wire.StateHeld} {
		for typ, need := range needs {
			t.Run(fmt.Sprintf("%s %s", where, typ), func(t *testing.T) {
				inWorld(t, withRecorder(new(fakeRecorder)), func(w *world) {
					v := w.open(everyRole)
					doctor, patient, other := v.enter(0), v.enter(1), v.enter(inRoom)
					v.enter(inLobby)
					doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[inRoom].ID}, 10)
					if where == wire.StateHeld {
						doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 11)
						doctor.wantAnswer("done", &wire.Hold{Participant: v.Participants[1].ID}, 12)
					}
					heard := len(other.all())
					got := patient.ask(build(t, typ, v.Participants[need.whom].ID), 500)
					if slices.Contains(allowed, typ) {
						return
					}
					if got != wire.CodeNotAdmitted {
						t.Errorf("%s: %q, want not_admitted", typ, got)
					}
					if n := len(other.all()); n != heard {
						t.Errorf("%s: the room heard of it: %v", typ, other.types()[heard:])
					}
				})
			})
		}
	}
}

// TestEveryRouteWithEveryScope reads the routes from the API's description: each needs exactly the
// scope that this table says.
func TestEveryRouteWithEveryScope(t *testing.T) {
	scope := map[string]string{
		"POST /v1/consultations": config.ScopeConsultations, "GET /v1/consultations": config.ScopeConsultations,
		"GET /v1/consultations/{id}": config.ScopeConsultations, "PATCH /v1/consultations/{id}": config.ScopeConsultations,
		"DELETE /v1/consultations/{id}":                    config.ScopeConsultations,
		"GET /v1/consultations/{id}/report":                config.ScopeConsultations,
		"POST /v1/consultations/{id}/participants":         config.ScopeConsultations,
		"DELETE /v1/consultations/{id}/participants/{pid}": config.ScopeConsultations,
		"GET /v1/audit":                     config.ScopeAudit,
		"GET /v1/recordings":                config.ScopeRecordings,
		"GET /v1/recordings/{id}":           config.ScopeRecordings,
		"DELETE /v1/recordings/{id}":        config.ScopeRecordings,
		"GET /v1/recordings/{id}/manifest":  config.ScopeRecordings,
		"GET /v1/recordings/{id}/key":       config.ScopeRecordings,
		"PUT /v1/recordings/{id}/key":       config.ScopeRecordings,
		"GET /v1/recordings/{id}/keys/{k}":  config.ScopeRecordings,
		"DELETE /v1/recordings/{id}/keys":   config.ScopeRecordings,
		"GET /v1/recordings/{id}/parts/{n}": config.ScopeRecordings,
		"POST /v1/join":                     "", "GET /v1/connect": "",
		"POST /v1/check": "", "GET /v1/check/{id}": "", "GET /v1/check/download": "", "POST /v1/check/upload": "",
		// The token of a session:
		"POST /v1/whip": "", "PATCH /v1/whip/{session}": "", "DELETE /v1/whip/{session}": "",
		"POST /v1/whep": "", "PATCH /v1/whep/{session}": "", "DELETE /v1/whep/{session}": "",
	}
	keys := func(c *config.Signaling, _ *signaling.Deps) {
		for _, s := range config.Scopes() {
			c.APIKeys = append(c.APIKeys, config.APIKey{ID: "only-" + s, Tenant: "tenant-1", Hash: sha256Hex(s), Scopes: []string{s}})
		}
	}
	inWorld(t, keys, func(w *world) {
		routes := w.routes()
		for _, route := range routes {
			need, known := scope[route]
			if !known {
				t.Errorf("which scope does %s need?", route)
			}
			if need == "" {
				continue
			}
			v := w.open(threePeople)
			w.shelf.put(v.ID, "tenant-1", v.ID, time.Time{})
			method, path, _ := strings.Cut(route, " ")
			path = strings.NewReplacer("{id}", v.ID, "{pid}", v.Participants[0].ID, "{n}", "0", "{k}", "1").Replace(path)
			if path == "/v1/consultations" && method == "GET" {
				path += "?external_id=x"
			}
			body := map[string]string{"POST /v1/consultations": "{" + threePeople + "}",
				"POST /v1/consultations/{id}/participants": `{"role":"carer"}`, "PATCH /v1/consultations/{id}": `{}`, "PUT /v1/recordings/{id}/key": "age-"}[route]
			for _, s := range config.Scopes() {
				status, code := w.call(method, path, s, body, nil)
				if s == need && status >= 300 {
					t.Errorf("%s with scope %s: %d %s", route, s, status, code)
				}
				if s != need && (status != 403 || code != "forbidden") {
					t.Errorf("%s with scope %s: %d %s, want 403 forbidden", route, s, status, code)
				}
			}
			if status, code := w.call(method, path, "", body, nil); status != 401 || code != "unauthorized" {
				t.Errorf("%s without a key: %d %s", route, status, code)
			}
		}
		if len(routes) != len(scope) {
			t.Errorf("%d routes are described, %d are in the table: %v", len(routes), len(scope), routes)
		}
	})
}

var described = regexp.MustCompile(`(?m)^  (/v1/\S+):$|^    (get|put|post|patch|delete):$`)

// routes returns every route of openapi.yaml as "METHOD /path".
func (w *world) routes() []string {
	var routes []string
	path := ""
	for _, m := range described.FindAllStringSubmatch(w.get("/openapi.yaml"), -1) {
		if m[1] != "" {
			path = m[1]
			continue
		}
		routes = append(routes, strings.ToUpper(m[2])+" "+path)
	}
	return routes
}
