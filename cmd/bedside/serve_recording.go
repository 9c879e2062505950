package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/bucket"
	"github.com/bedside-video/bedside/recording/seal"
	"github.com/bedside-video/bedside/signaling"
)

const (
	// manifestKeyFile holds the seed of the key that signs manifests.
	manifestKeyFile = "recording_key"
	// recordingStop bounds the completion of what is still being recorded when the server stops.
	recordingStop = 5 * time.Second
)

// recordings are a server's, or why there are none.
type recordings struct {
	store *recording.Store
	deps  signaling.Deps // Recorder, Recordings and Notice alone
}

// openRecordings opens the store of recordings, if the configuration wants one. Keys to which nothing may
// be sealed are a mistake in the configuration, and no start; a disk that fails is no reason not to treat
// patients: then recording is refused, and its reason told to who asks for it.
func openRecordings(c config.Recording, d *dataDir, w world, s *service, registry prometheus.Registerer) (recordings, error) {
	var r recordings
	metrics := recording.NewMetrics(registry)
	if !c.Enabled {
		return r, nil
	}
	r.deps.Notice = c.Notice
	if _, err := seal.ParseRecipients(c.Recipients); err != nil {
		return r, fmt.Errorf("recording.recipients: %w", err)
	}
	seed, err := loadOrCreateSecret(d.file(keysDir, manifestKeyFile), w.rand)
	if err != nil {
		return r, fmt.Errorf("recording: %w", err)
	}
	key, err := seed.Key(secretBytes)
	if err != nil {
		return r, fmt.Errorf("recording: %w", err)
	}
	if c.Dir == "" {
		c.Dir = d.file(recordingsDir)
	}
	remote, err := openBucket(c.Bucket)
	if err != nil {
		return r, err
	}
	if err := r.open(c, key, remote, w, s.log, metrics); err != nil {
		s.log.Error("nothing can be recorded", "error", err)
		r.deps.Recorder = noRecorder{}
	}
	return r, nil
}

// open opens the store in c.Dir. key is the seed of what signs manifests.
func (r *recordings) open(c config.Recording, key []byte, remote recording.Remote, w world, log *slog.Logger, metrics *recording.Metrics) (err error) {
	r.store, err = recording.New(recording.Options{
		Dir: c.Dir, Recipients: c.Recipients, MaxLoss: c.MaxLoss, PartTime: c.PartTime, PartSize: int64(c.PartMB) * 1e6, MinFreePercent: c.MinFreePercent, Node: node(),
		Key: ed25519.NewKeyFromSeed(key), Clock: w.clock, Rand: w.rand, Log: log, NewKey: newRecordingKey, Remote: remote, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	kept := signaling.Recordings(r.store, c.Retain, w.clock)
	r.deps.Recorder, r.deps.Recordings = kept, kept
	return nil
}

// openBucket makes what finished recordings go to; nil for the directory.
func openBucket(b config.Bucket) (recording.Remote, error) {
	if b.Endpoint == "" {
		return nil, nil
	}
	remote, err := bucket.New(bucket.Options{
		Endpoint: b.Endpoint, Name: b.Name, Region: b.Region, Prefix: b.Prefix, AccessKey: b.AccessKey, SecretKey: b.SecretKey.Reveal(), Insecure: b.Insecure,
	})
	if err != nil {
		return nil, fmt.Errorf("recording.bucket: %w", err)
	}
	return remote, nil
}

func (r *recordings) close() error {
	if r.store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordingStop)
	defer cancel()
	return r.store.Close(ctx)
}

// noRecorder is one whose disk cannot be used.
type noRecorder struct{}

var errNoRecorder = errors.New("the server's directory for recordings cannot be used; its log has the reason")

// Ready implements signaling.Recorder.
func (noRecorder) Ready() error { return errNoRecorder }

// Start implements signaling.Recorder.
func (noRecorder) Start(context.Context, signaling.RecordingOptions) (signaling.RecordingSession, error) {
	return nil, errNoRecorder
}
