package audit

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// The journal holds every record that is not in a full tile yet. It is a text: one line a record,
// and after the records of each write a line that commits to them and to all before:
//
//	{"index":12,…}
//	{"index":13,…}
//	= 14 <root of the tree of 14 records> <signature>
//
// The signature is that of a note with a title of its own (journalTitle), so that no one can take
// a commit that was never acknowledged for a checkpoint.
const commitMark = "= "

func journalTitle(origin string) string { return "journal of " + origin }

// commitLine returns the line that commits to h.
func (h head) commitLine(k Key) ([]byte, error) {
	signed, err := h.sign(k, journalTitle(k.Origin()))
	if err != nil {
		return nil, err
	}
	sig := bytes.TrimSuffix(signed[bytes.LastIndexByte(signed, ' ')+1:], []byte("\n"))
	return fmt.Appendf(nil, "%s%d %s %s\n", commitMark, h.size, h.root, sig), nil
}

// commit is a line that commits, parsed and not yet verified.
type commit struct {
	head
	sig string
}

func parseCommit(line []byte) (commit, bool) {
	text, ok := strings.CutPrefix(string(line), commitMark)
	fields := strings.Split(text, " ")
	if !ok || len(fields) != 3 {
		return commit{}, false
	}
	h, err := parseHead(fields[0], fields[1])
	return commit{head: h, sig: fields[2]}, err == nil
}

// verify checks the signature of a commit.
func (v verifier) verify(c commit) error {
	text := c.text(journalTitle(v.origin))
	signed := []byte(text + "\n— " + v.origin + " " + c.sig + "\n")
	n, err := note.Open(signed, v.keys)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if !bytes.Equal(signed, restored(text, n.Sigs[0])) {
		return fmt.Errorf("commit: signature not in the form in which it was written")
	}
	return nil
}

// journal is what the file says: its records are in order, its commits still have to be compared
// with the tree that the records grow.
type journal struct {
	start   uint64 // index of the first record
	lines   [][]byte
	commits []commit
	torn    int // bytes at the end that a write left that did not finish: nobody was told of them
}

func (j *journal) size() uint64 { return j.start + uint64(len(j.lines)) }

// parseJournal tells an unfinished write at the end from a change. The journal is expected to begin
// with a certain record; it begins before that if the log ended between a checkpoint and what follows.
func parseJournal(text []byte, expected uint64) (journal, error) {
	j := journal{start: expected}
	var open [][]byte // records after the last commit
	committed := 0    // bytes up to and with the last commit
	for at := 0; at < len(text); {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			break
		}
		line := text[at : at+end]
		at += end + 1
		if c, ok := parseCommit(line); ok {
			if err := j.commit(c, open); err != nil {
				return j, err
			}
			open, committed = nil, at
			continue
		}
		r, err := parseRecord(line)
		if err == nil {
			err = j.check(r, len(open))
		}
		if err != nil {
			if len(j.commits) > 0 && unwritten(text, committed) {
				break
			}
			return j, problem(j.size()+uint64(len(open)), "in the journal: %v", err)
		}
		open = append(open, line)
	}
	if len(j.commits) == 0 {
		return j, problem(expected, "the journal is cut: it commits to nothing")
	}
	rest := text[committed:]
	if n := len(rest); n > 0 {
		last := rest[bytes.LastIndexByte(rest, '\n')+1:]
		if overlong(last) && !unwritten(text, committed) {
			return j, problem(j.size(), "in the journal: its last line does not end")
		}
		j.torn = n
	}
	return j, nil
}

// overlong tells whether an unfinished line has a byte more than a whole commit: then its end was
// changed, for a write that did not finish leaves a beginning of what it was.
func overlong(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	if _, ok := parseCommit(line[:len(line)-1]); !ok {
		return false
	}
	c, whole := parseCommit(line)
	return !whole || len(c.sig) > commitSigBytes
}

// commitSigBytes is the length of an Ed25519 signature of a note in base64: 4 bytes that name the
// key and 64 of the signature.
const commitSigBytes = 92

func (j *journal) check(r Record, pending int) error {
	if len(j.lines)+pending == 0 && len(j.commits) == 0 {
		if r.Index%tileWidth != 0 {
			return fmt.Errorf("it begins with record %d, which does not begin a tile", r.Index)
		}
		j.start = r.Index
		return nil
	}
	if want := j.size() + uint64(pending); r.Index != want {
		return fmt.Errorf("record %d stands in the place of record %d", r.Index, want)
	}
	return nil
}

func (j *journal) commit(c commit, records [][]byte) error {
	if len(j.commits) == 0 && len(records) == 0 {
		j.start = c.size
		if c.size%tileWidth != 0 {
			return problem(c.size/tileWidth*tileWidth, "missing from the journal")
		}
	}
	j.lines = append(j.lines, records...)
	if c.size != j.size() {
		return problem(min(c.size, j.size()), "the journal commits to %d records after record %s", c.size, before(j.size()))
	}
	j.commits = append(j.commits, c)
	return nil
}

func before(size uint64) string {
	if size == 0 {
		return "none"
	}
	return strconv.FormatUint(size-1, 10)
}

// sector is the least that a disk writes.
const sector = 512

// unwritten tells whether the end of a file, from a place on, has a sector of zeros and no commit but
// as its last line: after a power cut a file can have its new length and not its new content. The
// journal is text and has no zeros of its own.
func unwritten(text []byte, from int) bool {
	zeros := false
	for at := from; at < len(text); {
		end := min((at/sector+1)*sector, len(text))
		if len(bytes.Trim(text[at:end], "\x00")) == 0 {
			zeros = true
		}
		at = end
	}
	lines := bytes.Split(bytes.TrimSuffix(text[from:], []byte("\n")), []byte("\n"))
	for _, line := range lines[:len(lines)-1] {
		if _, ok := parseCommit(line); ok {
			return false
		}
	}
	return zeros
}
