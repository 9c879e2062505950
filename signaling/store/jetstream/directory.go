package jetstream

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// prepare makes the directory, or takes away what others may do in it. NATS gives its files to their
// owner alone (server/filestore.go, defaultFilePerms).
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// streamDirs returns the directories of the streams: what NATS should have when it has read them all.
func streamDirs(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(escape(dir), "jetstream", server.DEFAULT_GLOBAL_ACCOUNT, "streams", streamPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return found, nil
}

// escape keeps a directory's name from being a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
