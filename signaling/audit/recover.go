package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// recover reads where the log ends, checks that end, and leaves the files as after a checkpoint. If
// the disk is full the log opens all the same and cannot be written for now.
func (w *writer) recover() error {
	v, err := newVerifier(w.log.opts.Key.vkeys)
	if err != nil {
		return err
	}
	if err := w.writeKeys(); err != nil {
		return err
	}
	switch found, err := w.begun(); {
	case err != nil:
		return err
	case !found:
		return w.create()
	}
	s, err := readEnd(w.disk, v)
	if err != nil {
		return err
	}
	t, err := w.disk.treeAt(s.journal.start, s.signed.size)
	if err != nil {
		return err
	}
	w.base, w.tiled, w.signed = t.size, t.root(0), s.signed
	r := replay{verifier: v, tree: t, signed: s.signed, commits: s.journal.commits}
	if err := r.meet(); err != nil {
		return err
	}
	for _, line := range s.journal.lines {
		if err := r.push(line); err != nil {
			return err
		}
	}
	w.tree, w.full, w.lines = r.tree, r.full, s.journal.lines
	if s.journal.torn > 0 {
		w.log.opts.Log.Info("audit log ends in a write that did not finish", "bytes", s.journal.torn)
	}
	// What was read may be in memory only: a process before this one may have seen its sync fail.
	// Whatever is kept from here on is written anew.
	w.broken = true
	w.publish()
	w.sign()
	w.await()
	return nil
}

// begun tells whether there is a log. A new one begins with its checkpoint, so that a journal or a
// tile without one means that it was removed.
func (w *writer) begun() (bool, error) {
	var there []bool
	for _, name := range []string{checkpointFile, journalFile, tileDir} {
		_, err := w.disk.root.Lstat(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		there = append(there, err == nil)
	}
	if !there[0] && (there[1] || there[2]) {
		return false, problem(0, "the checkpoint is missing")
	}
	if there[0] && !there[1] && !there[2] {
		text, err := w.disk.read(checkpointFile)
		if err != nil {
			return false, err
		}
		v, err := newVerifier(w.log.opts.Key.vkeys)
		if err != nil {
			return false, err
		}
		if h, err := v.open(text, true); err == nil && h.size == 0 {
			return false, nil // its making was interrupted
		}
	}
	return there[0], nil
}

func (w *writer) create() error {
	w.tiled = w.tree.root(0)
	j := w.newJob()
	if err := j.checkpoint(); err != nil {
		return err
	}
	w.signed = j.signed
	if err := w.rewrite(); err != nil {
		return err
	}
	w.publish()
	w.log.opts.Log.Info("new audit log", "origin", w.log.opts.Key.Origin())
	return nil
}

// writeKeys puts the verifier keys beside the log, for whoever checks a copy.
func (w *writer) writeKeys() error {
	text := strings.Join(w.log.opts.Key.vkeys, "\n") + "\n"
	if have, err := w.disk.read(keyFile); err == nil && string(have) == text {
		return nil
	}
	if err := w.disk.replace(keyFile, []byte(text)); err != nil {
		return fmt.Errorf("write the verifier keys: %w", err)
	}
	return nil
}

// end is the newest part of a log: its signed size, and the records since.
type end struct {
	signed  head
	journal journal
}

// readEnd reads the end of a log, also of one that is being written: the checkpoint first, because
// the journal reaches at least as far as any checkpoint that was there before.
func readEnd(d *disk, v verifier) (end, error) {
	var e end
	const tries = 5 // a checkpoint is written once a second
	for try := 1; ; try++ {
		text, err := d.read(checkpointFile)
		if errors.Is(err, fs.ErrNotExist) {
			return e, problem(0, "the checkpoint is missing")
		} else if err != nil {
			return e, err
		}
		if e.signed, err = v.open(text, true); err != nil {
			return e, among(0, 0, "%v", err)
		}
		text, err = d.read(journalFile)
		if errors.Is(err, fs.ErrNotExist) {
			return e, problem(e.signed.size/tileWidth*tileWidth, "the journal is missing")
		} else if err != nil {
			return e, err
		}
		if e.journal, err = parseJournal(text, e.signed.size/tileWidth*tileWidth); err != nil {
			return e, err
		}
		switch {
		case e.journal.size() < e.signed.size:
			return e, problem(e.journal.size(), "missing: the journal ends before it, the checkpoint covers %d records", e.signed.size)
		case e.journal.start <= e.signed.size:
			return e, nil
		case try == tries: // else a checkpoint came in between
			return e, problem(e.signed.size, "the checkpoint is older than the journal, which begins with record %d", e.journal.start)
		}
	}
}

// replay grows a tree by records that are to be checked and compares it with whatever was signed.
type replay struct {
	verifier verifier
	tree     tree
	full     []hashTile // that became full
	signed   head       // the checkpoint
	commits  []commit   // not met yet
	proven   uint64     // the size up to which a signature vouches
}

// push adds the next record.
func (r *replay) push(line []byte) error {
	r.full = append(r.full, r.tree.push(0, tlog.RecordHash(line))...)
	return r.meet()
}

// meet compares the tree with what was signed for its size.
func (r *replay) meet() error {
	size := r.tree.size
	if size == r.signed.size {
		if r.tree.root(0) != r.signed.root {
			return among(r.proven, size, "do not add up to the root that the checkpoint signs")
		}
		r.proven = size
	}
	for ; len(r.commits) > 0 && r.commits[0].size == size; r.commits = r.commits[1:] {
		c := r.commits[0]
		if r.tree.root(0) != c.root {
			return among(r.proven, size, "do not add up to the root to which the journal commits")
		}
		if err := r.verifier.verify(c); err != nil {
			return among(r.proven, size, "in the journal: %v", err)
		}
		r.proven = size
	}
	return nil
}

// newest returns the hash of a level that the last push made.
func (r *replay) newest(level int) tlog.Hash {
	if edge := r.tree.edge[level]; len(edge) > 0 {
		return edge[len(edge)-1]
	}
	for i := len(r.full) - 1; i >= 0; i-- {
		if t := r.full[i]; t.level == level {
			return t.hashes[tileWidth-1]
		}
	}
	panic("audit: internal error: no hash was made")
}

// treeAt returns the tree of the first size records, which end with a full tile, from the tiles of
// the tree of signed records. They are only checked by what grows from them.
func (d *disk) treeAt(size, signed uint64) (tree, error) {
	var t tree
	for level := maxLevel; level > 0; level-- {
		n := tileIndex(level, size)
		width := tileSpan(level, n, size)
		if width == 0 {
			continue
		}
		hashes, err := d.hashes(level, n, tileSpan(level, n, signed))
		if err != nil {
			return t, among(t.size, size, "tile %s: %v", hashesPath(level, n, width), err)
		}
		for _, h := range hashes[:width] {
			t.push(level, h)
		}
	}
	return t, nil
}
