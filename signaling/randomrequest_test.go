package signaling_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
)

// TestRandomRequests asks for everything that the description allows, and for much that it does not.
// Whatever is asked, nothing breaks, and every answer is one that the description promises.
func TestRandomRequests(t *testing.T) {
	count := 6_000
	if os.Getenv("SOAK") != "" {
		count = 200_000
	}
	roomy := func(c *config.Signaling, _ *signaling.Deps) { c.Limits.Consultations = 1 << 20 }
	inWorld(t, roomy, func(w *world) {
		d := w.describe()
		routes := d.routes()
		codes := protocolCodes(t)
		g := &generator{rng: rand.New(rand.NewPCG(1, 1)), d: d, strings: []string{"c_x"}, people: map[string][]string{}}
		g.learn(w.ask("POST", "/v1/consultations", bearer(apiKey), "{"+threePeople+"}").body)
		statuses := map[int]int{}
		for i := range count {
			r := routes[g.rng.IntN(len(routes))]
			if r.ID == "connect" || strings.HasPrefix(r.ID, "check-") { // no JSON: TestChecksAreBounded
				continue
			}
			path, header, body := g.request(r)
			a := w.ask(r.method, path, header, body)
			statuses[a.status]++
			switch err := d.check(r.operation, a); {
			case err != nil:
				t.Errorf("request %d, %s %.200s %.300s: %v\n%.300s", i, r.method, path, body, err, a.body)
			case a.status >= 500:
				t.Errorf("request %d, %s %.200s %.300s: %d %s", i, r.method, path, body, a.status, a.body)
			case a.status >= 400 && !slices.Contains(codes, a.code()):
				t.Errorf("request %d, %s: the code %q is none of the protocol's", i, r.method, a.code())
			}
			if t.Failed() {
				break
			}
			g.learn(a.body)
			if r.ID == "join" {
				w.advance(50 * time.Millisecond) // below the limit of its rate most of the time
			}
		}
		for _, status := range []int{200, 201, 204, 400, 401, 404, 409, 410, 413, 422, 429} {
			if statuses[status] == 0 {
				t.Errorf("no request led to %d: %v", status, statuses)
			}
		}
		t.Logf("figure: %d random requests, by status %v, 0 of 500 and above", count, statuses)
	})
}

// protocolCodes returns the value of every constant Code… of package wire.
func protocolCodes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "wire/wire.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Code") {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, value)
		}
		return true
	})
	if len(codes) < 30 {
		t.Fatalf("only %d codes found in wire.go", len(codes))
	}
	return codes
}

// generator makes requests of a description.
type generator struct {
	rng     *rand.Rand
	d       *description
	strings []string // what the server has told
	// What of it is of use, as an attacker who looks on knows it: consultation -> participants.
	people      map[string][]string
	ids         []string // the keys of people, in the order of their coming
	invitations []string
}

// learn remembers the strings of an answer, up to some hundred of each kind.
func (g *generator) learn(body []byte) {
	var made signaling.Consultation
	if json.Unmarshal(body, &made) == nil && strings.HasPrefix(made.ID, "c_") && g.people[made.ID] == nil && len(g.ids) < 300 {
		g.ids = append(g.ids, made.ID)
		for _, p := range made.Participants {
			g.people[made.ID] = append(g.people[made.ID], p.ID)
			_, invitation, _ := strings.Cut(p.JoinURL, "/j/#")
			g.invitations = append(g.invitations, invitation)
		}
	}
	var value any
	if json.Unmarshal(body, &value) == nil {
		g.walk(value)
	}
}

func (g *generator) walk(value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) { // the same on every run
			g.walk(value[key])
		}
	case []any:
		for _, item := range value {
			g.walk(item)
		}
	case string:
		if len(g.strings) < 300 {
			g.strings = append(g.strings, value)
		} else {
			g.strings[g.rng.IntN(300)] = value
		}
	}
}

func (g *generator) chance(n int) bool { return g.rng.IntN(n) == 0 }

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func (g *generator) request(r route) (path string, header http.Header, body string) {
	values := map[string]string{}
	for _, p := range r.Parameters {
		if p.Required || g.chance(2) {
			values[p.Name] = g.text(p.Schema)
		}
		if p.Schema.Type == "integer" && !g.chance(5) {
			values[p.Name] = pick(g.rng, "0", "1", "7", "1000", "1001", "18446744073709551615", "18446744073709551616", "-1", "1e3", "")
		}
		if p.Name == "external_id" && !g.chance(4) {
			values[p.Name] = pick(g.rng, "e1", "e2")
		}
		if p.In == "path" && values[p.Name] == "" {
			values[p.Name] = "x"
		}
	}
	if id := pick(g.rng, g.ids...); !g.chance(8) {
		values["id"], values["consultation"] = id, id
		if people := g.people[id]; len(people) > 0 && !g.chance(8) {
			values["pid"] = pick(g.rng, people...)
		}
	}
	path, err := r.fill(values)
	if err != nil {
		panic(err)
	}
	if g.chance(40) {
		path += pick(g.rng, "?x=1", "?", "?%00", "?a=%ff&a=%ff")
	}
	header = bearer(pick(g.rng, apiKey, apiKey, apiKey, apiKey, apiKey, apiKey, otherAPIKey, otherAPIKey, "x"))
	if g.chance(30) {
		header.Set("Content-Type", pick(g.rng, "text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data; boundary=x", "application/cbor", "x"))
	}
	if g.chance(30) {
		header.Set("Accept", pick(g.rng, "text/html", "application/cbor", "*/*;q=0", "x", "application/json;q=x"))
	}
	for _, c := range r.RequestBody.Content {
		body = g.body(c.Schema)
	}
	return path, header, body
}

