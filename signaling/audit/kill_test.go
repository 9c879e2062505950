package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bedside-video/bedside/signaling/audit"
)

// killDir, in the environment, makes TestAppendUntilKilled the process that is killed.
const killDir = "AUDIT_KILL_DIR"

// A process that appends as fast as it can is killed at any time: every record that it was told is
// on disk is there once, and nothing is taken for a change. 5 times, 100 in a long run.
func TestKill(t *testing.T) {
	rounds := 5
	if os.Getenv("SOAK") != "" {
		rounds = 100
	}
	seed := uint64(20261122)
	random := rand.New(rand.NewPCG(seed, seed))
	dir := t.TempDir()
	k, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), origin)
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := make(map[string]bool)
	records, torn := 0, 0
	for round := range rounds {
		for _, id := range killAfter(t, dir, round, 1+random.IntN(2000)) {
			acknowledged[id] = true
		}
		r := mustVerify(t, filepath.Join(dir, "audit"), k, nil)
		if int(r.Size) < records {
			t.Fatalf("round %d: %d records, there were %d before", round, r.Size, records)
		}
		records = int(r.Size)
		if r.Torn > 0 {
			torn++
		}
	}
	l := open(t, filepath.Join(dir, "audit"), options(k))
	found := make(map[string]bool)
	for _, r := range readAll(t, l, 0) {
		if found[r.Request] {
			t.Errorf("%s is there twice", r.Request)
		}
		found[r.Request] = true
	}
	for id := range acknowledged {
		if !found[id] {
			t.Errorf("%s was acknowledged and is not there", id)
		}
	}
	t.Logf("figure: audit log killed %d times while appending: %d acknowledged, %d recorded, 0 lost, %d unfinished writes",
		rounds, len(acknowledged), len(found), torn)
}

// killAfter starts the process, kills it after so many acknowledgements and returns all it gave.
func killAfter(t *testing.T, dir string, round, acknowledgements int) []string {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run", "^TestAppendUntilKilled$")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%s", killDir, dir), fmt.Sprintf("AUDIT_KILL_ROUND=%d", round))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, ok := strings.CutPrefix(lines.Text(), "recorded ")
		if !ok || !strings.HasSuffix(id, ".") {
			t.Errorf("the process says %q", lines.Text())
			continue
		}
		if ids = append(ids, strings.TrimSuffix(id, ".")); len(ids) == acknowledgements {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || len(ids) < acknowledgements {
		t.Fatalf("the process ended by itself after %d records: %v", len(ids), err)
	}
	return ids
}

// TestAppendUntilKilled is the process that TestKill kills.
func TestAppendUntilKilled(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		return // not this process
	}
	k, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), origin)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, filepath.Join(dir, "audit"), options(k))
	var group sync.WaitGroup
	for c := range 8 {
		group.Go(func() { runUntilKilled(t, l, fmt.Sprintf("r-%s-%d", os.Getenv("AUDIT_KILL_ROUND"), c)) })
	}
	group.Wait()
}

func runUntilKilled(t *testing.T, l *audit.Log, name string) {
	const far = 1_000_000
	for n := range far {
		e := event(n)
		e.Request = fmt.Sprintf("%s-%d", name, n)
		if err := l.Append(context.Background(), e); err != nil {
			t.Error(err)
			return
		}
		fmt.Printf("recorded %s.\n", e.Request) // one write each: a line is there or is not
	}
}
