package audit

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// The files of a log, all as C2SP tlog-tiles lays them out but the last four.
const (
	tileDir        = "tile"
	checkpointFile = "checkpoint"
	journalFile    = "journal"
	keyFile        = "key.pub"
	lockFile       = "lock"
	tempFile       = "tmp"
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

var errBundleEnd = errors.New("the bundle ends early")

// nextEntry splits the first entry off a bundle.
func nextEntry(bundle []byte) (entry, rest []byte, err error) {
	if len(bundle) < 2 {
		return nil, nil, errBundleEnd
	}
	n := int(binary.BigEndian.Uint16(bundle))
	if len(bundle) < 2+n {
		return nil, nil, errBundleEnd
	}
	return bundle[2 : 2+n], bundle[2+n:], nil
}

func encodeHashes(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

func decodeHashes(b []byte) ([]tlog.Hash, error) {
	if len(b)%tlog.HashSize != 0 || len(b) > tileWidth*tlog.HashSize {
		return nil, fmt.Errorf("a tile of %d bytes", len(b))
	}
	hashes := make([]tlog.Hash, len(b)/tlog.HashSize)
	for i := range hashes {
		copy(hashes[i][:], b[i*tlog.HashSize:])
	}
	return hashes, nil
}
