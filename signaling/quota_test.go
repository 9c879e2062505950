package signaling_test

import (
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

// quota is a limit and what exceeds it by one.
type quota struct {
	set    func(*config.Limits)
	exceed func(*testing.T, *world, *visit) answer // status 0: a session's error
	status int
	code   string
	metric string
}

// connectTo asks for one more session.
func connectTo(w *world) answer {
	_, resp, err := w.tryDial("/v1/connect", nil)
	if err == nil {
		return answer{status: http.StatusSwitchingProtocols}
	}
	body := make([]byte, 1000)
	n, _ := resp.Body.Read(body)
	return answer{resp.StatusCode, resp.Header, body[:n]}
}

// elsewhere are the limits that another package keeps, and its test.
func elsewhere() map[string]string {
	return map[string]string{"ConnectionsPerIP": "../sfu/port/cap_test.go: func TestCapTCP("}
}

// quotas are all other fields of config.Limits, by name.
func quotas() map[string]quota {
	return map[string]quota{
		"Consultations": {
			func(l *config.Limits) { l.Consultations = 1 },
			func(_ *testing.T, w *world, _ *visit) answer {
				return w.ask("POST", "/v1/consultations", bearer(apiKey), "{"+threePeople+"}")
			}, 429, "unavailable", `bedside_api_requests_total{operation="create-consultation",status="429"} 1`,
		},
		"Participants": {
			func(l *config.Limits) { l.Participants = 60 },
			func(t *testing.T, w *world, _ *visit) answer {
				everybody := func(most int) string {
					return fmt.Sprintf(`{"max_participants":%d,"participants":[{"role":"clinician"}%s]}`, most, strings.Repeat(`,{"role":"carer"}`, 59))
				}
				if a := w.ask("POST", "/v1/consultations", bearer(apiKey), everybody(60)); a.status != 201 {
					t.Errorf("within the limit: %d %s", a.status, a.body)
				}
				return w.ask("POST", "/v1/consultations", bearer(apiKey), everybody(61))
			}, 422, "bad_request", `bedside_api_requests_total{operation="create-consultation",status="422"} 1`,
		},
		"Sessions": {
			func(l *config.Limits) { l.Sessions = 1 },
			func(_ *testing.T, w *world, _ *visit) answer { return connectTo(w) },
			503, "unavailable", `bedside_joins_total{outcome="unavailable"} 1`,
		},
		"SessionsPerIP": {
			func(l *config.Limits) { l.SessionsPerIP = 1 },
			func(_ *testing.T, w *world, _ *visit) answer { return connectTo(w) },
			429, "rate_limited", `bedside_joins_total{outcome="rate_limited"} 1`,
		},
		"JoinsPerSecond": {
			func(l *config.Limits) { l.JoinsPerSecond = 2 },
			func(t *testing.T, w *world, v *visit) answer {
				for range 3 { // one is past, and twice the rate is allowed at once
					if a := v.show(2, ""); a.status != 200 {
						t.Errorf("within the limit: %d", a.status)
					}
				}
				return v.show(2, "")
			}, 429, "rate_limited", `bedside_invitations_total{outcome="rate_limited"} 1`,
		},
		"MessagesInBurst": {
			func(l *config.Limits) { l.MessagesInBurst = 5 },
			func(_ *testing.T, w *world, v *visit) answer { return burst(w, 5) },
			0, "rate_limited", `bedside_messages_total{outcome="rate_limited",type="message"} 1`,
		},
		"MessagesPerSec": {
			func(l *config.Limits) { l.MessagesPerSec, l.MessagesInBurst = 2, 5 },
			func(t *testing.T, w *world, v *visit) answer {
				if a := burst(w, 4); a.code() != "" {
					t.Errorf("within the burst: %s", a.body)
				}
				w.advance(time.Second)
				return burst(w, 2)
			}, 0, "rate_limited", `bedside_messages_total{outcome="rate_limited",type="message"} 1`,
		},
	}
}

// burst sends n messages that are within the limit and one more, and returns how that is answered.
func burst(w *world, n int) answer {
	doctor := w.clients[0]
	for i := range n + 1 {
		doctor.send(&wire.Say{Kind: "chat", Body: "x"}, uint64(100+i))
	}
	for i := range n {
		if got := doctor.reply(uint64(100 + i)); got != "done" {
			w.Errorf("message %d of %d: %s", i+1, n, got)
		}
	}
	last := doctor.all()
	for _, r := range last {
		if r.Re == uint64(100+n) && r.Type == "error" {
			return answer{body: []byte(r.raw)}
		}
	}
	return answer{}
}

// TestLimits exceeds every limit of the configuration by one: it is refused with its code and a time to
// try again, counted, and nobody else notices.
func TestLimits(t *testing.T) {
	rows := quotas()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config.Limits]()) {
		if file, test, ok := strings.Cut(elsewhere()[field.Name], ": "); ok {
			if source, err := os.ReadFile(file); err != nil || !strings.Contains(string(source), test) {
				t.Errorf("limit %s: %s has no %s: %v", field.Name, file, test, err)
			}
			continue
		}
		q, ok := rows[field.Name]
		if !ok {
			t.Errorf("limit %s has no row: what exceeds it, and what happens then?", field.Name)
			continue
		}
		t.Run(field.Name, func(t *testing.T) {
			inWorld(t, func(c *config.Signaling, _ *signaling.Deps) { q.set(&c.Limits) }, func(w *world) {
				v := w.open(threePeople)
				doctor := v.enter(0)
				a := q.exceed(t, w, v)
				if a.status != q.status || a.code() != q.code {
					t.Errorf("got %d %s, want %d %s", a.status, a.code(), q.status, q.code)
				}
				if (a.header.Get("Retry-After") != "") != (q.status != 0 && q.status != 422) {
					t.Errorf("try again after %q", a.header.Get("Retry-After"))
				}
				if !strings.Contains(w.metricsText(), q.metric+"\n") {
					t.Errorf("no %s in the metrics", q.metric)
				}
				w.advance(10 * time.Second)
				doctor.wantAlive()
			})
		})
	}
}

