package signaling_test

import (
	"net/http"
	"testing"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
)

// TestKeyOrigins: a page may use the API with a key that lists its origin, and read the answers, also
// those that refuse it something; a page of another origin may read nothing, whichever key it has.
func TestKeyOrigins(t *testing.T) {
	const mine, others, portal = "https://desk.example", "https://other-desk.example", "https://portal.example"
	change := func(c *config.Signaling, _ *signaling.Deps) {
		c.Origins = []string{portal}
		for i := range c.APIKeys {
			switch c.APIKeys[i].Hash {
			case sha256Hex(apiKey):
				c.APIKeys[i].Origins = []string{mine}
			case sha256Hex(otherAPIKey):
				c.APIKeys[i].Origins = []string{others}
			}
		}
	}
	for _, tt := range []struct {
		name, origin, key string
		preflight         string // what the preflight allows
		allowed           string // and what the answers do
		status            int    // of GET of a consultation that does not exist
	}{
		{"a program", "", apiKey, "", "", 404},
		{"the key's page", mine, apiKey, mine, mine, 404},
		{"another key's page", others, apiKey, others, "", 403},
		{"its own page with another key", mine, otherAPIKey, mine, "", 403},
		{"a portal, which embeds", portal, apiKey, "", "", 403},
		{"nobody's page", "https://evil.example", apiKey, "", "", 403},
		{"no origin at all", "null", apiKey, "", "", 403},
		{"the key's page without a key", mine, "wrong", mine, "", 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, change, func(w *world) {
				header := http.Header{"Authorization": {"Bearer " + tt.key}}
				if tt.origin != "" {
					header.Set("Origin", tt.origin)
				}
				for _, r := range []struct {
					method, path string
					status       int
					allowed      string
				}{
					{"OPTIONS", "/v1/consultations", 204, tt.preflight},
					{"OPTIONS", "/v1/consultations/c_1/participants/p_1", 204, tt.preflight},
					{"GET", "/v1/consultations/c_1", tt.status, tt.allowed},
				} {
					a := w.ask(r.method, r.path, header, "")
					if got := a.header.Get("Access-Control-Allow-Origin"); a.status != r.status || got != r.allowed {
						t.Errorf("%s %s: %d, allowed to %q; want %d and %q", r.method, r.path, a.status, got, r.status, r.allowed)
					}
					if a.header.Get("Access-Control-Allow-Credentials") != "" {
						t.Errorf("%s %s allows cookies", r.method, r.path)
					}
				}
			})
		})
	}
}
