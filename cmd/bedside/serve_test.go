package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/audit"
)

func TestStartedSince(t *testing.T) {
	base := func() config.Config {
		cfg := config.Default()
		cfg.Signaling.InvitationSecret, cfg.Signaling.TokenKey = config.NewSecret("i"), config.NewSecret("t")
		cfg.Signaling.APIKeys = []config.APIKey{
			{ID: "one", Hash: "1", Tenant: "north", Scopes: []string{"audit"}}, {ID: "two", Hash: "2", Tenant: "south"},
		}
		return cfg
	}
	tests := []struct {
		name   string
		change func(*config.Config)
		want   string
	}{
		{"nothing", func(*config.Config) {}, "server.started"},
		{"a value", func(c *config.Config) { c.Listen = ":1" }, "server.started; config.changed changed"},
		{"a secret", func(c *config.Config) { c.Signaling.TokenKey = config.NewSecret("u") }, "server.started; key.changed token_key changed"},
		{"a hash", func(c *config.Config) { c.Signaling.APIKeys[0].Hash = "3" }, "server.started; key.changed one/north changed"},
		{"scopes", func(c *config.Config) { c.Signaling.APIKeys[0].Scopes = []string{"admin"} },
			"server.started; config.changed changed; key.changed one/north changed"},
		{"a key less", func(c *config.Config) { c.Signaling.APIKeys = c.Signaling.APIKeys[:1] },
			"server.started; config.changed changed; key.changed two/south removed"},
		{"a key more", func(c *config.Config) {
			c.Signaling.APIKeys = append(c.Signaling.APIKeys, config.APIKey{ID: "three", Hash: "3", Tenant: "west"})
		}, "server.started; config.changed changed; key.changed three/west added"},
	}
	before := startedWith(base(), "vkey")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := base()
			tt.change(&cfg)
			if got := retell(startedWith(cfg, "vkey").since(&before, time.Now())); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	want := "server.started; config.changed first_start; key.changed audit_key added; key.changed invitation_secret added; " +
		"key.changed token_key added; key.changed one/north added; key.changed two/south added"
	if got := retell(before.since(nil, time.Now())); got != want {
		t.Errorf("the first start\ngot  %s\nwant %s", got, want)
	}
}

// retell puts events into words, without the digest of a configuration.
func retell(events []audit.Event) string {
	var all []string
	for _, e := range events {
		words := []string{string(e.Name)}
		if e.Name == audit.KeyChanged {
			words = append(words, strings.TrimSuffix(e.Subject.ID+"/"+e.Tenant, "/"))
		}
		all = append(all, strings.TrimSpace(strings.Join(append(words, e.Reason), " ")))
	}
	return strings.Join(all, "; ")
}

