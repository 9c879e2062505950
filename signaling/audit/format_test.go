package audit_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/signaling/audit"
)

// format.md says what is on disk.
func TestFormat(t *testing.T) {
	text, err := os.ReadFile("format.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 4 {
		t.Fatalf("%d blocks, want 4", len(blocks))
	}
	dir := tempDir(t)
	l := open(t, dir, options(newKey(t)))
	appendEvents(t, l, 0, 600)
	closeLog(t, l)
	whole := load(t, dir)
	var names []string
	for name := range whole {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := strings.Fields(blocks[0][1]); !slices.Equal(names, want) {
		t.Errorf("a log of 600 records has %v, format.md says %v", names, want)
	}

	line, err := json.Marshal(audit.Record{Node: "n1", Event: event(0)})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(blocks[1][1]); string(line) != want {
		t.Errorf("a record is\n%s\nformat.md says\n%s", line, want)
	}
	if n := 2 + len(line); string(whole["tile/entries/000"][2:n]) != string(line) {
		t.Errorf("the first entry is %q", whole["tile/entries/000"][:n])
	}

	lines := strings.Split(strings.TrimSpace(string(whole["journal"])), "\n")
	commit := strings.Fields(lines[len(lines)-1])
	if got, want := len(commit), len(regexp.MustCompile(`= <.*?> <.*?> <.*?>`).FindString(blocks[2][1])); got != 4 || want == 0 || commit[0] != "=" || commit[1] != "600" {
		t.Errorf("the journal commits with %q, format.md says %q", commit, blocks[2][1])
	}
	if !strings.HasPrefix(lines[0], `{"index":512,`) {
		t.Errorf("the journal begins with %q", lines[0])
	}
	if root := strings.Split(string(whole["checkpoint"]), "\n"); root[0] != origin || root[1] != "600" || root[2] != commit[2] {
		t.Errorf("the checkpoint is %q", root)
	}
}
