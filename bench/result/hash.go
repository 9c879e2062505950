package result

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/bedside-video/bedside/bench/scenario"
)

// loadHash is that of all that makes the load of a scenario: everything but what it is called, the seed
// and what is wanted of it. Runs of equal hashes may be compared. What is zero is left out, so that a
// field that a later version adds changes no hash of those who do not use it.
func loadHash(s scenario.Scenario) string {
	s.Name, s.Purpose, s.Seed, s.Objectives = "", "", 0, nil
	s.People = slices.Clone(s.People)
	for i := range s.People {
		if g := &s.People[i]; g.Way == scenario.WayUDP {
			g.Way = "" // as everybody's was before there were others
		}
	}
	// A scenario is made of numbers and text: it can always be written, and read again.
	b, _ := json.Marshal(s)
	var v any
	_ = json.Unmarshal(b, &v)
	v, _ = pruned(v)
	b, _ = json.Marshal(v)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// pruned drops what is zero from objects, and tells whether v itself is something. Elements of lists
// stay: their place means something.
func pruned(v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			kept, some := pruned(field)
			if v[name] = kept; !some {
				delete(v, name)
			}
		}
		return v, len(v) > 0
	case []any:
		for i := range v {
			v[i], _ = pruned(v[i])
		}
		return v, len(v) > 0
	case bool:
		return v, v
	case float64:
		return v, v != 0
	case string:
		return v, v != ""
	}
	return v, v != nil
}
