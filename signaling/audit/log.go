package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/tlog"
)

// Options are what a log needs beside its directory.
type Options struct {
	Node     string                // which server this is: up to 64 of A-Z a-z 0-9 _ -
	Key      Key                   // signs; its origin names the log
	MinFree  float64               // part of the disk, from 0 to 1, below which only what takes access away is recorded
	Patience time.Duration         // for how long the disk may be silent before every Append fails; 0 stands for 5 s
	Clock    func() time.Time      // for the durations in metrics
	Log      *slog.Logger          // changes of the log's own state: nothing per record
	Metrics  prometheus.Registerer // nil for none

	fault func(op, name string) error // see disk
	space func() (float64, error)     // in tests, instead of the disk's free space
}

// The bounds of what waits.
const (
	maxQueue        = 1024            // calls of Append that wait for the writer; more wait for a place, as long as Patience lasts
	maxPending      = 64 * tileWidth  // records in the journal; when their tiles cannot be written, Append fails
	defaultPatience = 5 * time.Second // a disk that takes longer is taken for stuck
	checkpointEvery = time.Second     // when there are new records
)

// Log is the audit log on disk. One goroutine writes the journal, and starts another, one at a time,
// for each checkpoint; see format.md for what they write.
type Log struct {
	opts    Options
	disk    *disk
	dog     *watchdog // over the journal: Append depends on it
	tileDog *watchdog // over checkpoints: only Close waits for them
	meter   *metrics
	queue   chan *request

	closing chan struct{}
	close   sync.Once
	done    chan struct{} // closed when the writer has ended

	mu    sync.RWMutex
	state snapshot
}

// snapshot is what Read needs. The writer replaces it; what it points to does not change.
type snapshot struct {
	size   uint64
	base   uint64    // records below are in full tiles
	tiled  tlog.Hash // the root of their tree
	lines  [][]byte  // those from base on
	signed uint64    // the size for which all tiles are on disk
}

// request is a call of Append.
type request struct {
	events []Event
	closes bool // every event only takes access away
	done   chan error
}

// Open opens the log in dir, or makes one there. It returns ErrLocked if another process has it,
// and ErrTampered if its newest part is not what was written; Verify checks all of it.
func Open(dir string, opts Options) (*Log, error) {
	if !isID(opts.Node) || opts.Key.signer == nil || opts.Clock == nil || opts.Log == nil {
		return nil, errors.New("audit: open: node, key, clock and log are needed")
	}
	if opts.Patience == 0 {
		opts.Patience = defaultPatience
	}
	l := &Log{
		opts:    opts,
		dog:     newWatchdog(opts.Patience),
		tileDog: newWatchdog(opts.Patience),
		queue:   make(chan *request, maxQueue),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	w, err := l.start(dir)
	if err != nil {
		if l.disk != nil {
			err = errors.Join(err, l.disk.close())
		}
		return nil, fmt.Errorf("audit: open: %w", err)
	}
	go w.run()
	return l, nil
}

// start makes what Open needs to start the writer.
func (l *Log) start(dir string) (*writer, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	var err error
	if l.disk, err = openDisk(dir); err != nil {
		return nil, err
	}
	l.disk.fault, l.disk.space = l.opts.fault, l.opts.space
	if err := l.disk.acquire(); err != nil {
		return nil, err
	}
	w := &writer{log: l, disk: l.disk, signs: make(chan *job, 1)}
	if err := w.recover(); err != nil {
		return nil, err
	}
	if l.meter, err = newMetrics(l.opts.Metrics, l.disk); err != nil {
		if w.journal != nil {
			err = errors.Join(err, w.journal.Close())
		}
		return nil, err
	}
	return w, nil
}

// makeDir makes the log's directory so that it outlives a power cut.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(filepath.Clean(dir)))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// Append adds the events next to each other and returns when they are on disk: all of them, or none.
// It returns ErrInvalid for events that must not be kept and ErrUnavailable when they cannot be.
// The end of ctx, like a disk that does not answer, ends the wait and not the write: then the events
// may be recorded although Append returned an error, and what they tell of did not happen.
func (l *Log) Append(ctx context.Context, events ...Event) error {
	kept, err := checkAll(events)
	if err != nil {
		l.meter.failed(err)
		return fmt.Errorf("audit: append: %w", err)
	}
	if len(kept) == 0 {
		return nil
	}
	r := &request{events: kept, closes: true, done: make(chan error, 1)}
	for _, e := range kept {
		r.closes = r.closes && e.Name.closes()
	}
	began := l.opts.Clock()
	if err := l.submit(ctx, r); err != nil {
		l.meter.failed(err)
		return fmt.Errorf("audit: append: %w", err)
	}
	l.meter.appended(len(kept), l.opts.Clock().Sub(began))
	return nil
}

func (l *Log) submit(ctx context.Context, r *request) error {
	stuck := l.dog.barked()
	select {
	case <-stuck:
		return errStuck
	case <-l.closing:
		return errClosed
	default:
	}
	select {
	case l.queue <- r:
	case <-stuck:
		return errStuck
	case <-l.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-stuck:
		return errStuck
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
	}
	select { // the writer may have answered before it ended
	case err := <-r.done:
		return err
	default:
		return errClosed
	}
}

// Close records what still waits, signs a checkpoint and lets go of the directory. It returns
// ErrUnavailable if the disk does not answer; the directory is then let go when it does.
func (l *Log) Close() error {
	l.close.Do(func() { close(l.closing) })
	select {
	case <-l.done:
		return nil
	case <-l.dog.barked():
	case <-l.tileDog.barked():
	}
	return fmt.Errorf("audit: close: %w", errStuck)
}

func (l *Log) snapshot() snapshot {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.state
}
