package consult_test

import (
	"testing"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// TestRights walks the whole table: every role with every source and every verb.
func TestRights(t *testing.T) {
	roles := []wire.Role{"clinician", "patient", "carer", "interpreter", "observer", "device", "nobody"}
	table := []struct {
		right string
		may   [7]bool // in the order of roles
	}{
		{"publish camera", [7]bool{true, true, true, true, false, false, false}},
		{"publish mic", [7]bool{true, true, true, true, false, false, false}},
		{"publish screen", [7]bool{true, true, false, false, false, false, false}},
		{"publish exam", [7]bool{true, true, false, false, false, true, false}},
		{"publish auscultation", [7]bool{true, true, false, false, false, true, false}},
		{"subscribe", [7]bool{true, true, true, true, true, false, false}},
		{"skip_lobby", [7]bool{true, false, false, false, false, false, false}},
		{"message", [7]bool{true, true, true, true, false, false, false}},
		{"vitals", [7]bool{true, true, true, true, false, true, false}},
		{"admit", [7]bool{true, false, false, false, false, false, false}},
		{"refuse", [7]bool{true, false, false, false, false, false, false}},
		{"remove", [7]bool{true, false, false, false, false, false, false}},
		{"hold", [7]bool{true, false, false, false, false, false, false}},
		{"hand_over", [7]bool{true, false, false, false, false, false, false}},
		{"record", [7]bool{true, false, false, false, false, false, false}},
		{"consent", [7]bool{true, true, true, true, false, false, false}},
		{"end", [7]bool{true, false, false, false, false, false, false}},
		{"leave", [7]bool{true, true, true, true, true, true, false}},
	}
	granted := make(map[wire.Role]int)
	for _, row := range table {
		for i, role := range roles {
			r := consult.RightsOf(role)
			got := r.May(consult.Verb(row.right))
			if source, isPublish := cutPublish(row.right); isPublish {
				got = r.MayPublish(source)
			}
			if got != row.may[i] {
				t.Errorf("%s, %s: %v, want %v", role, row.right, got, row.may[i])
			}
			if row.may[i] {
				granted[role]++
			}
		}
	}
	for _, role := range roles {
		r := consult.RightsOf(role)
		if n := len(r.Can) + len(r.Publish); n != granted[role] {
			t.Errorf("%s has %d rights, but this table knows %d", role, n, granted[role])
		}
	}
	if got, want := len(consult.Roles()), len(roles)-1; got != want {
		t.Errorf("%d roles, want %d", got, want)
	}
}

func cutPublish(right string) (wire.Source, bool) {
	const prefix = "publish "
	if len(right) <= len(prefix) || right[:len(prefix)] != prefix {
		return "", false
	}
	return wire.Source(right[len(prefix):]), true
}
