package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// writer is the goroutine that owns the files, and what it knows of them. Its fields say what is on
// disk: they change after the disk has.
type writer struct {
	log     *Log
	disk    *disk
	journal *os.File
	length  int64 // of the journal
	broken  bool  // nothing is known of the journal's end: it is replaced before the next write

	tree   tree       // of all records in the journal and before
	base   uint64     // the journal's first record
	tiled  tlog.Hash  // root of the records before it
	lines  [][]byte   // the journal's records
	full   []hashTile // full tiles that no checkpoint covers
	signed head       // the checkpoint
	job    *job       // the one being made
	signs  chan *job  // tells that it is done

	next     *request // taken from the queue and not in a batch yet
	low      bool     // the free space was below the minimum when last seen
	failing  bool     // the last write failed: said once
	unsigned bool     // the last checkpoint failed: said once
	buf      []byte
}

// run writes until the log is closed.
func (w *writer) run() {
	defer close(w.log.done)
	defer w.shut()
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		if w.next != nil {
			w.batch()
			select { // also when batch follows batch
			case <-tick.C:
				w.sign()
			case j := <-w.signs:
				w.finish(j)
			default:
			}
			continue
		}
		select {
		case j := <-w.signs:
			w.finish(j)
		case w.next = <-w.log.queue:
		case <-tick.C:
			w.look()
			w.sign()
		case <-w.log.closing:
			w.drain()
			return
		}
	}
}

// drain records what was queued when the log was closed.
func (w *writer) drain() {
	for w.next = w.poll(); w.next != nil; {
		w.batch()
	}
	w.await()
	w.sign()
	w.await()
}

func (w *writer) shut() {
	var err error
	if w.journal != nil {
		err = w.journal.Close()
	}
	if closed := w.disk.close(); err == nil {
		err = closed
	}
	if err != nil {
		w.log.opts.Log.Warn("audit log did not close", "err", err)
	}
}

// batch writes next and what waits behind it, up to MaxEvents at once and without waiting for more:
// while one write is under way the next batch gathers.
func (w *writer) batch() {
	low := w.look()
	var batch, refused []*request
	events := 0
	for ; w.next != nil && events+len(w.next.events) <= MaxEvents; w.next = w.poll() {
		events += len(w.next.events)
		if low && !w.next.closes {
			refused = append(refused, w.next)
			continue
		}
		batch = append(batch, w.next)
	}
	// Not before: who makes room and asks again is not to be refused by a look of before that.
	for _, r := range refused {
		r.done <- errLow
	}
	if len(batch) == 0 {
		return
	}
	err := w.room()
	if err == nil {
		err = w.guard(func() error { return w.write(batch) })
	}
	for _, b := range batch {
		b.done <- err
	}
}

// room sees to it that the journal does not grow without bound: it asks for a checkpoint early, and
// waits for it when the journal is full.
func (w *writer) room() error {
	if len(w.lines) >= maxPending/2 {
		w.sign()
	}
	if len(w.lines) < maxPending {
		return nil
	}
	if w.job != nil {
		var j *job
		_ = w.guard(func() error { j = <-w.signs; return nil })
		w.finish(j)
	}
	if len(w.lines) >= maxPending {
		return errBacklog
	}
	return nil
}

// poll returns a request that already waits, or nil.
func (w *writer) poll() *request {
	select {
	case r := <-w.log.queue:
		return r
	default:
		return nil
	}
}

// guard goes to the disk under the eyes of the watchdog and says when that begins or ceases to fail.
func (w *writer) guard(f func() error) error {
	w.log.dog.begin()
	err := f()
	if late := w.log.dog.end(); late {
		w.log.opts.Log.Warn("audit log's disk did not answer for long", "limit", w.log.opts.Patience)
	}
	switch {
	case err != nil && !w.failing:
		w.log.opts.Log.Error("audit log cannot be written", "err", err)
	case err == nil && w.failing:
		w.log.opts.Log.Info("audit log is written again")
	}
	w.failing = err != nil
	if err != nil {
		if _, known := errors.AsType[reason](err); !known {
			err = reason{reasonDisk, err.Error()}
		}
	}
	return err
}

// look tells whether too little space is left, and says so when that changes.
func (w *writer) look() bool {
	free, err := w.disk.free()
	if err != nil {
		w.low = false // the write will tell
		return w.low
	}
	low := free < w.log.opts.MinFree
	if low != w.low {
		level, text := slog.LevelInfo, "audit log's disk has enough free space again"
		if low {
			level, text = slog.LevelWarn, "audit log's disk is nearly full"
		}
		w.log.opts.Log.Log(context.Background(), level, text, "free", free, "min_free", w.log.opts.MinFree)
	}
	w.low = low
	return low
}

// write appends a batch to the journal: its records, and one line that commits to them.
func (w *writer) write(batch []*request) error {
	if w.broken {
		if err := w.rewrite(); err != nil {
			return err
		}
	}
	next := w.tree
	var full []hashTile
	var lines [][]byte
	w.buf = w.buf[:0]
	for _, r := range batch {
		for _, e := range r.events {
			record := Record{Index: next.size, Node: w.log.opts.Node, Event: e}
			line := record.encode()
			lines = append(lines, line)
			full = append(full, next.push(0, tlog.RecordHash(line))...)
			w.buf = append(append(w.buf, line...), '\n')
		}
	}
	commit, err := head{size: next.size, root: next.root(0)}.commitLine(w.log.opts.Key)
	if err != nil {
		return err
	}
	w.buf = append(w.buf, commit...)
	if err := w.disk.append(w.journal, journalFile, w.buf); err != nil {
		w.broken = true
		// Nobody will be told that this was recorded, so it should not be found after a crash. Should
		// cutting it off fail, too, it may be: recorded, and not done.
		_ = w.journal.Truncate(w.length)
		return fmt.Errorf("write the journal: %w", err)
	}
	w.length += int64(len(w.buf))
	w.tree = next
	w.full = append(w.full, full...)
	w.lines = append(w.lines, lines...)
	w.publish()
	return nil
}

// rewrite replaces the journal by one that holds what belongs in it and nothing else: when the tiles
// hold its beginning, and when a write failed, after which the old file's end cannot be known.
func (w *writer) rewrite() error {
	w.buf = w.buf[:0]
	for _, line := range w.lines {
		w.buf = append(append(w.buf, line...), '\n')
	}
	commit, err := head{size: w.tree.size, root: w.tree.root(0)}.commitLine(w.log.opts.Key)
	if err != nil {
		return err
	}
	w.broken = true // until it is done: the old journal may be gone
	w.buf = append(w.buf, commit...)
	f, err := w.disk.create(journalFile, w.buf)
	if err != nil {
		return fmt.Errorf("replace the journal: %w", err)
	}
	if w.journal != nil {
		_ = w.journal.Close() // nothing in it is needed
	}
	w.journal, w.length, w.broken = f, int64(len(w.buf)), false
	return nil
}

// publish lets Read see what is on disk.
func (w *writer) publish() {
	s := snapshot{size: w.tree.size, base: w.base, lines: w.lines, tiled: w.tiled, signed: w.signed.size}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.state = s
}
