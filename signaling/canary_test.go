package signaling_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

// auditText is the whole audit log as text.
func (w *world) auditText() string {
	w.Helper()
	var text []byte
	for after := uint64(0); ; {
		page, err := w.audit.Read(w.Context(), audit.Query{After: after})
		if err != nil {
			w.Fatal(err)
		}
		for _, r := range page.Records {
			line, err := json.Marshal(r)
			if err != nil {
				w.Fatal(err)
			}
			text = append(append(text, line...), '\n')
		}
		if after = page.Next; after >= page.Size {
			return string(text)
		}
	}
}

// reset forgets what has been logged.
func (b *safeBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

// canary looks like a name, not like a reference: what holds it must not be written anywhere.
const (
	canary     = "Ünal Canary7c1f"
	canaryWord = "anary7c1f" // also found where letters were changed around it
)

// wantNoCanary looks everywhere a canary must not be.
func (w *world) wantNoCanary(after string) {
	w.Helper()
	for name, text := range map[string]string{"log": w.log.String(), "audit log": w.auditText(), "metrics": w.metricsText(), "store's keys": w.storeKeys()} {
		if i := strings.Index(text, canaryWord); i >= 0 {
			w.Errorf("after %s the canary is in the %s: …%s", after, name, text[max(0, i-80):min(len(text), i+40)])
			w.log.reset()
		}
	}
}

// storeKeys returns the keys under which anything is kept.
func (w *world) storeKeys() string {
	w.Helper()
	var b strings.Builder
	for _, bucket := range []store.Bucket{"consultations", "seats", "reports"} {
		if err := w.store.Each(w.Context(), bucket, func(e store.Entry) error {
			b.WriteString(e.Key + "\n")
			return nil
		}); err != nil {
			w.Fatal(err)
		}
	}
	return b.String()
}

// leaves returns the paths to every value of a body, by its schema: "participants.0.role".
func (d *description) leaves(s *schema, path string) []string {
	if s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	switch s.Type {
	case "object":
		var list []string
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			list = append(list, d.leaves(s.Properties[name], strings.TrimPrefix(path+"."+name, "."))...)
		}
		return list
	case "array":
		return append(d.leaves(s.Items, path+".0"), path)
	}
	return []string{path}
}

// put returns JSON with another value at a path.
func put(t *testing.T, body, path string, value any) string {
	t.Helper()
	var root any
	if err := json.Unmarshal([]byte(body), &root); err != nil {
		t.Fatal(err)
	}
	at := root
	steps := strings.Split(path, ".")
	for i, step := range steps {
		last := i == len(steps)-1
		switch node := at.(type) {
		case map[string]any:
			if last {
				node[step] = value
			}
			at = node[step]
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n >= len(node) {
				t.Fatalf("no %s in %s", path, body)
			}
			if last {
				node[n] = value
			}
			at = node[n]
		default:
			t.Fatalf("no %s in %s", path, body)
		}
	}
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// canaries are the values in which a canary goes into a field: whatever its type, it is a mistake for
// most. An error tells the client where, never what.
func canaries() []any {
	return []any{canary, []any{canary}, map[string]any{"x": canary}, canary + "\x00\n level=ERROR " + canary, strings.Repeat(canary, 100)}
}

// TestCanariesInTheAPI puts a name into every field, parameter and header of every operation.
func TestCanariesInTheAPI(t *testing.T) {
	inWorld(t, manyJoins, func(w *world) {
		d := w.describe()
		routes, of := w.guarded(d)
		accepted, sent := 0, 0
		ask := func(r route, what string, values map[string]string, header http.Header, body string) {
			path, err := r.fill(values)
			if err != nil {
				t.Fatal(err)
			}
			a := w.ask(r.method, path, header, body)
			sent++
			if a.status < 400 {
				accepted++
			} else if strings.Contains(string(a.body), canaryWord) {
				t.Errorf("%s, %s: the answer repeats it: %s", r.ID, what, a.body)
			}
			w.advance(200 * time.Millisecond)
			w.wantNoCanary(r.ID + ", " + what)
		}
		for _, r := range routes {
			if r.ID == "connect" {
				continue // below
			}
			v := w.open(threePeople)
			ids := map[string]string{"id": v.ID, "pid": v.Participants[1].ID, "external_id": "x", "session": "x", "n": "0", "k": "1"}
			body := of[r.ID].body
			if r.ID == "join" {
				body = `{"invitation":"` + v.invitations[1] + `"}`
			}
			for _, p := range r.Parameters {
				values := maps.Clone(ids)
				values[p.Name] = canary
				ask(r, "parameter "+p.Name, values, bearer(apiKey), body)
			}
			for _, name := range []string{"Authorization", "Origin", "User-Agent", "Referer", "Cookie", "X-Forwarded-For", "X-Request-Id", "Accept", "Content-Type", "Accept-Language"} {
				h := bearer(apiKey)
				h.Set(name, canary)
				ask(r, "header "+name, ids, h, body)
			}
			for typ, c := range r.RequestBody.Content {
				if typ != "application/json" { // SDP
					h := bearer(v.token(1))
					h.Set("Content-Type", typ)
					ask(r, "no SDP", ids, h, canary)
					ask(r, "SDP", ids, h, "v=0\r\nm=video 9 "+canary+"\r\na=mid:"+canary+"\r\na=sendonly\r\n")
					continue
				}
				for _, leaf := range d.leaves(c.Schema, "") {
					for _, value := range canaries() {
						ask(r, leaf, ids, bearer(apiKey), put(t, body, leaf, value))
					}
				}
				ask(r, "a field of its own", ids, bearer(apiKey), put(t, body, "x", canary))
				ask(r, "no JSON", ids, bearer(apiKey), canary)
			}
		}
		if accepted == 0 || accepted == sent {
			t.Errorf("%d of %d requests are accepted", accepted, sent)
		}
		t.Logf("figure: a name in %d requests, %d of them accepted", sent, accepted)
	})
}

// plant sets the n-th string of a message, wherever it is, and reports whether there is one.
func plant(v reflect.Value, n *int, value string) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return plant(v.Elem(), n, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if plant(v.Field(i), n, value) {
				return true
			}
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		return plant(v.Index(0), n, value)
	case reflect.String:
		if *n--; *n < 0 {
			v.SetString(value)
			return true
		}
	}
	return false
}

