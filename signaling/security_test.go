package signaling_test

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityReviewNamesRealTests reads docs/security.md: every test that it names exists, and every
// row of the threat list has an answer.
func TestSecurityReviewNamesRealTests(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err = fs.WalkDir(os.DirFS(".."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile("../" + path)
		for _, m := range declaration.FindAllSubmatch(source, -1) {
			declared[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)`").FindAllSubmatch(text, -1)
	if len(named) < 60 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !declared[string(m[1])] {
			t.Errorf("docs/security.md names %s, which does not exist", m[1])
		}
	}
	covered := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "A") {
			continue
		}
		if !strings.Contains(cells[4], "`") && !strings.Contains(cells[3], "later") {
			t.Errorf("no test and no \"later\": %s", line)
		}
		var from, to int
		id := strings.TrimSpace(cells[1])
		if n, _ := fmt.Sscanf(id, "A%d to A%d", &from, &to); n != 2 {
			to = from
			if n, _ := fmt.Sscanf(id, "A%d, A%d", &from, &to); n != 2 {
				to = from
			}
		}
		for i := from; i <= to; i++ {
			covered[fmt.Sprint("A", i)] = true
		}
	}
	for i := range 32 {
		if id := fmt.Sprint("A", i+1); !covered[id] {
			t.Errorf("%s has no row", id)
		}
	}
}
