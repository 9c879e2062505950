package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Report says what a log is like as far as it was found to be right.
type Report struct {
	Origin      string
	Size        uint64    // records
	Root        tlog.Hash // of all of them
	Signed      uint64    // how many of them the checkpoint covers; the journal vouches for the rest
	First, Last time.Time // times of the first and the last record
	Torn        int       // bytes of a write that did not finish: nobody was told that it was recorded
}

// VerifierKeys returns the keys that a log has beside it. Who can replace the log can replace them,
// too: keys that were kept elsewhere prove more.
func VerifierKeys(dir string) ([]string, error) {
	d, err := openDisk(dir)
	if err != nil {
		return nil, fmt.Errorf("audit: verifier keys: %w", err)
	}
	text, err := d.read(keyFile)
	if err := errors.Join(err, d.close()); err != nil {
		return nil, fmt.Errorf("audit: verifier keys: %w", err)
	}
	var keys []string
	for line := range bytes.FieldsSeq(text) {
		keys = append(keys, string(line))
	}
	return keys, nil
}

// Verify checks all of a log: every record against its hash, every tile against the records, the
// tree against the signatures of the checkpoint and of the journal, and, if trusted is not empty,
// against that checkpoint, which was taken from the log before and kept elsewhere. The first thing
// that is wrong comes back as a *Problem, which is an ErrTampered. The log may be a copy, or in use.
//
// Without a trusted checkpoint nothing tells a log from an older copy of all its files.
func Verify(ctx context.Context, dir string, keys []string, trusted []byte) (Report, error) {
	return Scan(ctx, dir, keys, trusted, nil)
}

// Scan is Verify, and hands every record on when its hash and its form have been checked: visit sees
// them before it is known whether what follows is right, so that the error of Scan still matters.
// Scan ends with the first error of visit.
func Scan(ctx context.Context, dir string, keys []string, trusted []byte, visit func(Record) error) (Report, error) {
	v, err := newVerifier(keys)
	if err != nil {
		return Report{}, fmt.Errorf("audit: verify: %w", err)
	}
	s := scan{verifier: v, visit: visit, report: Report{Origin: v.origin}}
	if len(trusted) > 0 {
		if s.trusted, err = v.open(trusted, false); err != nil {
			return Report{}, fmt.Errorf("audit: verify: trusted %w", err)
		}
	}
	if s.disk, err = openDisk(dir); err != nil {
		return Report{}, fmt.Errorf("audit: verify: %w", err)
	}
	err = errors.Join(s.run(ctx), s.disk.close())
	s.report.Size, s.report.Root = s.replay.tree.size, s.replay.tree.root(0)
	if err != nil {
		return s.report, fmt.Errorf("audit: verify: %w", err)
	}
	return s.report, nil
}

// scan is one pass over a log.
type scan struct {
	disk     *disk
	verifier verifier
	trusted  head // size 0 for none
	visit    func(Record) error
	report   Report

	end    end
	replay replay
	level  [maxLevel + 1]levelTile // the tile last read of each level
}

type levelTile struct {
	n      uint64
	width  int // 0: none was read
	hashes []tlog.Hash
}

func (s *scan) run(ctx context.Context) error {
	var err error
	if s.end, err = readEnd(s.disk, s.verifier); err != nil {
		return err
	}
	s.report.Signed, s.report.Torn = s.end.signed.size, s.end.journal.torn
	s.replay = replay{verifier: s.verifier, signed: s.end.signed, commits: s.end.journal.commits}
	if err := s.replay.meet(); err != nil {
		return err
	}
	for s.replay.tree.size < s.end.signed.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.bundle(s.replay.tree.size / tileWidth); err != nil {
			return err
		}
	}
	for _, line := range s.end.journal.lines[s.replay.tree.size-s.end.journal.start:] {
		if err := s.record(line); err != nil {
			return err
		}
	}
	if size := s.replay.tree.size; s.trusted.size > size {
		return problem(size, "missing: the trusted checkpoint covers %d records, so the log was cut or is an older copy", s.trusted.size)
	}
	return s.others()
}

// bundle checks the records of one bundle, and the hashes that they add to each level.
func (s *scan) bundle(n uint64) error {
	first := n * tileWidth
	lines, err := s.disk.bundle(n, tileSpan(0, n, s.end.signed.size))
	for i, line := range lines {
		index := first + uint64(i)
		want, err := s.hash(0, index)
		if err != nil {
			return problem(index, "%v", err)
		}
		if tlog.RecordHash(line) != want {
			return problem(index, "%s", misplaced(line, index))
		}
		if err := s.record(line); err != nil {
			return err
		}
		if err := s.levels(index + 1); err != nil {
			return err
		}
	}
	if err != nil {
		return problem(first+uint64(len(lines)), "%v", said(err))
	}
	return nil
}

// misplaced says what is wrong with a line whose hash is not that of its place.
func misplaced(line []byte, index uint64) string {
	if r, err := parseRecord(line); err == nil && r.Index != index {
		return fmt.Sprintf("record %d stands in its place", r.Index)
	}
	return "it does not have the hash that its tile has for it"
}

// record checks one record by itself and adds it to the tree.
func (s *scan) record(line []byte) error {
	index := s.replay.tree.size
	r, err := parseRecord(line)
	switch j := s.end.journal; {
	case err != nil:
		return problem(index, "%v", err)
	case r.Index != index:
		return problem(index, "record %d stands in its place", r.Index)
	case index >= j.start && !bytes.Equal(line, j.lines[index-j.start]):
		return problem(index, "it is not the same in its bundle and in the journal")
	}
	if err := s.replay.push(line); err != nil {
		return err
	}
	if s.replay.tree.size == s.trusted.size && s.replay.tree.root(0) != s.trusted.root {
		return among(0, s.trusted.size, "do not add up to the root of the trusted checkpoint")
	}
	if s.report.First.IsZero() {
		s.report.First = r.Time
	}
	s.report.Last = r.Time
	if s.visit != nil {
		return s.visit(r)
	}
	return nil
}

// levels compares the hashes above the leaves that became known with the record before size.
func (s *scan) levels(size uint64) error {
	for level := 1; level <= maxLevel && size%(1<<(level*tileHeight)) == 0; level++ {
		first := size - 1<<(level*tileHeight)
		want, err := s.hash(level, first)
		if err != nil {
			return among(first, size, "%v", err)
		}
		if s.replay.newest(level) != want {
			return among(first, size, "do not add up to their hash in a tile of level %d", level)
		}
	}
	// Tiles up to the checkpoint have been compared hash by hash; others() needs the rest.
	s.replay.full = slices.DeleteFunc(s.replay.full, func(t hashTile) bool { return t.end() <= s.end.signed.size })
	return nil
}

// hash returns what the tiles of the checkpoint's tree say of the subtree of a level that begins with
// a record.
func (s *scan) hash(level int, record uint64) (tlog.Hash, error) {
	n := tileIndex(level, record)
	t := &s.level[level]
	if t.width == 0 || t.n != n {
		width := tileSpan(level, n, s.end.signed.size)
		hashes, err := s.disk.hashes(level, n, width)
		if err != nil {
			return tlog.Hash{}, fmt.Errorf("its tile %s: %w", hashesPath(level, n, width), said(err))
		}
		*t = levelTile{n: n, width: width, hashes: hashes}
	}
	return t.hashes[record>>(level*tileHeight)%tileWidth], nil
}

// said shortens the errors of files to what a reader needs.
func said(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("missing")
	}
	return err
}
