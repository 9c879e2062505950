package audit

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// A tile of C2SP tlog-tiles is 2^8 hashes wide.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	maxLevel   = 7 // 2^64 records
)

// tree is the right edge of a Merkle tree (RFC 6962 2.1): what is needed to append, to know the
// root, and to write the tiles that are not full. A copy may be appended to and thrown away: both
// share memory only behind the end of the original's slices.
type tree struct {
	size  uint64
	peaks [64]tlog.Hash             // peaks[i] covers 2^i records, if bit i of size is set
	edge  [maxLevel + 1][]tlog.Hash // the last, not full tile of each level
}

// hashTile is a full tile.
type hashTile struct {
	level  int
	n      uint64
	hashes []tlog.Hash
}

// end returns the size of the smallest tree that has the tile.
func (t hashTile) end() uint64 { return (t.n + 1) << ((t.level + 1) * tileHeight) }

// push adds a hash of the given tile level, which stands for 256^level records and may only be
// added where that many begin. It returns the tiles that became full, lowest first.
func (t *tree) push(level int, h tlog.Hash) []hashTile {
	full := t.emit(nil, level, h)
	bit := level * tileHeight
	for ; t.size>>bit&1 == 1; bit++ {
		h = tlog.NodeHash(t.peaks[bit], h)
		if (bit+1)%tileHeight == 0 {
			full = t.emit(full, (bit+1)/tileHeight, h)
		}
	}
	t.peaks[bit] = h
	t.size += 1 << (level * tileHeight)
	return full
}

func (t *tree) emit(full []hashTile, level int, h tlog.Hash) []hashTile {
	t.edge[level] = append(t.edge[level], h)
	if len(t.edge[level]) == tileWidth {
		full = append(full, hashTile{level: level, n: tileIndex(level, t.size), hashes: t.edge[level]})
		t.edge[level] = nil
	}
	return full
}

// root returns the root of the first size records, of which there are as many as in all peaks from
// the given bit on: from 0, all; from tileHeight, those in full tiles.
func (t *tree) root(bit int) tlog.Hash {
	h := tlog.Hash(sha256.Sum256(nil))
	first := true
	for ; bit < len(t.peaks); bit++ {
		switch {
		case t.size>>bit&1 == 0:
		case first:
			h, first = t.peaks[bit], false
		default:
			h = tlog.NodeHash(t.peaks[bit], h)
		}
	}
	return h
}

// tileIndex returns which tile of a level holds the record.
func tileIndex(level int, record uint64) uint64 {
	if level == maxLevel {
		return 0
	}
	return record >> ((level + 1) * tileHeight)
}

// tileSpan returns how many hashes a tile has in a tree of the given size: none, some, or tileWidth.
func tileSpan(level int, n, size uint64) int {
	hashes := size >> (level * tileHeight)
	if hashes <= n*tileWidth {
		return 0
	}
	return int(min(hashes-n*tileWidth, tileWidth))
}