// TestCanariesInMessages puts a name into every field of every message, by reflection, as a patient and
// as a clinician, and as the first message of a session.
func TestCanariesInMessages(t *testing.T) {
	source, err := os.ReadFile("wire/client.go")
	if err != nil {
		t.Fatal(err)
	}
	fast := func(c *config.Signaling, d *signaling.Deps) { manyJoins(c, d); c.Limits.MessagesInBurst = 10_000 }
	inWorld(t, fast, func(w *world) {
		v := w.open(`"participants":[{"role":"clinician","display":"` + canary + `","ref":"` + canary + `"},{"role":"patient","display":"` + canary + `","ref":"` + canary + `"},{"role":"carer","proxy_for":"` + canary + `"}]`)
		doctor, patient, carer := v.three()
		if joined := patient.last("joined").(*wire.Joined); joined.Display != canary {
			t.Fatalf("the name did not arrive: %+v", joined)
		}
		sent := 0
		for _, found := range clientType.FindAllSubmatch(source, -1) {
			typ := string(found[1])
			for n := 0; ; n++ {
				m := build(t, typ, v.Participants[2].ID)
				left := n
				if !plant(reflect.ValueOf(m), &left, canary) {
					break
				}
				for _, c := range []*client{doctor, patient, w.dial()} {
					c.send(m, 9)
					w.settle()
					sent++
				}
				w.advance(300 * time.Millisecond)
				w.wantNoCanary(typ + " with it in string " + strconv.Itoa(n+1))
			}
			for _, text := range []string{
				`{"type":"` + typ + `","` + canary + `":1}`, `{"type":"` + typ + `","participant":{"` + canary + `":1}}`, `{"type":"` + typ + canary + `"}`,
				`{"type":"` + typ + `","id":"` + canary + `"}`, canary, `{"type":"` + typ + `","sdp":"crash ` + canary + `"}`,
			} {
				for _, c := range []*client{doctor, patient, w.dial()} {
					c.sendRaw(websocket.TextMessage, []byte(text))
					sent++
				}
				w.advance(300 * time.Millisecond)
				w.wantNoCanary(text)
			}
		}
		if body, ok := carer.last("message").(*wire.Said); !ok || !strings.Contains(body.Body, canary) && !strings.Contains(body.Kind, canary) {
			t.Errorf("no message with the name arrived: %+v", body)
		}
		for _, header := range []http.Header{{"Origin": {canary}}, {"Sec-Websocket-Protocol": {canary}}, {"User-Agent": {canary}}} {
			_, _, _ = w.tryDial("/v1/connect", header)
		}
		_, _, _ = w.tryDial("/v1/connect?token="+canaryWord, nil)
		w.wantNoCanary("the handshakes")
		doctor.send(&wire.End{}, 10)
		w.advance(time.Minute)
		w.wantNoCanary("the end")
		t.Logf("figure: a name in %d messages", sent)
	})
}
