package audit

import "golang.org/x/mod/sumdb/tlog"

// SetFault makes every system call that changes the log's directory ask f first.
func (l *Log) SetFault(f func(op, name string) error) { l.disk.fault = f }

// TreeRoot returns the root and the tiles' hashes of a tree of the lines.
func TreeRoot(lines [][]byte) tlog.Hash {
	var t tree
	for _, line := range lines {
		t.push(0, tlog.RecordHash(line))
	}
	return t.root(0)
}