// TestFixedLimits are those that nobody configures.
func TestFixedLimits(t *testing.T) {
	people := func(n int) string {
		return `"max_participants":20,"participants":[{"role":"clinician"}` + strings.Repeat(`,{"role":"carer"}`, n-1) + "]"
	}
	for _, tt := range []struct {
		name   string
		exceed func(*world) answer
		status int
		code   string
	}{
		{"50 participants invited", func(w *world) answer {
			return w.ask("POST", "/v1/consultations", bearer(apiKey), "{"+people(50)+"}")
		}, 201, ""},
		{"51 participants invited", func(w *world) answer {
			return w.ask("POST", "/v1/consultations", bearer(apiKey), "{"+people(51)+"}")
		}, 422, "bad_request"},
		{"the 51st invited later", func(w *world) answer {
			v := w.open(people(50))
			return w.ask("POST", "/v1/consultations/"+v.ID+"/participants", bearer(apiKey), `{"role":"carer"}`)
		}, 422, "bad_request"},
		{"one more than max_participants", func(w *world) answer {
			v := w.open(people(50))
			for i := range 20 {
				v.enter(i)
				w.advance(200 * time.Millisecond)
			}
			c := w.dial()
			c.send(&wire.Join{Token: v.token(20)}, 1)
			code, _ := c.ended()
			return answer{body: []byte(`{"code":"` + code + `"}`)}
		}, 0, "consultation_full"},
		{"a header of 64 KiB", func(w *world) answer {
			w.http.MaxHeaderBytes = 16 << 10 // as cmd/bedside configures it
			h := bearer(apiKey)
			h.Set("X-Padding", strings.Repeat("x", 64<<10))
			return w.ask("GET", "/v1/consultations/c_x", h, "")
		}, 431, ""},
		{"a body of 65,535 bytes", func(w *world) answer {
			return w.ask("POST", "/v1/consultations", bearer(apiKey), strings.Repeat(" ", 64<<10-1-len("{"+threePeople+"}"))+"{"+threePeople+"}")
		}, 201, ""},
		{"a body of 64 KiB", func(w *world) answer {
			return w.ask("POST", "/v1/consultations", bearer(apiKey), strings.Repeat(" ", 64<<10-len("{"+threePeople+"}"))+"{"+threePeople+"}")
		}, 413, "message_too_large"},
		{"a body of 64 KiB and a byte for join", func(w *world) answer {
			return w.ask("POST", "/v1/join", nil, `{"invitation":"x"}`+strings.Repeat(" ", 64<<10))
		}, 413, "message_too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				doctor := w.open(threePeople).enter(0)
				if a := tt.exceed(w); a.status != tt.status || a.code() != tt.code {
					t.Errorf("got %d %s, want %d %s", a.status, a.code(), tt.status, tt.code)
				}
				doctor.wantAlive()
			})
		})
	}
}

// TestFloodOfRooms: 10,000 requests for consultations in a second, by one key, make no more of them than
// the limit, and a call that goes on does not notice.
func TestFloodOfRooms(t *testing.T) {
	hundred := func(c *config.Signaling, _ *signaling.Deps) { c.Limits.Consultations = 100 }
	inWorld(t, hundred, func(w *world) {
		doctor, patient, _ := w.open(threePeople).three()
		statuses := map[int]int{}
		for range 10_000 {
			statuses[w.ask("POST", "/v1/consultations", bearer(apiKey), "{"+threePeople+"}").status]++
		}
		if want := map[int]int{201: 99, 429: 9901}; !reflect.DeepEqual(statuses, want) {
			t.Errorf("got %v, want %v", statuses, want)
		}
		doctor.wantAlive()
		patient.wantAlive()
	})
}

// TestSameIdentityTwice: the second replaces the first, waits like anyone, and it is written down.
func TestSameIdentityTwice(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, _ := v.three()
		second := v.enter(1)
		patient.wantEnded("replaced", 1000)
		second.wantSee("patient:waiting")
		doctor.wantSee("clinician:admitted interpreter:admitted patient:waiting")
		if slices.Contains(w.media.flowing(v.ID), v.Participants[1].ID) {
			t.Error("media flows to the second device before it is admitted")
		}
		if got := len(w.reasons(audit.PersonReplaced)); got != 1 {
			t.Errorf("%d replacements are in the audit log, want 1:\n%s", got, fmt.Sprint(w.auditText()))
		}
	})
}
