package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/signaling/client"
)

func TestNew(t *testing.T) {
	for url, good := range map[string]bool{
		"https://video.example": true, "https://video.example:8443/": true, "http://localhost:8443": true, "http://127.0.0.1:8443": true,
		"http://[::1]:8443": true, "http://video.example": false, "video.example": false, "": false, "ftp://video.example": false,
		"https://user:password@video.example": false, "https://video.example/?x=1": false, "http://localhost.example": false,
	} {
		if _, err := client.New(url, key, client.Options{}); (err == nil) != good || err != nil && !errors.Is(err, client.ErrBaseURL) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// script answers requests one after the other, and notes when they came.
type script struct {
	answers []answer
	start   time.Time
	at      []time.Duration
	bodies  []string
}

type answer struct {
	status int // 0 is no answer
	header http.Header
	body   string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	a := s.answers[min(len(s.at), len(s.answers)-1)]
	s.at = append(s.at, time.Since(s.start))
	s.bodies = append(s.bodies, string(body))
	switch {
	case a.status == 0:
		return nil, errors.New("connection refused")
	case a.status < 0:
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

var problemHeader = map[string][]string{"Content-Type": {"application/problem+json"}}

func after(value string) http.Header {
	return http.Header{"Retry-After": {value}, "Content-Type": {"application/problem+json"}}
}

const unavailable = `{"title": "Service Unavailable", "status": 503, "code": "unavailable", "detail": "the server is stopping"}`

func TestRetry(t *testing.T) {
	get := func(c *client.Client) error { _, err := c.Get(context.Background(), "c_1"); return err }
	create := func(externalID string) func(c *client.Client) error {
		return func(c *client.Client) error {
			_, err := c.Create(context.Background(), client.NewConsultation{ExternalID: externalID})
			return err
		}
	}
	invite := func(c *client.Client) error {
		_, err := c.Invite(context.Background(), "c_1", client.NewParticipant{})
		return err
	}
	short := func(c *client.Client) error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, err := c.Get(ctx, "c_1")
		return err
	}
	fine := answer{status: 200, body: `{"id": "c_1"}`}
	busy := func(after_ string) answer { return answer{503, after(after_), unavailable} }
	for _, tt := range []struct {
		name     string
		do       func(*client.Client) error
		answers  []answer
		requests int
		least    time.Duration // until the last request
		most     time.Duration
		code     string // of the problem; "" is success, "-" an error that is none
	}{
		{"at once", get, []answer{fine}, 1, 0, 0, ""},
		{"no connection", get, []answer{{}, {}, fine}, 3, 375 * time.Millisecond, 750 * time.Millisecond, ""},
		{"never a connection", get, []answer{{}}, 4, 875 * time.Millisecond, 1750 * time.Millisecond, "-"},
		{"no answer in time", get, []answer{{status: -1}, fine}, 2, 10 * time.Second, 11 * time.Second, ""},
		{"asked to wait", get, []answer{busy("5"), fine}, 2, 5 * time.Second, 5 * time.Second, ""},
		{"asked to wait until", get, []answer{busy("Sat, 01 Jan 2000 00:00:07 GMT"), fine}, 2, 7 * time.Second, 7 * time.Second, ""},
		{"asked to wait too long", get, []answer{busy("31")}, 1, 0, 0, "unavailable"},
		{"asked to wait for ever", get, []answer{busy("999999999999")}, 4, 875 * time.Millisecond, 1750 * time.Millisecond, "unavailable"},
		{"longer than the caller waits", short, []answer{busy("5")}, 1, 0, 0, "unavailable"},
		{"a proxy's page", get, []answer{{status: 502, body: "<html>"}, fine}, 2, 125 * time.Millisecond, 250 * time.Millisecond, ""},
		{"a refusal", get, []answer{{403, problemHeader, `{"code": "forbidden"}`}}, 1, 0, 0, "forbidden"},
		{"an internal error", get, []answer{{500, problemHeader, `{"code": "internal"}`}}, 1, 0, 0, "internal"},
		{"nonsense", get, []answer{{status: 200, body: "<html>"}}, 1, 0, 0, "-"},
		{"create with an id", create("x"), []answer{{}, fine}, 2, 125 * time.Millisecond, 250 * time.Millisecond, ""},
		{"create without", create(""), []answer{{}}, 1, 0, 0, "-"},
		{"invite", invite, []answer{busy("1")}, 1, 0, 0, "unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: tt.answers, start: time.Now()}
				c, err := client.New("https://video.example", key, client.Options{HTTP: &http.Client{Transport: s}})
				if err != nil {
					t.Fatal(err)
				}
				err = tt.do(c)
				var p *client.Problem
				switch {
				case tt.code == "" && err != nil, tt.code != "" && err == nil:
					t.Errorf("got %v, want %q", err, tt.code)
				case errors.As(err, &p) != (len(tt.code) > 1) || p != nil && p.Code != tt.code:
					t.Errorf("got %v, want %q", err, tt.code)
				}
				if len(s.at) != tt.requests {
					t.Fatalf("%d requests, want %d", len(s.at), tt.requests)
				}
				if last := s.at[len(s.at)-1]; last < tt.least || last > tt.most {
					t.Errorf("the last request came after %v, want %v to %v", last, tt.least, tt.most)
				}
				for _, b := range s.bodies {
					if b != s.bodies[0] {
						t.Errorf("repeated with another body: %s, %s", s.bodies[0], b)
					}
				}
			})
		})
	}
}

// Cancelling the context ends a pause.
func TestRetryCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []answer{{503, after("20"), unavailable}}, start: time.Now()}
		c, err := client.New("https://video.example", key, client.Options{HTTP: &http.Client{Transport: s}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		_, err = c.Get(ctx, "c_1")
		var p *client.Problem
		if !errors.Is(err, context.Canceled) || !errors.As(err, &p) || time.Since(s.start) != 3*time.Second || len(s.at) != 1 {
			t.Errorf("got %v after %v and %d requests; want the end of the context and the last problem after 3 s", err, time.Since(s.start), len(s.at))
		}
	})
}

// Errors go into logs: no key, no external id, no id.
func TestErrorsHoldNoIDs(t *testing.T) {
	s := &script{answers: []answer{{}}}
	c, err := client.New("https://video.example", "secret-key", client.Options{HTTP: &http.Client{Transport: s}, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := c.Find(t.Context(), "external-4711")
	err2 := c.Revoke(t.Context(), "c_secret", "p_secret")
	for _, err := range []error{err1, err2} {
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "4711") {
			t.Errorf("error %q", err)
		}
	}
	if want := "client: DELETE /v1/consultations/{id}/participants/{id}: connection refused"; err2.Error() != want {
		t.Errorf("error %q, want %q", err2, want)
	}
}
