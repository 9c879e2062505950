package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bedside-video/bedside/signaling/store"
)

const (
	startTimeout = 10 * time.Second
	// headroom is for the headers of a message, which NATS counts as payload.
	headroom = 4 << 10
	// streamPrefix is that of the streams of NATS's key-value buckets.
	streamPrefix = "KV_"
	// compactInterval is how often blocks are looked at for dead bytes.
	compactInterval = 2 * time.Minute
)

// engine is one run of the server inside, with the connection to it.
type engine struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream

	mu      sync.Mutex
	buckets map[store.Bucket]jetstream.Stream // those that exist and have been asked for
}

// start returns an engine whose files have been read. suspect is called when NATS logs an error.
func start(o Options, suspect func()) (_ *engine, err error) {
	if err := checkBlocks(o.Dir); err != nil {
		return nil, err
	}
	streams, err := streamDirs(o.Dir)
	if err != nil {
		return nil, err
	}
	l := &logger{log: o.Log, failed: suspect}
	e := &engine{buckets: make(map[store.Bucket]jetstream.Stream)}
	e.server, err = server.NewServer(&server.Options{
		ServerName: "bedside", DontListen: true, NoSigs: true,
		JetStream: true, StoreDir: o.Dir, SyncAlways: true, SyncInterval: compactInterval,
		JetStreamMaxMemory: 1 << 20, JetStreamMaxStore: maxBuckets * o.BytesPerBucket,
		MaxPayload: store.MaxValueBytes + headroom, DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	e.server.SetLoggerV2(l, false, false, false)
	e.server.Start()
	if !e.server.ReadyForConnections(startTimeout) || !e.server.JetStreamEnabled() {
		return nil, fmt.Errorf("store: %s cannot be read: %s: give the directory back to the server's user, or restore a backup of it",
			o.Dir, l.last())
	}
	// Without a buffer for reconnecting, what is asked for while there is no connection fails at once.
	e.conn, err = nats.Connect("", nats.InProcessServer(e.server), nats.Name("bedside"),
		nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { o.Log.Warn("store", "error", err) }))
	if err != nil {
		return nil, fmt.Errorf("store: connect: %w", err)
	}
	if e.js, err = jetstream.New(e.conn, jetstream.WithDefaultTimeout(answerTimeout)); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return e, e.complete(o.Dir, streams, l)
}

// complete checks that NATS has taken in every stream: it leaves out, with no more than a line in its
// log, those whose description it cannot read.
func (e *engine) complete(dir string, streams []string, l *logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	account, err := e.js.AccountInfo(ctx)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if account.Streams != len(streams) {
		return fmt.Errorf("store: %s %w (%d of %d buckets; %s)", dir, ErrDamaged, account.Streams, len(streams), l.last())
	}
	return nil
}

// close ends the engine and every goroutine of it.
func (e *engine) close() {
	if e.conn != nil {
		e.conn.Close()
	}
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// bucket returns the stream of a bucket; see Store.bucket.
func (e *engine) bucket(ctx context.Context, o Options, b store.Bucket, create bool) (jetstream.Stream, error) {
	e.mu.Lock() // held while a stream is made, so that nobody counts too few
	defer e.mu.Unlock()
	if s := e.buckets[b]; s != nil {
		return s, nil
	}
	s, err := e.js.Stream(ctx, streamPrefix+string(b))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if !create {
			return nil, store.ErrNotFound
		}
		s, err = e.makeBucket(ctx, o, b)
	}
	if err != nil {
		return nil, err
	}
	e.buckets[b] = s
	return s, nil
}

func (e *engine) makeBucket(ctx context.Context, o Options, b store.Bucket) (jetstream.Stream, error) {
	account, err := e.js.AccountInfo(ctx)
	if err != nil {
		return nil, err
	}
	if account.Streams >= maxBuckets {
		return nil, store.ErrFull
	}
	return e.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "KV_" + string(b), Subjects: []string{subject(b, ">")},
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxMsgs: int64(o.EntriesPerBucket), MaxBytes: o.BytesPerBucket, MaxMsgsPerSubject: 1,
		MaxMsgSize: store.MaxValueBytes + headroom, AllowDirect: true, AllowRollup: true,
	})
}
