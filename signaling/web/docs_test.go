package web_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEmbeddingDocument compares docs/embedding.md with the code, both ways: what it names exists, and
// what a vendor may use is named.
func TestEmbeddingDocument(t *testing.T) {
	read := func(name ...string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(name...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	document := read("..", "..", "docs", "embedding.md")
	sdk := func(name string) string { return read("assets", "sdk", name) }
	var ui strings.Builder
	files, err := filepath.Glob("assets/sdk/ui/*.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		ui.WriteString(read(f))
	}
	types := sdk("bedside.d.ts")
	for _, tt := range []struct {
		section string
		named   string // what in the section's items is a name
		code    []string
	}{
		{"Attributes", `[a-z-]+`, all(sdk("bedside.js"), `etAttribute\('([a-z-]+)'\)|closest\('\[([a-z]+)\]'\)`)},
		{"Events of the element", `[a-z]+`, all(ui.String(), `new CustomEvent\('([a-z]+)'`)},
		{"Events of the consultation", `[a-z]+`, all(within(types, "interface ConsultationEvents {", "\n}"), `(?m)^  ([a-z]+): `)},
		{"Events of the consultation", `[a-z]+`, all(sdk("consultation.js"), `#emit\('([a-z]+)'`)},
		{"Methods of the consultation", `[a-zA-Z]+`, methods(within(types, "class Consultation ", "\n}"))},
		{"Methods of the consultation", `[a-zA-Z]+`, methods(sdk("consultation.js"))},
		{"Variables", `--bedside-[a-z-]+`, all(within(sdk("ui/style.css"), ":where(:root, bedside-consultation) {", "\n}"), `(?m)^  (--bedside-[a-z-]+):`)},
		{"Parts", `[a-z]+`, all(ui.String(), `part: '([a-z]+)'`)},
	} {
		text := within(document, "\n### "+tt.section+"\n", "\n#")
		var named []string
		for _, item := range regexp.MustCompile("(?m)^- (`[^:]+):").FindAllStringSubmatch(text, -1) {
			named = append(named, all(item[1], "`("+tt.named+")`")...)
		}
		slices.Sort(named)
		if len(tt.code) == 0 || len(named) == 0 {
			t.Errorf("%s: %d names in the document, %d in the code", tt.section, len(named), len(tt.code))
		}
		for _, n := range named {
			if !slices.Contains(tt.code, n) {
				t.Errorf("docs/embedding.md, %s: there is no %s", tt.section, n)
			}
		}
		for _, n := range tt.code {
			if !slices.Contains(named, n) {
				t.Errorf("docs/embedding.md, %s: %s is not described", tt.section, n)
			}
		}
	}
}

// all returns what the pattern's groups match, each once, in order.
func all(text, pattern string) []string {
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, strings.Join(m[1:], ""))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// methods returns the public methods of a class in JavaScript or TypeScript.
func methods(class string) []string {
	const notOurs = "constructor addEventListener removeEventListener if for while switch catch"
	return slices.DeleteFunc(all(class, `(?m)^  (?:static |async )*([a-zA-Z]+)\(`), func(name string) bool {
		return slices.Contains(strings.Fields(notOurs), name)
	})
}

// within returns the text between two marks, "" when the first is not there.
func within(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}
