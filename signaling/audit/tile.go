package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// The files of a log, all as C2SP tlog-tiles lays them out but the last five.
const (
	tileDir        = "tile"
	checkpointFile = "checkpoint"
	journalFile    = "journal"
	keyFile        = "key.pub"
	lockFile       = "lock"
	tempFile       = "tmp"
	tempJournal    = "journal.tmp"
)

const entriesLevel = "entries"

// entriesPath names the bundle of records from 256n on; width is 256 for a full one.
func entriesPath(n uint64, width int) string { return tilePath(entriesLevel, n, width) }

// hashesPath names a tile of hashes.
func hashesPath(level int, n uint64, width int) string {
	return tilePath(fmt.Sprint(level), n, width)
}

func tilePath(level string, n uint64, width int) string {
	number := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		number = fmt.Sprintf("x%03d/%s", n%1000, number)
	}
	path := tileDir + "/" + level + "/" + number
	if width < tileWidth {
		path += fmt.Sprintf(".p/%d", width)
	}
	return path
}

// partialDir names the directory of a tile's narrower versions.
func partialDir(full string) string { return full + ".p" }

// appendEntry adds a record's line to a bundle. A line is far shorter than 64 kB: every field of an
// event is bounded.
func appendEntry(bundle, line []byte) []byte {
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(line))), line...)
}

func encodeBundle(lines [][]byte) []byte {
	var b []byte
	for _, line := range lines {
		b = appendEntry(b, line)
	}
	return b
}

// decodeBundle returns the entries of a bundle that must have n of them. With an error it returns
// those before the place where the bundle is wrong.
func decodeBundle(b []byte, n int) ([][]byte, error) {
	lines := make([][]byte, 0, n)
	for range n {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return lines, errors.New("its bundle ends before it")
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		lines = append(lines, b[2:end:end])
		b = b[end:]
	}
	if len(b) > 0 {
		return lines, fmt.Errorf("its bundle goes on for %d bytes after record %d", len(b), n-1)
	}
	return lines, nil
}

func encodeHashes(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

func decodeHashes(b []byte) []tlog.Hash {
	hashes := make([]tlog.Hash, len(b)/tlog.HashSize)
	for i := range hashes {
		copy(hashes[i][:], b[i*tlog.HashSize:])
	}
	return hashes
}

// tileName is the path of a tile or bundle, taken apart.
type tileName struct {
	entries bool
	level   int // 0 for entries
	n       uint64
	width   int
}

// parseTilePath is the inverse of entriesPath and hashesPath.
func parseTilePath(path string) (tileName, bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 3 {
		return tileName{}, false
	}
	t := tileName{entries: parts[1] == entriesLevel, width: tileWidth}
	if last := len(parts) - 1; strings.HasSuffix(parts[last-1], ".p") {
		t.width, _ = strconv.Atoi(parts[last])
		parts = parts[:last]
		parts[last-1] = strings.TrimSuffix(parts[last-1], ".p")
	}
	var err error
	if t.n, err = strconv.ParseUint(strings.ReplaceAll(strings.Join(parts[2:], ""), "x", ""), 10, 56); err != nil {
		return t, false
	}
	if t.entries {
		return t, t.width > 0 && entriesPath(t.n, t.width) == path
	}
	t.level, err = strconv.Atoi(parts[1])
	return t, err == nil && t.level >= 0 && t.level <= maxLevel && t.width > 0 && hashesPath(t.level, t.n, t.width) == path
}

// end returns the size of the smallest tree that has the tile.
func (t tileName) end() uint64 { return (t.n*tileWidth + uint64(t.width)) << (t.level * tileHeight) }
