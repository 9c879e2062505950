package recording

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/recording/seal"
)

// What callers branch on, beside seal's refusals of recipients.
var (
	ErrNotFound = errors.New("no such recording")
	ErrErased   = errors.New("recording is erased")
	ErrOpen     = errors.New("recording is still open")
	ErrNoSpace  = errors.New("too little free disk for a recording")
	ErrBadKey   = errors.New("not a key sealed to at least two recipients")
	ErrClosed   = errors.New("no recording can begin any more")
)

// Options of a Store. Dir, Recipients, Key, Clock, Rand and Log must be given.
type Options struct {
	Dir        string   // made if it does not exist
	Recipients []string // the hospital's public keys
	// MaxLoss is what a crash may cost; 1 s if 0.
	MaxLoss time.Duration
	// A part that has lasted so long, or has so many sealed bytes, is ended, and another begun: 1 h and 1 GiB if 0.
	// What is whole can be uploaded again alone, and what is damaged costs no more than that.
	PartTime time.Duration
	PartSize int64
	// Below one of these nothing is recorded, so that the disk keeps room for the audit log.
	MinFree        uint64 // bytes
	MinFreePercent int
	Node           string
	Key            ed25519.PrivateKey // signs manifests
	Clock          func() time.Time
	Rand           io.Reader
	Log            *slog.Logger
	// NewKey makes a recording's key; seal.NewKey if nil. A server's does it in another process, so that
	// the secret was never in this one.
	NewKey func(context.Context, seal.Recipients) (seal.Key, error)
	// Remote takes what is finished, and the parts here are removed once it gives them back unchanged; nil:
	// everything stays here.
	Remote Remote
	// Metrics may be nil: then nobody sees them.
	Metrics *Metrics
}

// MinLoss is the least that MaxLoss can be.
const MinLoss = 500 * time.Millisecond

// How large a part becomes if nobody says otherwise: an hour of a picture of 1.5 Mbit/s has 0.7 GB.
const (
	partTime = time.Hour
	partSize = 1 << 30
)

// lossReserve is what is left of MaxLoss for looking and writing when a flush is due.
const lossReserve = 250 * time.Millisecond

// Store is a directory of recordings. Its methods may be called from any goroutine.
type Store struct {
	o    Options
	to   seal.Recipients
	root *os.Root
	// What the disk does, but in tests.
	syncer *syncer
	sync   func([]*os.File) error
	space  func(dir string) (free, size uint64, err error)
	floor  floor

	mu       sync.Mutex
	closed   bool
	sessions map[string]*Session

	changing sync.Mutex    // held while a finished recording is changed
	wake     chan struct{} // of the uploader
	halt     context.CancelFunc
	uploaded chan struct{} // closed when the uploader has ended
}

// New opens a store and finishes the recordings that a crash has left open.
func New(o Options) (*Store, error) {
	to, err := seal.ParseRecipients(o.Recipients)
	if err != nil {
		return nil, err
	}
	if o.MaxLoss == 0 {
		o.MaxLoss = time.Second
	}
	if o.MaxLoss < MinLoss {
		return nil, fmt.Errorf("recording: a loss of %v at most is less than %v, the least that can be promised", o.MaxLoss, MinLoss)
	}
	if o.PartTime == 0 {
		o.PartTime = partTime
	}
	if o.PartSize == 0 {
		o.PartSize = partSize
	}
	if o.NewKey == nil {
		o.NewKey = func(_ context.Context, to seal.Recipients) (seal.Key, error) { return seal.NewKey(to) }
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if err := os.MkdirAll(o.Dir, dirMode); err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	s := &Store{o: o, to: to, root: root, syncer: newSyncer(), space: space, sessions: make(map[string]*Session)}
	s.sync = s.syncer.sync
	if err := s.recover(); err != nil {
		s.syncer.close()
		return nil, errors.Join(err, root.Close())
	}
	s.wake, s.uploaded = make(chan struct{}, 1), make(chan struct{})
	var ctx context.Context
	ctx, s.halt = context.WithCancel(context.Background())
	if o.Remote == nil {
		close(s.uploaded)
		return s, nil
	}
	go s.runUpload(ctx)
	return s, nil
}

func (s *Store) budget() time.Duration { return s.o.MaxLoss - lossReserve }

// Recipients are those to whom new recordings are sealed.
func (s *Store) Recipients() seal.Recipients { return s.to }

// crowded tells whether less is free than must be.
func (s *Store) crowded() error {
	free, size, err := s.space(s.o.Dir)
	if err != nil {
		return err
	}
	if free < s.o.MinFree || free*100 < size*uint64(s.o.MinFreePercent) {
		return ErrNoSpace
	}
	return nil
}

// Start begins a recording. It may take some 50 ms, for the key. Nothing is recorded until there are
// taps.
func (s *Store) Start(ctx context.Context, start Start) (*Session, error) {
	if err := s.crowded(); err != nil {
		return nil, fmt.Errorf("start recording: %w", err)
	}
	now := s.o.Clock()
	id, err := newID(now, s.o.Rand)
	if err != nil {
		return nil, err
	}
	key, err := s.o.NewKey(ctx, s.to)
	if err != nil {
		return nil, fmt.Errorf("start recording: %w", err)
	}
	to, err := age.ParseHybridRecipient(key.Public)
	if err != nil || !seal.IsWrapped(key.Wrapped) {
		return nil, fmt.Errorf("start recording: %w", ErrBadKey)
	}
	d, err := s.make(id, key.Wrapped)
	if err != nil {
		return nil, fmt.Errorf("start recording: %w", err)
	}
	if start.Notify == nil {
		start.Notify = func(Event) {}
	}
	x := &Session{
		store: s, id: id, disk: d, notify: start.Notify, to: to, changed: true,
		manifest: Manifest{
			Format: format, ID: id, Tenant: start.Tenant, Consultation: start.Consultation, Node: s.o.Node, State: Open, Created: now.UTC(),
			RetainUntil: start.RetainUntil.UTC(),
			Key:         KeyInfo{Public: key.Public, Recipients: s.to.Fingerprints(), PostQuantum: s.to.PostQuantum},
			Parts:       []Part{},
		},
		done: make(chan struct{}),
	}
	x.looks.begin(now)
	if err := x.save(); err != nil {
		return nil, errors.Join(fmt.Errorf("start recording: %w", err), d.root.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(fmt.Errorf("start recording: %w", ErrClosed), d.root.Close())
	}
	s.sessions[id] = x
	s.o.Metrics.open.Inc()
	go x.run()
	s.o.Log.Info("recording started", "recording", id, "consultation", start.Consultation)
	return x, nil
}

// make creates a recording's directory with its key.
func (s *Store) make(id string, wrapped []byte) (disk, error) {
	if err := s.root.Mkdir(id, dirMode); err != nil {
		return disk{}, err
	}
	if err := (disk{s.root}).sync(); err != nil {
		return disk{}, err
	}
	root, err := s.root.OpenRoot(id)
	if err != nil {
		return disk{}, err
	}
	d := disk{root}
	if err := d.replace(keyName(id), wrapped); err != nil {
		return disk{}, errors.Join(err, root.Close())
	}
	return d, nil
}

func (s *Store) forget(x *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, x.ID())
	s.o.Metrics.open.Dec()
	_ = x.disk.root.Close() // nothing is written any more
}

// Close stops every recording. What is not uploaded yet is when the store is opened again.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	open := make([]*Session, 0, len(s.sessions))
	for _, x := range s.sessions {
		open = append(open, x)
	}
	s.mu.Unlock()
	var err error
	for _, x := range open {
		_, stopped := x.Stop(ctx, "server stopped")
		err = errors.Join(err, stopped)
	}
	s.halt()
	<-s.uploaded
	if err == nil { // else a disk may not have answered yet, and destroying would wait for it
		s.syncer.close()
	}
	return errors.Join(err, s.root.Close())
}

