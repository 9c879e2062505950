package audit

import "fmt"

// job is one checkpoint: tiles for the records that the journal has, then the signature. It works on
// what does not change any more, beside the writer, because it syncs up to a dozen files: on a slow
// disk nobody who joins should wait for that.
type job struct {
	disk  *disk
	key   Key
	tree  tree
	base  uint64
	lines [][]byte
	full  []hashTile
	since head // the checkpoint before

	signed head  // when done
	err    error // or why not
}

// sign begins a checkpoint if there are records that none covers. A failure is tried again a second
// later; until then the journal vouches for the records.
func (w *writer) sign() {
	if w.broken {
		_ = w.guard(w.rewrite) // guard says what failed
	}
	if w.job != nil || w.tree.size == w.signed.size {
		return
	}
	w.job = w.newJob()
	go w.job.run(w.signs, w.log.tileDog)
}

// await waits for the checkpoint that is being made, if any.
func (w *writer) await() {
	if w.job != nil {
		w.finish(<-w.signs)
	}
}

func (w *writer) newJob() *job {
	return &job{disk: w.disk, key: w.log.opts.Key, tree: w.tree, base: w.base, lines: w.lines, full: w.full, since: w.signed}
}

func (j *job) run(done chan<- *job, dog *watchdog) {
	dog.begin()
	j.err = j.checkpoint()
	dog.end()
	done <- j
}

// checkpoint writes the tiles of all records, then signs. After a crash anywhere in between it is
// repeated from the journal.
func (j *job) checkpoint() error {
	if err := j.writeTiles(); err != nil {
		return fmt.Errorf("write tiles: %w", err)
	}
	h := head{size: j.tree.size, root: j.tree.root(0)}
	text, err := h.sign(j.key, j.key.Origin())
	if err != nil {
		return err
	}
	if err := j.disk.replace(checkpointFile, text); err != nil {
		return fmt.Errorf("write the checkpoint: %w", err)
	}
	j.signed = h
	j.removePartial()
	return nil
}

func (j *job) writeTiles() error {
	size := j.tree.size
	for _, t := range j.full {
		if err := j.disk.replace(hashesPath(t.level, t.n, tileWidth), encodeHashes(t.hashes)); err != nil {
			return err
		}
	}
	for n := j.base / tileWidth; n*tileWidth < size; n++ {
		from := n*tileWidth - j.base
		width := tileSpan(0, n, size)
		lines := j.lines[from : from+uint64(width)]
		if err := j.disk.replace(entriesPath(n, width), encodeBundle(lines)); err != nil {
			return err
		}
	}
	for level, hashes := range j.tree.edge {
		if len(hashes) == 0 || level > 0 && j.since.size>>(level*tileHeight) == size>>(level*tileHeight) {
			continue // as the checkpoint before left it
		}
		if err := j.disk.replace(hashesPath(level, tileIndex(level, size), len(hashes)), encodeHashes(hashes)); err != nil {
			return err
		}
	}
	return nil
}

// removePartial removes the narrower versions of tiles that are full now, which are harmless should
// they stay.
func (j *job) removePartial() {
	for _, t := range j.full {
		_ = j.disk.root.RemoveAll(partialDir(hashesPath(t.level, t.n, tileWidth)))
	}
	for n := j.base / tileWidth; n < j.tree.size/tileWidth; n++ {
		_ = j.disk.root.RemoveAll(partialDir(entriesPath(n, tileWidth)))
	}
}

// finish takes over what a checkpoint covers: records of full tiles leave the journal.
func (w *writer) finish(j *job) {
	w.job = nil
	switch log := w.log.opts.Log; {
	case j.err != nil && !w.unsigned:
		log.Error("audit log's tiles cannot be written", "err", j.err)
	case j.err == nil && w.unsigned:
		log.Info("audit log's tiles are written again")
	}
	w.unsigned = j.err != nil
	if j.err != nil {
		return
	}
	w.signed = j.signed
	base := j.tree.size / tileWidth * tileWidth
	if base == w.base {
		w.publish()
		return
	}
	w.lines = append([][]byte(nil), w.lines[base-w.base:]...) // a copy: Read may hold the old slice
	w.full = append([]hashTile(nil), w.full[len(j.full):]...)
	w.base, w.tiled = base, j.tree.root(tileHeight)
	w.publish()
	_ = w.guard(w.rewrite) // if it fails it is tried again before the next write
}
