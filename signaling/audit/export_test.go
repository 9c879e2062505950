package audit

import "golang.org/x/mod/sumdb/tlog"

// WithFault returns options of a log that asks f before every system call that changes its directory.
func (o Options) WithFault(f func(op, name string) error) Options {
	o.fault = f
	return o
}

// WithSpace returns options of a log that takes the free space from f.
func (o Options) WithSpace(f func() (float64, error)) Options {
	o.space = f
	return o
}

// TreeRoot returns the root and the tiles' hashes of a tree of the lines.
func TreeRoot(lines [][]byte) tlog.Hash {
	var t tree
	for _, line := range lines {
		t.push(0, tlog.RecordHash(line))
	}
	return t.root(0)
}