// open opens a recording's directory.
func (s *Store) open(id string) (disk, error) {
	if !validID(id) {
		return disk{}, ErrNotFound
	}
	root, err := s.root.OpenRoot(id)
	if errors.Is(err, fs.ErrNotExist) {
		return disk{}, ErrNotFound
	}
	if err != nil {
		return disk{}, fmt.Errorf("recording %s: %w", id, err)
	}
	return disk{root}, nil
}

// with does something in a recording's directory.
func (s *Store) with(id string, f func(disk) error) error {
	d, err := s.open(id)
	if err != nil {
		return err
	}
	err = f(d)
	return errors.Join(err, d.root.Close())
}

// RawManifest is a manifest as it is stored.
func (s *Store) RawManifest(id string) (b []byte, err error) {
	err = s.with(id, func(d disk) error {
		b, err = d.read(manifestName(id), maxEncoded)
		if errors.Is(err, fs.ErrNotExist) {
			return ErrNotFound
		}
		return err
	})
	return b, err
}

// Manifest of a recording.
func (s *Store) Manifest(id string) (Manifest, error) {
	b, err := s.RawManifest(id)
	if err != nil {
		return Manifest{}, err
	}
	m, err := ParseManifest(b)
	if err == nil && m.ID != id {
		err = fmt.Errorf("manifest of %s: it is another recording's", id)
	}
	return m, err
}

// List returns the manifests of a tenant and a consultation, the newest first; "" is any. What cannot
// be read is logged and left out.
func (s *Store) List(tenant, consultation string) ([]Manifest, error) {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list recordings: %w", err)
	}
	var all []Manifest
	for _, e := range slices.Backward(entries) { // ULIDs sort by time
		if !validID(e.Name()) {
			continue
		}
		m, err := s.Manifest(e.Name())
		if err != nil {
			s.o.Log.Error("recording cannot be listed", "recording", e.Name(), "err", err)
			continue
		}
		if (tenant == "" || m.Tenant == tenant) && (consultation == "" || m.Consultation == consultation) {
			all = append(all, m)
		}
	}
	return all, nil
}

// Key is a recording's key, sealed to the hospital. ErrErased if it was destroyed.
func (s *Store) Key(id string) (b []byte, err error) {
	err = s.with(id, func(d disk) error {
		b, err = d.read(keyName(id), maxKeyFile)
		if errors.Is(err, fs.ErrNotExist) {
			return ErrErased
		}
		return err
	})
	return b, err
}

// Part opens a part as it is stored, here or at the Remote: sealed.
func (s *Store) Part(id string, n int) (io.ReadSeekCloser, int64, error) {
	var f *os.File
	var size int64
	err := s.with(id, func(d disk) error {
		if _, err := d.root.Stat(keyName(id)); errors.Is(err, fs.ErrNotExist) {
			return ErrErased
		}
		if n < 0 || n >= maxParts {
			return ErrNotFound
		}
		var err error
		if f, err = d.root.Open(partName(id, n)); err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		size = info.Size()
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return s.remotePartOf(id, n)
	}
	if err != nil {
		return nil, 0, err
	}
	return f, size, nil
}

// isPart tells whether a file's name is that of a part.
func isPart(name string) bool { return strings.HasSuffix(name, ".mkv.age") && path.Base(name) == name }
