package signaling

import (
	"strings"
	"testing"
)

func TestIsKind(t *testing.T) {
	for _, tt := range []struct {
		kind string
		want bool
	}{
		{"chat", true}, {"x.vendor-1_a", true}, {strings.Repeat("a", 32), true},
		{"", false}, {strings.Repeat("a", 33), false}, {"Chat", false}, {"a b", false}, {"a\nb", false}, {"é", false},
		{"aéb", false}, {"a b c", false},
	} {
		if got := isKind(tt.kind); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.kind, got, tt.want)
		}
	}
}
