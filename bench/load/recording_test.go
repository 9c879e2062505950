package load_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/bench/load"
	"github.com/bedside-video/bedside/bench/result"
)

// targetFunc makes a Target of a server.
type targetFunc func(base, apiKey, name string, http *http.Client) (load.Target, error)

const recorded = `
name: recorded
purpose: everybody is
ramp: 1500ms
hold: 3s
people:
  - {ref: doctor, role: clinician, camera: single, mic: continuous}
  - {ref: patient, role: patient, lobby: 200ms, camera: single, mic: continuous}
objectives: {join_failures: 0, action_failures: 0}
`

// TestRecorded has a room recorded: the server says so, and has written what people sent. A run in which
// nothing may be recorded proves nothing, and says so.
func TestRecorded(t *testing.T) {
	for name, tt := range map[string]struct {
		target targetFunc
		why    string
	}{
		"recorded":      {load.BedsideRecording, ""},
		"never allowed": {load.Bedside, "0 bytes were recorded of"},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, tt.target)
			// On a machine that others use, too, the generator may be late.
			i := slices.IndexFunc(r.Generator.Invalid, func(s string) bool { return strings.Contains(s, "recorded") })
			if (tt.why == "") != (i < 0) || (i < 0) != (r.Server.Recorded > 0) || i >= 0 && r.Verdict != result.Invalid {
				t.Fatalf("%s, %v, %d bytes recorded, refused %v", r.Verdict, r.Reasons, r.Server.Recorded, r.Joins.Refused)
			}
			if !slices.ContainsFunc(r.Generator.Invalid, func(s string) bool { return strings.Contains(s, tt.why) }) && tt.why != "" {
				t.Errorf("invalid because %v, want %q", r.Generator.Invalid, tt.why)
			}
		})
	}
}

// record plays a visit that is to be recorded, against a server that can.
func record(t *testing.T, target targetFunc) result.Result {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	l, err := load.StartLocalRecorder(t.Context(), binary, apiKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Stop() }()
	cfg := configure(t, l, recorded)
	if cfg.Target, err = target(l.URL, apiKey, "bench-test", cfg.HTTP); err != nil {
		t.Fatal(err)
	}
	cfg.Record = true
	r, err := load.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
