package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/recording"
)

// demoTapes is where a demo records, and the key that opens what it has recorded: a hospital's is never on
// the server, but a demo's lies beside the recordings, and goes with them when the demo stops.
type demoTapes struct {
	recordings
	dir string // of everything; "" if the demo does not record
}

// openDemoTapes makes a directory and two pairs of keys, of one of which the secret half is kept.
func openDemoTapes(w world, log *slog.Logger, registry prometheus.Registerer) (t demoTapes, err error) {
	if t.dir, err = os.MkdirTemp("", "bedside-demo-"); err != nil {
		return demoTapes{}, fmt.Errorf("recording: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(t.dir))
		}
	}()
	c := config.Default().Recording
	c.Dir, c.Enabled, c.Retain, c.MinFreePercent = t.recorded(), true, 0, 0
	for range 2 {
		secret, public, err := newPair(false)
		if err != nil {
			return t, fmt.Errorf("recording: %w", err)
		}
		c.Recipients = append(c.Recipients, public)
		if len(c.Recipients) > 1 {
			continue // two are needed, and one opens it
		}
		if err := os.WriteFile(t.identity(), []byte(secret+"\n"), 0o600); err != nil {
			return t, fmt.Errorf("recording: %w", err)
		}
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(w.rand, seed); err != nil {
		return t, fmt.Errorf("recording: %w", err)
	}
	t.deps.Notice = c.Notice
	return t, t.open(c, seed, nil, w, log, recording.NewMetrics(registry))
}

func (t *demoTapes) recorded() string { return filepath.Join(t.dir, recordingsDir) }
func (t *demoTapes) identity() string { return filepath.Join(t.dir, "hospital.key") }

// close ends what is being recorded and removes everything, the key too.
func (t *demoTapes) close() error {
	if t.dir == "" {
		return nil
	}
	return errors.Join(t.recordings.close(), os.RemoveAll(t.dir))
}

// print says how to record and what opens it.
func (t *demoTapes) print(out io.Writer) {
	if t.dir == "" {
		return
	}
	_, _ = fmt.Fprintf(out, "\nTo record, choose Record as the clinician; it begins when everybody has agreed. To see it, stop it and, while\n"+
		"this runs, in another terminal:\n\n  bedside recording open %s --dir %s -i %s -o visit.mkv\n\n"+
		"  The key that opens it lies on this machine, and goes with the recordings when the demo stops. A hospital makes\n"+
		"  its own elsewhere: bedside keys new-recipient.\n", lastRecording, t.recorded(), t.identity())
}

// tape opens the demo's recorder, if it has one.
func (o demoOptions) tape(w world, log *slog.Logger, registry prometheus.Registerer) (demoTapes, error) {
	if !o.record {
		return demoTapes{}, nil
	}
	return openDemoTapes(w, log, registry)
}
