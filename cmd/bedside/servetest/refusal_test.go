package servetest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong is told with the name of the key or of the file, all of it at once.
func TestRefusesToStart(t *testing.T) {
	write := func(name, text string, mode os.FileMode) func(*testing.T, home) {
		return func(t *testing.T, h home) {
			path := h.data(name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil { // whatever the umask
				t.Fatal(err)
			}
		}
	}
	nothing := func(*testing.T, home) {}
	tests := []struct {
		name    string
		more    string // of the configuration
		environ []string
		before  func(*testing.T, home)
		code    int
		want    []string // in what it says
	}{
		{"two mistakes", "drain_timeout: 5\naudit: {on_failure: maybe}\n", nil, nothing, 2,
			[]string{"drain_timeout: must be a duration", "audit.on_failure: must be refuse or allow", "bedside: see bedside help"}},
		{"a mistyped key", "drain_timout: 5s\n", nil, nothing, 2, []string{"drain_timout: unknown key; did you mean drain_timeout?"}},
		{"a mistyped variable", "", []string{"BEDSIDE_DATADIR=/tmp"}, nothing, 2, []string{"BEDSIDE_DATADIR: unknown variable; did you mean BEDSIDE_DATA_DIR?"}},
		{"a data directory somewhere", "", []string{"BEDSIDE_DATA_DIR=data"}, nothing, 2, []string{"data_dir: must be the whole path"}},
		{"a data directory that cannot be made", "", []string{"BEDSIDE_DATA_DIR=/proc/bedside"}, nothing, 1, []string{"data_dir: mkdir /proc/bedside"}},
		{"reachable without a certificate", "", []string{"BEDSIDE_LISTEN=:0"}, nothing, 2, []string{"tls.cert_file: must be set"}},
		{"no certificate there", "tls: {cert_file: /nowhere/c.pem, key_file: /nowhere/k.pem}\n", nil, nothing, 2,
			[]string{"tls.cert_file: open /nowhere/c.pem: no such file"}},
		{"a port that is taken", "", []string{"BEDSIDE_LISTEN=127.0.0.1:TAKEN"}, nothing, 1, []string{"is taken, perhaps by another bedside"}},
		{"a directory of something else", "", nil, write("letters.txt", "Dear", 0o600), 1, []string{"holds letters.txt and no VERSION"}},
		{"open to others", "", nil, func(t *testing.T, h home) {
			write("VERSION", "1\n", 0o600)(t, h)
			if err := os.Chmod(h.data(), 0o755); err != nil {
				t.Fatal(err)
			}
		}, 1, []string{"open to other users (0755)", "chmod 700"}},
		{"a newer layout", "", nil, write("VERSION", "2\n", 0o600), 1, []string{"was written by a newer bedside (layout 2, this one knows 1)", "restore the backup"}},
		{"no layout", "", nil, write("VERSION", "one\n", 0o600), 1, []string{"VERSION does not hold a number"}},
		{"a key for everybody", "", nil, func(t *testing.T, h home) {
			write("VERSION", "1\n", 0o600)(t, h)
			write("keys/token_key", strings.Repeat("A", 43)+"=\n", 0o644)(t, h)
		}, 1, []string{"signaling.token_key", "keys/token_key is open to other users (0644)"}},
		{"a key that is none", "", nil, func(t *testing.T, h home) {
			write("VERSION", "1\n", 0o600)(t, h)
			write("keys/invitation_secret", "AAAA\n", 0o600)(t, h)
		}, 1, []string{"signaling.invitation_secret", "does not hold 32 bytes in base64"}},
		{"damaged state", "", nil, func(t *testing.T, h home) {
			write("VERSION", "1\n", 0o600)(t, h)
			write("state/jetstream/$G/streams/KV_consultations/msgs/1.blk", strings.Repeat("x", 500), 0o600)(t, h)
		}, 1, []string{"KV_consultations/msgs/1.blk, byte 0, is damaged", "backup"}},
		{"a damaged audit log", "", nil, func(t *testing.T, h home) {
			write("VERSION", "1\n", 0o600)(t, h)
			write("audit/checkpoint", "x", 0o600)(t, h)
		}, 1, []string{"audit: no start without a record of it (audit.on_failure is refuse)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			h.configure(t, tt.more)
			tt.before(t, h)
			for i, v := range tt.environ {
				if address, ok := strings.CutSuffix(v, ":TAKEN"); ok {
					other := newHome(t)
					other.configure(t, "")
					_, port, _ := strings.Cut(strings.TrimPrefix(other.start(t).url, "http://"), ":")
					tt.environ[i] = address + ":" + port
				}
			}
			p := h.run(t, tt.environ...)
			status := p.wait(t)
			if !status.Exited() || status.ExitStatus() != tt.code {
				t.Errorf("ended with %v, want exit code %d", p.command.ProcessState, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(p.log.String(), want) {
					t.Errorf("says\n%s\nwant %q", p.log.String(), want)
				}
			}
		})
	}
}

// A damaged audit log is no reason not to start when the configuration puts care first.
func TestStartsWithoutAuditWhenAllowed(t *testing.T) {
	h := newHome(t)
	h.configure(t, "audit: {on_failure: allow}\n")
	for name, text := range map[string]string{"VERSION": "1\n", "audit/checkpoint": "x"} {
		if err := os.MkdirAll(filepath.Dir(h.data(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.data(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(h.data(), 0o700); err != nil {
		t.Fatal(err)
	}
	p := h.start(t)
	p.meet(t, "external")
	if !strings.Contains(p.log.String(), "the audit log is unavailable; going on because audit.on_failure is allow") {
		t.Error("the gap is not told")
	}
	p.stop(t)
}

func TestOneProcessADirectory(t *testing.T) {
	h := newHome(t)
	h.configure(t, "")
	first := h.start(t)
	second := h.run(t)
	if status := second.wait(t); status.ExitStatus() != 1 || !strings.Contains(second.log.String(), "is in use by another bedside") {
		t.Errorf("ended with %v: %s", second.command.ProcessState, second.log.String())
	}
	first.kill()
	h.start(t).stop(t)
}
