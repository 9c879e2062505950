package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/audit"
)

// newAuditLog makes a data directory with a log of two tenants' records, a minute apart, and returns
// it, the log's verifier key and a checkpoint of its first half.
func newAuditLog(t *testing.T, records int) (dir, key, checkpoint string) {
	t.Helper()
	dir = t.TempDir()
	k, err := audit.LoadOrCreateKey(filepath.Join(dir, keysDir, auditKeyFile), "video.example.org/audit")
	if err != nil {
		t.Fatal(err)
	}
	checkpoint = filepath.Join(t.TempDir(), "checkpoint")
	start := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for half := range 2 {
		l, err := audit.Open(filepath.Join(dir, auditDir), audit.Options{
			Node: "n1", Key: k, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for i := half * records / 2; i < (half+1)*records/2; i++ {
			if err := l.Append(t.Context(), audit.Event{Time: start.Add(time.Duration(i) * time.Minute), Name: audit.PersonAdmitted,
				Tenant: []string{"north", "south"}[i%2], Consultation: fmt.Sprintf("c%d", i%3)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if half == 0 {
			text, err := os.ReadFile(filepath.Join(dir, auditDir, "checkpoint"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(checkpoint, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir, k.VerifierKeys()[0], checkpoint
}

func TestAuditCommands(t *testing.T) {
	dir, key, checkpoint := newAuditLog(t, 20)
	log := filepath.Join(dir, auditDir)
	altered, _, later := newAuditLog(t, 20)
	bundle := filepath.Join(altered, auditDir, "tile", "entries", "000.p", "20")
	text, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte(`{"index":7,`))
	text[at+bytes.Index(text[at:], []byte("south"))] ^= 1
	if err := os.WriteFile(bundle, text, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args string
		code int
		out  string
		errs string
	}{
		{"all is well", "verify --data-dir " + dir, 0,
			`(?s)^video\.example\.org/audit: nothing is wrong\n20 records from 2026-11-22T09:00:00Z to 2026-11-22T09:19:00Z\nroot \S{44}\nwithout --checkpoint.*\nwithout --key.*\n$`, `^$`},
		{"against what was kept elsewhere", "verify --dir " + log + " --checkpoint " + checkpoint + " --key " + key, 0,
			`^video\.example\.org/audit: nothing is wrong\n20 records .*\nroot .*\n$`, `^$`},
		{"altered", "verify --data-dir " + altered, 1, `^$`, `^bedside: audit: verify: audit log altered: record 7: it does not have the hash`},
		{"checkpoint of another log", "verify --data-dir " + dir + " --checkpoint " + later, 1, `^$`, `trusted checkpoint`},
		{"no directory", "verify", 2, `^$`, `at least one of the flags`},
		{"two directories", "verify --dir x --data-dir y", 2, `^$`, `none of the others can be`},
		{"not a log", "verify --dir " + t.TempDir(), 2, `^$`, `verifier keys: .*; --key gives it`},
		{"not a log, with a key", "verify --dir " + t.TempDir() + " --key " + key, 1, `^$`, `record 0: the checkpoint is missing`},
		{"no trusted checkpoint", "verify --dir " + log + " --checkpoint " + filepath.Join(dir, "none"), 2, `^$`, `trusted checkpoint: open `},
		{"not a key", "verify --dir " + log + " --key x", 1, `^$`, `verifier key: malformed`},
		{"export", "export --data-dir " + dir + " --after 17", 0,
			`^\{"index":17,"node":"n1","time":"2026-11-22T09:17:00Z","name":"person\.admitted","tenant":"south","consultation":"c2"\}\n\{.*\}\n\{.*\}\n$`, `^$`},
		{"export of a tenant", "export --data-dir " + dir + " --tenant south --after 16", 0, `^\{"index":17.*\n\{"index":19.*\n$`, `^$`},
		{"export of a consultation", "export --data-dir " + dir + " --consultation c0 --after 13", 0, `^\{"index":15.*\n\{"index":18.*\n$`, `^$`},
		{"export of a time", "export --data-dir " + dir + " --since 2026-11-22T10:03:00+01:00 --until 2026-11-22T09:05:00Z", 0, `^\{"index":3.*\n\{"index":4.*\n$`, `^$`},
		{"export of what is altered", "export --data-dir " + altered + " --after 6", 1, `^\{"index":6.*\n$`, `record 7: `},
		{"export since no time", "export --data-dir " + dir + " --since yesterday", 2, `^$`, `--since: must look like`},
		{"export until before", "export --data-dir " + dir + " --since 2026-11-22T09:05:00Z --until 2026-11-22T09:05:00Z", 2, `^$`, `--until must be later`},
		{"new key of nothing", "new-key --data-dir " + t.TempDir(), 1, `^$`, `rotate key`},
		{"new key of nowhere", "new-key", 2, `^$`, `required flag`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkAudit(t, tt.args, tt.code, tt.out, tt.errs) })
	}
}

func checkAudit(t *testing.T, args string, code int, wantOut, wantErrs string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(t.Context(), testWorld(&out, &errs), append([]string{"audit"}, strings.Fields(args)...)); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	if !regexp.MustCompile(wantOut).MatchString(out.String()) {
		t.Errorf("printed %q, want %s", out.String(), wantOut)
	}
	if !regexp.MustCompile(wantErrs).MatchString(errs.String()) {
		t.Errorf("complained %q, want %s", errs.String(), wantErrs)
	}
}

// A log goes on under a new key, and both keys are beside it.
func TestAuditNewKey(t *testing.T) {
	dir, key, checkpoint := newAuditLog(t, 4)
	checkAudit(t, "new-key --data-dir "+dir, 0, `^video\.example\.org/audit\+[0-9a-f]{8}\+\S{44}\n$`, `^$`)
	k, err := audit.LoadOrCreateKey(filepath.Join(dir, keysDir, auditKeyFile), "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(filepath.Join(dir, auditDir), audit.Options{Node: "n1", Key: k, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), audit.Event{Time: time.Now(), Name: audit.KeyChanged}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkAudit(t, "verify --data-dir "+dir+" --checkpoint "+checkpoint, 0, `\n5 records `, `^$`)
	checkAudit(t, "verify --data-dir "+dir+" --key "+key, 1, `^$`, `record 0: checkpoint: `) // signed with the new one
}
