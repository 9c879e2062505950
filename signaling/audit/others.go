package audit

import (
	"bytes"
	"errors"
	"io/fs"
)

// others checks the tiles that are not part of the checkpoint's tree: the narrow ones of checkpoints
// before it, and those that were written for the next one. It finds a checkpoint that was put back,
// too: the tiles reach further.
func (s *scan) others() error {
	live := s.replay.tree.size // as far as the log reaches by now, if it is in use
	err := fs.WalkDir(s.disk.root.FS(), tileDir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed in the meantime, or nothing was written yet
		}
		if err != nil || e.IsDir() {
			return err
		}
		t, ok := parseTilePath(path)
		if !ok {
			return among(0, s.replay.tree.size, "%s is not a file of the log", path)
		}
		if t.end() > live {
			if live, err = s.reaches(); err != nil {
				return err
			}
		}
		switch size := s.replay.tree.size; {
		case t.end() > live:
			return problem(live, "missing: the tiles reach further, to record %d", t.end()-1)
		case t.end() > size || t.width == tileWidth && t.end() <= s.end.signed.size:
			return nil // later than this pass, or compared by it
		}
		return s.other(path, t)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// reaches returns the size of the log as it is now.
func (s *scan) reaches() (uint64, error) {
	e, err := readEnd(s.disk, s.verifier)
	if err != nil {
		return 0, err
	}
	return e.journal.size(), nil
}

// other compares a tile with the beginning of what it should hold.
func (s *scan) other(path string, t tileName) error {
	have, err := s.disk.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // as others
	}
	if err != nil {
		return err
	}
	want, err := s.content(t)
	if err != nil {
		return err
	}
	if bytes.Equal(have, want) {
		return nil
	}
	first := t.n * tileWidth << (t.level * tileHeight)
	if t.entries {
		lines, err := decodeBundle(have, t.width)
		good, _ := decodeBundle(want, t.width)
		for i, line := range lines {
			if !bytes.Equal(line, good[i]) {
				return problem(first+uint64(i), "it is different in %s", path)
			}
		}
		return problem(first+uint64(len(lines)), "in %s: %v", path, err)
	}
	for i, h := range decodeHashes(have) {
		one := tileName{level: t.level, n: t.n, width: i + 1}
		if i >= t.width || !bytes.Equal(h[:], want[i*len(h):(i+1)*len(h)]) {
			last := min(one.end(), t.end())
			return among(last-1<<(t.level*tileHeight), last, "another hash in %s", path)
		}
	}
	return problem(first, "%s has %d bytes instead of %d", path, len(have), len(want))
}

// content returns what a tile should hold, from the tree or from what this pass has compared.
func (s *scan) content(t tileName) ([]byte, error) {
	first := t.n * tileWidth
	if t.entries {
		if j := s.end.journal; first >= j.start {
			return encodeBundle(j.lines[first-j.start:][:t.width]), nil
		}
		lines, err := s.disk.bundle(t.n, tileWidth)
		if err != nil {
			return nil, problem(first, "%v", said(err))
		}
		return encodeBundle(lines[:t.width]), nil
	}
	if t.n == tileIndex(t.level, s.replay.tree.size) {
		return encodeHashes(s.replay.tree.edge[t.level][:t.width]), nil
	}
	for _, full := range s.replay.full {
		if full.level == t.level && full.n == t.n {
			return encodeHashes(full.hashes[:t.width]), nil
		}
	}
	hashes, err := s.disk.hashes(t.level, t.n, tileWidth)
	if err != nil {
		return nil, problem(first<<(t.level*tileHeight), "%v", said(err))
	}
	return encodeHashes(hashes[:t.width]), nil
}