func (g *generator) body(s *schema) string {
	switch g.rng.IntN(40) {
	case 0:
		return pick(g.rng, "", "null", "[]", "{", "0", `"x"`, "{}{}", "\x00", "\xff\xfe", `{"a":`+strings.Repeat("[", 20_000))
	case 1:
		return `{"external_id":"` + strings.Repeat("x", 65<<10) + `"}`
	}
	data, err := json.Marshal(g.value(s, 0))
	if err != nil {
		panic(err)
	}
	text := string(data)
	switch g.rng.IntN(20) {
	case 0: // a byte of it is another
		i := g.rng.IntN(len(text))
		return text[:i] + string(rune(g.rng.IntN(256))) + text[i+1:]
	case 1: // its end is missing
		return text[:g.rng.IntN(len(text))]
	case 2: // a member comes twice
		return strings.Replace(text, "{", `{"role":"patient","role":1,"start":null,`, 1)
	}
	return text
}

// value returns a value of the schema, most of the time.
func (g *generator) value(s *schema, depth int) any {
	if s.Ref != "" {
		s = g.d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	if g.chance(200) {
		return pick[any](g.rng, nil, true, 0, -1, 1e300, "x", []any{}, []any{nil}, map[string]any{}, map[string]any{"\x00": "x"})
	}
	switch s.Type {
	case "object":
		object := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if slices.Contains(s.Required, name) && !g.chance(50) || g.chance(3) {
				object[name] = g.value(s.Properties[name], depth+1)
				switch {
				case name == "external_id" && !g.chance(4):
					object[name] = pick(g.rng, "e1", "e2", "e3")
				case name == "invitation" && !g.chance(4):
					object[name] = pick(g.rng, g.invitations...)
				case name == "recording" && !g.chance(4):
					object[name] = "never"
				}
			}
		}
		if g.chance(60) {
			object[pick(g.rng, "x", "", "__proto__", "Role", "ID")] = "x"
		}
		return object
	case "array":
		n := 1 + g.rng.IntN(4)
		if g.chance(20) {
			n = pick(g.rng, 0, s.MaxItems, s.MaxItems+1)
		}
		list := make([]any, n)
		for i := range list {
			list[i] = g.value(s.Items, depth+1)
		}
		return list
	case "boolean":
		return g.chance(2)
	case "integer":
		return pick[any](g.rng, 2, 8, 20, 20, 1, 21, 0, -1, 1.5, int64(1)<<62)
	}
	return g.text(s)
}

// text returns a string of the schema, most of the time.
func (g *generator) text(s *schema) string {
	switch {
	case len(s.Enum) > 0 && !g.chance(30):
		return pick(g.rng, s.Enum...)
	case s.Format == "date-time" && !g.chance(30):
		near := time.Now().Add(time.Duration(g.rng.IntN(86400)-3600) * time.Second)
		if !g.chance(4) {
			return near.Format(pick(g.rng, time.RFC3339, time.RFC3339Nano))
		}
		return pick(g.rng, "9999-12-31T23:59:59Z", "9999-12-31T22:00:00-23:59", "0000-01-01T00:00:00Z", "2300-01-01T00:00:00Z",
			"2016-12-31T23:59:60Z", "2000-02-30T00:00:00Z", "2000-01-01", "0001-01-01T00:00:00Z")
	case g.chance(2):
		return pick(g.rng, g.strings...)
	case s.MaxLength > 0 && g.chance(6):
		return strings.Repeat(pick(g.rng, "x", "ü", "𝄞"), pick(g.rng, s.MaxLength, s.MaxLength+1))
	}
	return pick(g.rng, "x", "r1", "Dr Ü", "", "..", "../../etc/passwd", "a/b", "\x00", "\u202e", "*", ">", "c_*", "%2e%2e", "{id}", "\r\nX: y", "'--", "${x}", "\U0010ffff", "=1+1", strings.Repeat("x", 300))
}
