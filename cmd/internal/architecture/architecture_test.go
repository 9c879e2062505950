package architecture_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bedside-video/bedside/cmd/internal/architecture"
)

func TestModule(t *testing.T) {
	found, sizes, err := architecture.Check(os.DirFS("../../.."))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(architecture.Header)
	for _, s := range sizes {
		t.Log(s)
	}
	for _, f := range found {
		t.Error(f)
	}
}

// The fixture breaks every rule, and says where: a line ends in "// want" and the rules it breaks.
func TestRulesFindWhatTheyForbid(t *testing.T) {
	fixture := os.DirFS("testdata/bad")
	found, _, err := architecture.Check(fixture)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Rule))
	}
	want := wanted(t, fixture)
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func wanted(t *testing.T, fixture fs.FS) []string {
	t.Helper()
	var want []string
	err := fs.WalkDir(fixture, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := fixture.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			_, rules, _ := strings.Cut(lines.Text(), "// want ")
			for rule := range strings.FieldsSeq(rules) {
				want = append(want, fmt.Sprintf("%s:%d %s", name, n, rule))
			}
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

func TestBudgets(t *testing.T) {
	const open, close = "package config\n", "}\n"
	tests := []struct {
		name string
		src  string
		want string // "" is within the budget
	}{
		{"file of 500 lines", open + strings.Repeat("\n", 499), ""},
		{"file of 501 lines", open + strings.Repeat("\n", 500), "file: lines has 501, the budget is 500"},
		{"function of 80 lines", open + "func f() {\n" + strings.Repeat("\n", 78) + close, ""},
		{"function of 81 lines", open + "func f() {\n" + strings.Repeat("\n", 79) + close, "function f: lines has 81, the budget is 80"},
		{"struct of 20 fields", open + "type s struct {\n" + strings.Repeat("_, _ int\n", 10) + close, ""},
		{"struct of 21 fields", open + "type s struct {\nint\n" + strings.Repeat("_, _ int\n", 10) + close, "struct s: fields has 21, the budget is 20"},
		{"interface of 5 methods", open + "type i interface {\nerror\n" + methods(5) + close, ""},
		{"interface of 6 methods", open + "type i interface {\nerror\n" + methods(6) + close, "interface i: methods has 6, the budget is 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, _, err := architecture.Check(fstest.MapFS{"config/c.go": {Data: []byte(tt.src)}})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range found {
				got, _, _ = strings.Cut(f.What, ":"+" find")
			}
			if got != tt.want || len(found) > 1 {
				t.Errorf("got %q (%d findings), want %q", got, len(found), tt.want)
			}
		})
	}
}

func methods(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "m%d()\n", i)
	}
	return b.String()
}
