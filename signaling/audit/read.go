package audit

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// maxScan bounds the bundles of which one Read looks for records that were asked for.
const maxScan = 64

// Read returns records that are on disk. What it reads from tiles is compared with the root of the
// tree, which the log keeps in memory: altered records are an ErrTampered and never returned.
func (l *Log) Read(ctx context.Context, q Query) (Page, error) {
	s := l.snapshot()
	p := Page{Next: min(q.After, s.size), Size: s.size}
	for scanned := 0; p.Next < s.base && len(p.Records) < q.limit() && scanned < maxScan; scanned++ {
		if err := ctx.Err(); err != nil {
			return Page{}, fmt.Errorf("audit: read: %w", err)
		}
		lines, err := l.bundle(s, p.Next/tileWidth)
		if err == nil {
			err = p.add(q, lines[p.Next%tileWidth:])
		}
		if err != nil {
			return Page{}, fmt.Errorf("audit: read: %w", err)
		}
	}
	if p.Next >= s.base {
		if err := p.add(q, s.lines[p.Next-s.base:]); err != nil {
			return Page{}, fmt.Errorf("audit: read: %w", err)
		}
	}
	return p, nil
}

// add takes the wanted ones of the lines that follow what the page has.
func (p *Page) add(q Query, lines [][]byte) error {
	for _, line := range lines {
		if len(p.Records) == q.limit() {
			return nil
		}
		r, err := parseRecord(line)
		if err != nil {
			return problem(p.Next, "%v", err)
		}
		if q.wants(&r) {
			p.Records = append(p.Records, r)
		}
		p.Next++
	}
	return nil
}

// bundle returns the lines of a full bundle whose hashes belong to the tree.
func (l *Log) bundle(s snapshot, n uint64) ([][]byte, error) {
	first := n * tileWidth
	indexes := make([]int64, tileWidth)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(first)+int64(i))
	}
	tiles := tileReader{disk: l.disk, signed: s.signed}
	hashes, err := tlog.TileHashReader(tlog.Tree{N: int64(s.base), Hash: s.tiled}, tiles).ReadHashes(indexes)
	if err != nil {
		return nil, among(first, first+tileWidth, "%v", err)
	}
	lines, err := l.disk.bundle(n, tileWidth)
	for i, line := range lines {
		if tlog.RecordHash(line) != hashes[i] {
			return nil, problem(first+uint64(i), "it does not have its hash")
		}
	}
	if err != nil {
		return nil, problem(first+uint64(len(lines)), "%v", err)
	}
	return lines, nil
}

// tileReader gives tlog the tiles of the tree of full tiles, which are on disk as wide as the last
// checkpoint left them.
type tileReader struct {
	disk   *disk
	signed uint64
}

// Height implements tlog.TileReader.
func (r tileReader) Height() int { return tileHeight }

// ReadTiles implements tlog.TileReader.
func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		hashes, err := r.disk.hashes(t.L, uint64(t.N), tileSpan(t.L, uint64(t.N), r.signed))
		if err != nil {
			return nil, fmt.Errorf("tile %s: %w", hashesPath(t.L, uint64(t.N), t.W), err)
		}
		data[i] = encodeHashes(hashes[:t.W])
	}
	return data, nil
}

// SaveTiles implements tlog.TileReader: they are where they belong.
func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
