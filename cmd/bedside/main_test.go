package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/cmd/internal/command"
	"github.com/bedside-video/bedside/config"
)

// These tests are inside the package: a main package has no other door than its arguments.

func TestExitCodes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	at := taken.Addr().String()
	tests := []struct {
		name string
		args []string
		code int
		out  string // a regular expression for standard output
		errs string // and one for standard error
	}{
		{"no command prints the help", []string{}, 0, `(?s)^A self-hosted.*\n  demo .*\n  keys .*\n  version `, `^$`},
		{"version", []string{"version"}, 0, `^bedside \S+ go1\.\S+ \w+/\w+\nrevision .*\n.*\(CGO_ENABLED=[01]\).*\n$`, `^$`},
		{"unknown command", []string{"dmeo"}, 2, `^$`, `^bedside: unknown command "dmeo" for "bedside"`},
		{"unknown command of a group", []string{"keys", "new-key"}, 2, `^$`, `^bedside: unknown command "new-key" for "bedside keys"`},
		{"unknown flag", []string{"demo", "--lisen", ":1"}, 2, `^$`, `^bedside: unknown flag: --lisen\n`},
		{"superfluous argument", []string{"version", "x"}, 2, `^$`, `^bedside: unknown command "x"`},
		{"value that makes no sense", []string{"demo", "--listen", "8443", "--log-level", "loud"}, 2, `^$`,
			`(?s)listen: must be \[host\]:port.*log\.level: must be debug, info, warn or error`},
		{"address with port 0", []string{"demo", "--advertise", "192.0.2.1:0"}, 2, `^$`, `media\.advertise\[0\]: must be an IP address`},
		{"origin with a path", []string{"demo", "--origin", "https://portal.example/x"}, 2, `^$`, `signaling\.origins\[0\]: must be an origin`},
		{"taken port", []string{"demo", "--listen", at, "--metrics-listen", "127.0.0.1:0"}, 1, `^$`,
			`^bedside: ` + regexp.QuoteMeta(at) + ` is taken, perhaps by another bedside: end that, or choose another port with --listen :8444\n$`},
		{"taken port of the metrics", []string{"demo", "--listen", "127.0.0.1:0", "--metrics-listen", at}, 1, `^$`,
			`^bedside: the metrics' address ` + regexp.QuoteMeta(at) + ` is taken, .* with --metrics-listen 127\.0\.0\.1:0\n$`},
		{"address of another machine", []string{"demo", "--listen", "192.0.2.1:0"}, 1, `^$`, `192\.0\.2\.1:0 is not an address of this machine`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), testWorld(&out, &errs), tt.args)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !regexp.MustCompile(tt.out).MatchString(out.String()) {
				t.Errorf("printed %q, want %s", out.String(), tt.out)
			}
			if !regexp.MustCompile(tt.errs).MatchString(errs.String()) {
				t.Errorf("complained %q, want %s", errs.String(), tt.errs)
			}
		})
	}
}

// testWorld is a world with random numbers that are none, and the true time: certificates need it.
func testWorld(out, errs io.Writer) world {
	return world{out: out, errs: errs, clock: time.Now, rand: ones{}}
}

// ones is a reader of bytes that are 1.
type ones struct{}

func (ones) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 1
	}
	return len(b), nil
}

// The lines that the command prints must be the ones that let its key in.
func TestNewAPIKey(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), testWorld(&out, &errs), []string{"keys", "new-api-key", "--id", "ward-7", "--tenant", "north"}); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	key := regexp.MustCompile(`(?m)^  (bedside_\S+)$`).FindStringSubmatch(out.String())
	_, document, found := strings.Cut(out.String(), "In the configuration:\n")
	if key == nil || !found {
		t.Fatalf("printed %q", out.String())
	}
	cfg, err := config.Load([]byte(document), nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(key[1]))
	want := config.APIKey{ID: "ward-7", Hash: hex.EncodeToString(sum[:]), Tenant: "north", Scopes: []string{config.ScopeConsultations}}
	if got := cfg.Signaling.APIKeys; len(got) != 1 || got[0].ID != want.ID || got[0].Hash != want.Hash ||
		got[0].Tenant != want.Tenant || strings.Join(got[0].Scopes, " ") != strings.Join(want.Scopes, " ") {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNewAPIKeyWithoutRandomNumbers(t *testing.T) {
	var errs bytes.Buffer
	w := testWorld(io.Discard, &errs)
	w.rand = strings.NewReader("too few")
	if code := run(context.Background(), w, []string{"keys", "new-api-key"}); code != command.ExitFailed {
		t.Errorf("exit code %d, want %d", code, command.ExitFailed)
	}
}
