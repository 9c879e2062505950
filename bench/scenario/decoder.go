package scenario

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	maxBytes    = 1 << 20 // of a file
	maxProblems = 100     // of a file; the rest is not reported
)

// decoder turns YAML nodes into values and collects what is wrong with them.
type decoder struct {
	file     string
	problems Problems
	who      map[string][]member // by ref, for checks
}

// field is one key of a mapping.
type field struct {
	key  string
	need bool
	read func(n *yaml.Node)
}

// Parse reads a scenario. file is its name, for messages only. The error is Problems, with everything
// that is wrong with the file.
func Parse(file string, data []byte) (Scenario, error) {
	d := &decoder{file: file}
	var s Scenario
	if root := d.document(data); root != nil {
		d.mapping(root, "the scenario", d.top(&s))
		s.pos = at(root)
		if len(d.problems) == 0 {
			d.check(&s)
		}
		if len(d.problems) == 0 {
			_, found := expand(s)
			for _, f := range found {
				d.failAt(f.pos, "%s", f.what)
			}
		}
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return Scenario{}, d.problems
	}
	return s, nil
}

// document returns the only document's root, nil after a problem.
func (d *decoder) document(data []byte) *yaml.Node {
	start := position{1, 1}
	if len(data) > maxBytes {
		d.failAt(start, "the file has %d bytes: a scenario has at most %d", len(data), maxBytes)
		return nil
	}
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := reader.Decode(&doc); errors.Is(err, io.EOF) {
		d.failAt(start, "the file is empty: see format.md")
		return nil
	} else if err != nil {
		d.syntax(err)
		return nil
	}
	if err := reader.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			d.syntax(err)
		} else {
			d.fail(&more, "a second document: one file is one scenario")
		}
		return nil
	}
	return doc.Content[0]
}

// syntax reports an error of the YAML library, which tells the line in its text only.
func (d *decoder) syntax(err error) {
	line := 1
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	d.failAt(position{line, 1}, "not YAML: %s", text)
}

func at(n *yaml.Node) position { return position{n.Line, n.Column} }

func (d *decoder) fail(n *yaml.Node, format string, args ...any) { d.failAt(at(n), format, args...) }

func (d *decoder) failAt(p position, format string, args ...any) {
	one := Problem{File: d.file, Line: p.line, Column: p.column, What: fmt.Sprintf(format, args...)}
	if len(d.problems) < maxProblems && !slices.Contains(d.problems, one) {
		d.problems = append(d.problems, one)
	}
}

// mapping reads a mapping by its fields.
func (d *decoder) mapping(n *yaml.Node, what string, fields []field) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s is %s: write its keys (%s)", what, kind(n), keysOf(fields))
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f := slices.IndexFunc(fields, func(f field) bool { return key.Kind == yaml.ScalarNode && f.key == key.Value })
		switch {
		case f < 0:
			d.fail(key, "unknown key %s: %s has %s", quote(key.Value), what, keysOf(fields))
		case seen[key.Value]:
			d.fail(key, "%s is there twice: leave one out", key.Value)
		default:
			fields[f].read(value)
		}
		seen[key.Value] = true
	}
	for _, f := range fields {
		if f.need && !seen[f.key] {
			d.fail(n, "%s has no %s: add it", what, f.key)
		}
	}
}

func keysOf(fields []field) string {
	var keys []string
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	return strings.Join(keys, ", ")
}

// list reads a list, one item after the other.
func (d *decoder) list(n *yaml.Node, what string, most int, item func(n *yaml.Node)) {
	switch {
	case n.Kind != yaml.SequenceNode:
		d.fail(n, "%s is %s: write a list", what, kind(n))
		return
	case len(n.Content) > most:
		d.fail(n, "%s has %d items: at most %d", what, len(n.Content), most)
		return
	}
	for _, one := range n.Content {
		item(one)
	}
}

// text returns a scalar as it is written.
func (d *decoder) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		d.fail(n, "%s is %s: write a value", what, kind(n))
		return "", false
	}
	return n.Value, true
}

// kind names what a node is, for messages.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias, which scenarios do not take"
	case n.ShortTag() == "!!null":
		return "empty"
	}
	return quote(n.Value)
}

// readAs makes a field whose text parse understands.
func readAs[T any](d *decoder, key string, into *T, parse func(string) (T, error)) field {
	return field{key: key, read: func(n *yaml.Node) {
		text, ok := d.text(n, key)
		if !ok {
			return
		}
		v, err := parse(text)
		if err != nil {
			d.fail(n, "%s: %v", key, err)
			return
		}
		*into = v
	}}
}

func needed(f field) field {
	f.need = true
	return f
}

// duration, or never where a word stands for Never.
func (d *decoder) duration(key string, into *time.Duration, never string) field {
	return readAs(d, key, into, func(s string) (time.Duration, error) {
		if never != "" && s == never {
			return Never, nil
		}
		v, err := parseDuration(s)
		if err != nil && never != "" {
			err = fmt.Errorf("%w, or %s", err, never)
		}
		return v, err
	})
}

func (d *decoder) integer(key string, into *int, low, high int) field {
	return field{key: key, read: func(n *yaml.Node) {
		v, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || v < low || v > high {
			d.fail(n, "%s is %s: write a whole number, %d to %d", key, kind(n), low, high)
			return
		}
		*into = v
	}}
}

func (d *decoder) boolean(key string, into *bool) field {
	return field{key: key, read: func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Value != "true" && n.Value != "false" {
			d.fail(n, "%s is %s: write true or false", key, kind(n))
			return
		}
		*into = n.Value == "true"
	}}
}

// oneOf reads one of some words.
func oneOf[T ~string](d *decoder, key string, into *T, words ...T) field {
	return readAs(d, key, into, func(s string) (T, error) {
		if i := slices.Index(words, T(s)); i >= 0 {
			return words[i], nil
		}
		return "", fmt.Errorf("%s is not one of %v", quote(s), words)
	})
}

var errRef = errors.New("a ref is a lower-case letter, then up to 31 lower-case letters, digits and hyphens")

func parseRef(s string) (string, error) {
	if len(s) == 0 || len(s) > 32 || s[0] < 'a' || s[0] > 'z' || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", fmt.Errorf("%s: %w", quote(s), errRef)
	}
	return s, nil
}
