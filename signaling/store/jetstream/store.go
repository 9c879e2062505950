// Package jetstream is the store of a server in service: a NATS server inside the process, without a
// port, keeps each bucket as a JetStream stream on disk, laid out as NATS lays out key-value buckets.
// What was acknowledged has been through fsync (SyncAlways: server/filestore.go, flushPendingMsgsLocked
// syncs the block before the acknowledgement is sent) and survives kill -9 and loss of power.
//
// A deleted key leaves a tombstone of 30 bytes and no marker; blocks that are half dead are rewritten
// in the background. Disk and memory are bounded by Options.
//
// When the disk fails or is full, every method returns store.ErrUnavailable until the server inside has been
// started again, which is tried every few seconds: after a failed write or fsync NATS trusts a block
// no more, and reading it anew from disk is the only way to know what it holds.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bedside-video/bedside/signaling/store"
)

const (
	// maxBuckets bounds the streams, each of which has files and goroutines of its own. A bucket more
	// is store.ErrFull.
	maxBuckets = 16
	// answerTimeout is how long a healthy disk may take. A write that fails is not answered at all.
	answerTimeout = 5 * time.Second
)

// Options say where the store is and how large it may become.
type Options struct {
	Dir              string // made when it does not exist; nobody else may read it
	EntriesPerBucket int    // more are store.ErrFull
	BytesPerBucket   int64  // of live entries; on disk it may be twice as much
	Log              *slog.Logger
}

// Store is a store.Store on disk.
type Store struct {
	options Options
	broken  chan struct{} // holds one: something has failed, look at it
	stop    chan struct{}
	repairs sync.WaitGroup

	mu     sync.RWMutex
	engine *engine // nil while it is being started again, and after Close
}

// Open starts the server inside and reads what is there. The directory must be used by one process
// at a time, which is the caller's to ensure.
func Open(o Options) (*Store, error) {
	s := &Store{options: o, broken: make(chan struct{}, 1), stop: make(chan struct{})}
	if err := prepare(o.Dir); err != nil {
		return nil, err
	}
	e, err := start(o, s.suspect)
	if err != nil {
		return nil, err
	}
	s.engine = e
	s.repairs.Go(s.runRepair)
	return s, nil
}

// Close stops the server inside and waits for it.
func (s *Store) Close() error {
	close(s.stop)
	s.repairs.Wait()
	s.swap(nil)
	return nil
}

// Ready returns store.ErrUnavailable while the store is.
func (s *Store) Ready() error {
	_, err := s.running()
	return err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, b store.Bucket, key string) (store.Entry, error) {
	stream, err := s.bucket(ctx, b, key, nil, false)
	if err != nil {
		return store.Entry{}, s.explain(ctx, "get from", b, err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, subject(b, key))
	if err != nil {
		return store.Entry{}, s.explain(ctx, "get from", b, err)
	}
	return store.Entry{Key: key, Value: m.Data, Revision: m.Sequence}, nil
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, b store.Bucket, key string, value []byte) (uint64, error) {
	revision, err := s.put(ctx, b, key, value, 0, true)
	if isConflict(err) {
		err = store.ErrExists
	}
	return revision, s.explain(ctx, "create in", b, err)
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, b store.Bucket, key string, value []byte, revision uint64) (uint64, error) {
	if revision == 0 { // nobody's, but NATS would take it for a creation
		revision = math.MaxUint64
	}
	next, err := s.put(ctx, b, key, value, revision, false)
	if isConflict(err) || errors.Is(err, store.ErrNotFound) {
		err = store.ErrConflict
	}
	return next, s.explain(ctx, "update in", b, err)
}

func (s *Store) put(ctx context.Context, b store.Bucket, key string, value []byte, revision uint64, create bool) (uint64, error) {
	if _, err := s.bucket(ctx, b, key, value, create); err != nil {
		return 0, err
	}
	e, err := s.running()
	if err != nil {
		return 0, err
	}
	ack, err := e.js.PublishMsg(ctx, &nats.Msg{Subject: subject(b, key), Data: value},
		jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, b store.Bucket, key string) error {
	stream, err := s.bucket(ctx, b, key, nil, false)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subject(b, key)))
	}
	return s.explain(ctx, "delete from", b, err)
}

// Each implements store.Store.
func (s *Store) Each(ctx context.Context, b store.Bucket, f func(store.Entry) error) error {
	stream, err := s.bucket(ctx, b, string(b), nil, false)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return s.explain(ctx, "list", b, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject(b, ">")))
	if err != nil {
		return s.explain(ctx, "list", b, err)
	}
	for _, name := range slices.Sorted(maps.Keys(info.State.Subjects)) {
		e, err := s.Get(ctx, b, strings.TrimPrefix(name, subject(b, "")))
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err == nil {
			err = f(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket returns the stream of a bucket after the checks that every method makes. A bucket that does
// not exist is made, or store.ErrNotFound.
func (s *Store) bucket(ctx context.Context, b store.Bucket, key string, value []byte, create bool) (jetstream.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if store.CheckKey(string(b)) != nil || store.CheckKey(key) != nil {
		return nil, store.ErrBadKey
	}
	if len(value) > store.MaxValueBytes {
		return nil, store.ErrTooLarge
	}
	e, err := s.running()
	if err != nil {
		return nil, err
	}
	return e.bucket(ctx, s.options, b, create)
}

func (s *Store) running() (*engine, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.engine == nil {
		return nil, store.ErrUnavailable
	}
	return s.engine, nil
}

// explain turns an error of NATS into one of package store. An answer that does not come in time is
// no reason to start NATS again: it says so when a write fails, and a slow disk or a busy machine is
// not healed by more work.
func (s *Store) explain(ctx context.Context, what string, b store.Bucket, err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrBadKey, store.ErrTooLarge, store.ErrFull} {
		if errors.Is(err, known) {
			return fmt.Errorf("store: %s %s: %w", what, b, known)
		}
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("store: %s %s: %w", what, b, ctx.Err())
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return fmt.Errorf("store: %s %s: %w", what, b, store.ErrNotFound)
	case isFull(err):
		return fmt.Errorf("store: %s %s: %w", what, b, store.ErrFull)
	case !errors.Is(err, store.ErrUnavailable):
		s.options.Log.Warn("the store does not answer", "operation", what, "bucket", string(b), "error", err)
	}
	return fmt.Errorf("store: %s %s: %w: %w", what, b, store.ErrUnavailable, err)
}

// subject is what NATS calls the key of a key-value bucket.
func subject(b store.Bucket, key string) string { return "$KV." + string(b) + "." + key }

func isConflict(err error) bool {
	var api jetstream.JetStreamError
	return errors.As(err, &api) && api.APIError() != nil && api.APIError().ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// isFull recognises the bounds of a stream. They share their code with other failures to store.
func isFull(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && slices.Contains([]string{"maximum messages exceeded", "maximum bytes exceeded"}, api.Description)
}