// Starts and stops, and what has changed between them, are in the log; a start that cannot be
// recorded remembers nothing, so that the next one tells.
func TestStartsAreRecorded(t *testing.T) {
	d, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	memory := audit.NewMemory("test", 100)
	now := time.Now()
	cfg := config.Default()
	record := func() error { return recordStart(t.Context(), memoryTrail{memory}, d, startedWith(cfg, "vkey"), now) }
	for range 2 {
		if err := errors.Join(record(), recordStop(memoryTrail{memory}, now, audit.OutcomeOK)); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Listen = ":1"
	memory.Fail(audit.ErrUnavailable)
	if err := record(); !errors.Is(err, audit.ErrUnavailable) {
		t.Fatalf("recorded in a log that fails: %v", err)
	}
	memory.Fail(nil)
	if err := record(); err != nil {
		t.Fatal(err)
	}
	page, err := memory.Read(t.Context(), audit.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var events []audit.Event
	for _, r := range page.Records {
		events = append(events, r.Event)
	}
	want := "server.started; config.changed first_start; key.changed audit_key added; key.changed invitation_secret added; " +
		"key.changed token_key added; server.stopped; server.started; server.stopped; server.started; config.changed changed"
	if got := retell(events); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

type memoryTrail struct{ *audit.Memory }

func (memoryTrail) Close() error { return nil }

func TestSecretsAreKept(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	d, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	complete := func(s config.Signaling) config.Signaling {
		t.Helper()
		if err := completeSecrets(&s, d, rand.Reader); err != nil {
			t.Fatal(err)
		}
		return s
	}
	configured := config.NewSecret(strings.Repeat("A", 43) + "=")
	first := complete(config.Signaling{})
	second := complete(config.Signaling{})
	third := complete(config.Signaling{TokenKey: configured})
	if first.TokenKey.Reveal() != second.TokenKey.Reveal() || first.InvitationSecret.Reveal() != second.InvitationSecret.Reveal() {
		t.Error("a second start has other secrets")
	}
	if first.TokenKey.Reveal() == first.InvitationSecret.Reveal() {
		t.Error("one secret for both")
	}
	if third.TokenKey.Reveal() != configured.Reveal() || third.InvitationSecret.Reveal() != first.InvitationSecret.Reveal() {
		t.Error("a configured secret was replaced, or took the other with it")
	}
	if key, err := first.TokenKey.Key(secretBytes); err != nil || key == nil {
		t.Errorf("a made secret is none: %v", err)
	}
	for _, name := range []string{"VERSION", "lock", "keys/token_key", "keys/invitation_secret"} {
		info, err := os.Stat(d.file(name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(d.file(keysDir)); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v in the directory of keys, want 2", entries, err)
	}
}

// A start that was cut off while the directory was made must not keep the next from it.
func TestDataDirAfterACrash(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lockFile, temporary + "123"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.close()
	if d, err = openDataDir(dir); err != nil {
		t.Fatal(err)
	}
	d.close()
}

// Files that change are noticed without being told, once for each change.
func TestCertificateFilesAreWatched(t *testing.T) {
	dir := t.TempDir()
	files := config.TLS{CertFile: filepath.Join(dir, "c.pem"), KeyFile: filepath.Join(dir, "k.pem")}
	put := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	issue := func(name string) {
		t.Helper()
		var nobody *authority
		now := time.Now()
		a := nobody.issue(t, name, false, now.Add(-time.Hour), now.Add(24*time.Hour), "localhost")
		key, err := x509.MarshalPKCS8PrivateKey(a.key)
		if err != nil {
			t.Fatal(err)
		}
		put(files.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der}))
		put(files.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	}
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		issue("one")
		c, err := loadCertificate(files, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		first := c.current.Load()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		runReload := func() { defer close(done); c.runReload(ctx, nil) }
		go runReload()
		pass := func() { <-time.After(5 * certificateInterval); synctest.Wait() }
		pass()
		if c.current.Load() != first || log.Len() > 0 {
			t.Errorf("read again without a change: %s", log.String())
		}
		put(files.CertFile, []byte("none at all"))
		pass()
		if n := strings.Count(log.String(), "the certificate in use stays"); n != 1 || c.current.Load() != first {
			t.Errorf("a broken file is told %d times: %s", n, log.String())
		}
		issue("another")
		pass()
		if c.current.Load() == first || c.current.Load().Leaf.Subject.CommonName != "another" {
			t.Errorf("the new certificate is not in use: %s", log.String())
		}
		cancel()
		<-done
	})
}

func TestCertificateErrorsNameTheKey(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "c.pem")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	for want, files := range map[string]config.TLS{
		"tls.cert_file: ":               {CertFile: filepath.Join(dir, "none"), KeyFile: name},
		"tls.key_file: ":                {CertFile: name, KeyFile: filepath.Join(dir, "none")},
		"tls.cert_file, tls.key_file: ": {CertFile: name, KeyFile: name},
	} {
		if _, err := loadCertificate(files, time.Now, log); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: want %s…", err, want)
		}
	}
}

func TestNode(t *testing.T) {
	if n := node(); n == "" || len(n) > audit.MaxIDBytes || strings.Contains(n, ".") {
		t.Errorf("the machine is called %q", n)
	}
}
