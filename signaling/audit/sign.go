package audit

import "fmt"

// sign writes a checkpoint if there are records that none covers. A failure is tried again a second
// later; until then the journal vouches for the records.
func (w *writer) sign() {
	if w.tree.size == w.signed.size && !w.broken {
		return
	}
	_ = w.guard(func() error { // guard says what failed
		if w.broken {
			if err := w.rewrite(); err != nil {
				return err
			}
		}
		return w.checkpoint()
	})
}

// checkpoint writes the tiles of all records, then signs, then takes the records of full tiles out of
// the journal. After a crash anywhere in between it is repeated from the journal.
func (w *writer) checkpoint() error {
	if err := w.writeTiles(); err != nil {
		return fmt.Errorf("write tiles: %w", err)
	}
	h := head{size: w.tree.size, root: w.tree.root(0)}
	text, err := h.sign(w.log.opts.Key, w.log.opts.Key.Origin())
	if err != nil {
		return err
	}
	if err := w.disk.replace(checkpointFile, text); err != nil {
		return fmt.Errorf("write the checkpoint: %w", err)
	}
	w.signed = h
	w.publish()
	return w.trim()
}

func (w *writer) writeTiles() error {
	size := w.tree.size
	for _, t := range w.full {
		if err := w.disk.replace(hashesPath(t.level, t.n, tileWidth), encodeHashes(t.hashes)); err != nil {
			return err
		}
	}
	for n := w.base / tileWidth; n*tileWidth < size; n++ {
		from := n*tileWidth - w.base
		width := tileSpan(0, n, size)
		lines := w.lines[from : from+uint64(width)]
		if err := w.disk.replace(entriesPath(n, width), encodeBundle(lines)); err != nil {
			return err
		}
	}
	for level, hashes := range w.tree.edge {
		if len(hashes) == 0 || level > 0 && w.signed.size>>(level*tileHeight) == size>>(level*tileHeight) {
			continue // as the checkpoint before left it
		}
		if err := w.disk.replace(hashesPath(level, tileIndex(level, size), len(hashes)), encodeHashes(hashes)); err != nil {
			return err
		}
	}
	return nil
}

// trim takes full tiles out of the journal, and removes their narrower versions.
func (w *writer) trim() error {
	base := w.tree.size / tileWidth * tileWidth
	if base == w.base {
		return nil
	}
	done, from := w.full, w.base
	w.lines = append([][]byte(nil), w.lines[base-w.base:]...) // a copy: Read may hold the old slice
	w.base, w.tiled, w.full = base, w.tree.root(tileHeight), nil
	w.publish()
	if err := w.rewrite(); err != nil {
		return err
	}
	for _, t := range done {
		_ = w.disk.root.RemoveAll(partialDir(hashesPath(t.level, t.n, tileWidth))) // harmless if it stays
	}
	for n := from / tileWidth; n < base/tileWidth; n++ {
		_ = w.disk.root.RemoveAll(partialDir(entriesPath(n, tileWidth)))
	}
	return nil
}
