//go:build !linux

package recording

import (
	"errors"
	"os"
)

// syncer makes what was written durable.
type syncer struct{}

func newSyncer() *syncer { return &syncer{} }

func (*syncer) sync(files []*os.File) (err error) {
	for _, f := range files {
		err = errors.Join(err, f.Sync())
	}
	return err
}

func (*syncer) close() {}

// space: unknown here, so there is no floor. Servers run on Linux.
func space(string) (free, size uint64, err error) { return 1 << 62, 1 << 62, nil }
