package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// A key is one value of the configuration. Keys inside a list have no variable of their own.
type key struct {
	name string // "signaling.window_lead", "signaling.api_keys[].id"
	env  string // "BEDSIDE_SIGNALING_WINDOW_LEAD" or ""
	typ  reflect.Type
}

// keys returns every key in the order of the structs.
func keys() []key { return appendKeys(nil, "", true, reflect.TypeFor[Config]()) }

func appendKeys(list []key, prefix string, env bool, t reflect.Type) []key {
	for f := range t.Fields() {
		k := key{name: prefix + f.Tag.Get("mapstructure"), typ: f.Type}
		if isGroup(f.Type) {
			list = appendKeys(list, k.name+".", env, f.Type)
			continue
		}
		if env {
			k.env = envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
		}
		list = append(list, k)
		if k.isStructs() {
			list = appendKeys(list, k.name+"[].", false, f.Type.Elem())
		}
	}
	return list
}

// Environment returns the environment variable of every key, in the order of the structs.
func Environment() []string {
	var names []string
	for _, k := range keys() {
		if k.env != "" {
			names = append(names, k.env)
		}
	}
	return names
}

func isGroup(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]()
}

func (k key) isStructs() bool {
	return k.typ.Kind() == reflect.Slice && isGroup(k.typ.Elem())
}

// expects says in words what a value of the key looks like.
func (k key) expects() string {
	switch {
	case k.typ == reflect.TypeFor[time.Duration]():
		return "a duration with its unit, such as 90s, 30m or 1h30m"
	case k.typ.Kind() == reflect.Int:
		return "a whole number"
	case k.isStructs():
		return "a list of groups of keys"
	case k.typ.Kind() == reflect.Slice:
		return "a list of texts"
	default:
		return "a text"
	}
}

// withoutIndex turns "api_keys[3].id" into "api_keys[].id".
func withoutIndex(name string) string {
	return regexp.MustCompile(`\[\d+\]`).ReplaceAllString(name, "[]")
}

// nearest suggests the known name that is most like the unknown one, if any is at all like it:
// a third of the letters of its last part may differ.
func nearest(unknown string, known map[string]key) string {
	leaf := unknown[strings.LastIndexByte(unknown, '.')+1:]
	best, least := "", len(leaf)/3+1
	for name := range known {
		if d := distance(unknown, name); d < least || (d == least && best != "" && name < best) {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
