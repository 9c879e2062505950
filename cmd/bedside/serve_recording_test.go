package main

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/recording/seal"
	"github.com/bedside-video/bedside/signaling"
)

// Keys to which nothing may be sealed are no start; a directory that cannot be used is one, and whoever
// asks for a recording is told.
func TestOpenRecordings(t *testing.T) {
	hybrid := func() string {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		return id.Recipient().String()
	}
	classic, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	first, second := hybrid(), hybrid()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		off        bool
		dir        string
		recipients []string
		err        error
		ready      error
	}{
		{name: "two recipients", recipients: []string{first, second}},
		{name: "not enabled", off: true},
		{name: "none", err: seal.ErrNoRecipient},
		{name: "one", recipients: []string{first}, err: seal.ErrOneRecipient},
		{name: "classic and post-quantum", recipients: []string{first, classic.Recipient().String()}, err: seal.ErrMixedRecipients},
		{name: "a plugin's", recipients: []string{first, "age1yubikey1qwerty"}, err: seal.ErrPluginRecipient},
		{name: "a secret key", recipients: []string{first, classic.String()}, err: seal.ErrSecretKey},
		{name: "a directory that is a file", dir: file, recipients: []string{first, second}, ready: errNoRecorder},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := openDataDir(filepath.Join(t.TempDir(), "data"))
			if err != nil {
				t.Fatal(err)
			}
			defer d.close()
			c := config.Default().Recording
			c.Enabled, c.Dir, c.Recipients = !tt.off, tt.dir, tt.recipients
			w := world{clock: time.Now, rand: rand.Reader}
			r, err := openRecordings(c, d, w, &service{log: slog.New(slog.NewTextHandler(io.Discard, nil))}, prometheus.NewRegistry())
			if !errors.Is(err, tt.err) || (tt.err == nil) != (err == nil) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			defer func() {
				if err := r.close(); err != nil {
					t.Error(err)
				}
			}()
			var none signaling.Recorder
			if (r.deps.Recorder == none) != (tt.off || tt.err != nil) || (r.deps.Recordings != nil) != (!tt.off && tt.err == nil && tt.ready == nil) {
				t.Errorf("recorder %v, recordings %v", r.deps.Recorder, r.deps.Recordings)
			}
			if r.deps.Recorder == none {
				return
			}
			if err := r.deps.Recorder.Ready(); !errors.Is(err, tt.ready) {
				t.Errorf("ready: %v, want %v", err, tt.ready)
			}
		})
	}
}
