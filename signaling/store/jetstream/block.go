package jetstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"

	"github.com/bedside-video/bedside/signaling/store"
)

// ErrDamaged is returned by Open when what was acknowledged once can no longer be read.
var ErrDamaged = errors.New("is damaged: restore the directory from a backup, or move it away to start with no consultations")

// The records of a block, as NATS writes them (server/filestore.go, writeMsgRecordLocked), all
// little-endian: length 4, sequence 8, time 8, length of the subject 2, subject, [length of the
// headers 4, headers,] message, hash 8.
const (
	recordHead  = 22
	recordHash  = 8
	maxRecord   = store.MaxValueBytes + headroom + 2*store.MaxKeyBytes + recordHead + recordHash + 16
	withHeaders = 1 << 31 // of the length
	tombstone   = 1 << 62 // of the sequence: this record tells of the end of another
	erased      = 1 << 63 // of the sequence: a gap
)

// checkBlocks reads every record of every stream before NATS does. NATS takes whatever follows a
// record that it cannot read for a write that was cut off, and cuts it off for good: one flipped bit
// in the first record of a block costs all others (v2.15.2, rebuildStateFromBufLocked).
func checkBlocks(dir string) error {
	streams, err := streamDirs(dir)
	if err != nil {
		return err
	}
	for _, s := range streams {
		files, err := filepath.Glob(filepath.Join(escape(s), "msgs", "*.blk"))
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		newest := 0
		for _, f := range files {
			newest = max(newest, blockIndex(f))
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				return fmt.Errorf("store: %w", err)
			}
			b := newBlock(filepath.Base(s), blockIndex(f), data)
			if at, ok := b.check(blockIndex(f) == newest); !ok {
				return fmt.Errorf("store: %s, byte %d, %w", f, at, ErrDamaged)
			}
		}
	}
	return nil
}

// blockIndex is the number in a block's name, which goes into its hashes.
func blockIndex(file string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".blk"))
	if err != nil {
		return -1 // nobody's block: its records will not have the right hashes
	}
	return n
}

// block is the content of one file of a stream.
type block struct {
	data   []byte
	key    [sha256.Size]byte
	prefix []byte // of every subject
}

func newBlock(stream string, index int, data []byte) block {
	return block{
		data: data, key: sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, index)),
		prefix: []byte(subject(store.Bucket(strings.TrimPrefix(stream, streamPrefix)), "")),
	}
}

// check returns where the first record is that cannot be read, if there is one. The newest block may
// end in a record that was being written when the process was killed: it was never acknowledged.
func (b block) check(newest bool) (at int, ok bool) {
	for at < len(b.data) {
		n := b.record(at)
		if n == 0 {
			return at, newest && b.unfinished(at)
		}
		at += n
	}
	return at, true
}

// record returns the length of the record at an offset, or 0 if there is none.
func (b block) record(at int) int {
	rest := b.data[at:]
	if len(rest) < recordHead+recordHash {
		return 0
	}
	length := binary.LittleEndian.Uint32(rest)
	n := int(length &^ withHeaders)
	headers := 0
	if length&withHeaders != 0 {
		headers = 4
	}
	subjectLength := int(binary.LittleEndian.Uint16(rest[20:]))
	if n > len(rest) || n < recordHead+subjectLength+headers+recordHash {
		return 0
	}
	sequence := binary.LittleEndian.Uint64(rest[4:])
	body, want := rest[recordHead:n-recordHash], rest[n-recordHash:n]
	// None of the lengths is part of the hash.
	if !b.isSubject(body[:subjectLength], sequence) || headers > 0 && !isHeaders(body[subjectLength:]) {
		return 0
	}
	h, err := highwayhash.New64(b.key[:])
	if err != nil {
		panic("jetstream: internal error: a key of another length: " + err.Error())
	}
	for _, part := range [][]byte{rest[4:20], body[:subjectLength], body[subjectLength+headers:]} {
		_, _ = h.Write(part)
	}
	if !bytes.Equal(h.Sum(nil), want) {
		return 0
	}
	return n
}

func (b block) isSubject(s []byte, sequence uint64) bool {
	if sequence&(tombstone|erased) != 0 {
		return len(s) == 0
	}
	key, ours := bytes.CutPrefix(s, b.prefix)
	return ours && store.CheckKey(string(key)) == nil
}

// isHeaders tells whether a text starts with its headers' length and the headers.
func isHeaders(text []byte) bool {
	n := int(binary.LittleEndian.Uint32(text))
	return n <= len(text)-4 && bytes.HasPrefix(text[4:4+n], []byte("NATS/1.0\r\n")) && bytes.HasSuffix(text[4:4+n], []byte("\r\n\r\n"))
}

// unfinished tells whether what starts at an offset can be a write that was cut off: nothing follows
// it, because a record is synced before the next is written, and it is no longer than it says, or
// room for which no content had come yet when the power went.
func (b block) unfinished(at int) bool {
	for i := at + 1; i < len(b.data); i++ {
		if b.record(i) != 0 {
			return false
		}
	}
	rest := b.data[at:]
	if len(rest) < 4 || len(bytes.Trim(rest, "\x00")) == 0 {
		return true
	}
	says := int(binary.LittleEndian.Uint32(rest) &^ withHeaders)
	return says >= len(rest) && says <= maxRecord
}
