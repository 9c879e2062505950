package audit_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Another program for logs of this layout finds ours in order, and finds what is not: Tessera's fsck,
// which the Makefile's soak target builds. It exits with 0 either way and says how it went.
func TestFsck(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("part of the long runs: SOAK=1")
	}
	fsck, err := filepath.Abs("../../.tools/fsck")
	if err == nil {
		_, err = os.Stat(fsck)
	}
	if err != nil {
		t.Skipf("without Tessera's fsck, which make soak builds: %v", err)
	}
	for _, size := range []int{1, 255, 256, 257, 600, 65_535, 65_536, 70_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			dir, k := tempDir(t), newKey(t)
			l := open(t, dir, options(k))
			appendEvents(t, l, 0, size/3)
			closeLog(t, l)
			l = open(t, dir, options(k))
			appendEvents(t, l, size/3, size)
			closeLog(t, l)
			if out := runFsck(t, fsck, dir, time.Minute); !strings.Contains(out, fmt.Sprintf("Successfully fsck'd log with size %d and root %s ", size, mustVerify(t, dir, k, nil).Root)) {
				t.Errorf("fsck says:\n%s", out)
			} else if size == 70_000 {
				t.Logf("figure: Tessera's fsck of %d records: %s", size, strings.TrimSpace(out[strings.Index(out, "Successfully"):]))
			}
			whole := load(t, dir)
			for _, name := range []string{"checkpoint", whole.names()[2]} { // names()[1] is the journal, which only we read
				changed := slices.Clone(whole[name])
				changed[len(changed)/2] ^= 1
				whole.put(t, dir, name, changed)
				if out := runFsck(t, fsck, dir, 3*time.Second); strings.Contains(out, "Successfully") {
					t.Errorf("with another byte in %s fsck says:\n%s", name, out)
				}
				whole.put(t, dir, name, whole[name])
			}
		})
	}
}

// runFsck returns what it says within a time: v1.0.4 does not end when a tile is wrong and others
// follow, because nobody receives them any more.
func runFsck(t *testing.T, fsck, dir string, limit time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, fsck, "-ui=false", "-storage_url=file://"+dir, "-public_key="+filepath.Join(dir, "key.pub")).CombinedOutput()
	if err != nil && ctx.Err() == nil {
		t.Logf("fsck: %v", err)
	}
	return string(out)
}
