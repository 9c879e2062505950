package signaling

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/consult"
)

// These are internal because it would take 65,536 sessions to fill the memory from outside.

func TestUsedTokensAreBounded(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	k := &tokens{key: ed25519.NewKeyFromSeed(make([]byte, 32)), clock: func() time.Time { return now }, rand: rand.Reader, used: map[string]bool{}}
	codeOfUse := func(id string) string {
		var refusal *consult.Error
		if errors.As(k.use(id), &refusal) {
			return refusal.Code
		}
		return "ok"
	}
	for i := range maxUsedTokens {
		if got := codeOfUse(fmt.Sprint(i)); got != "ok" {
			t.Fatalf("token %d: %s", i, got)
		}
	}
	for _, tt := range []struct {
		after    time.Duration
		id, want string
	}{
		{0, "0", "token_used"},
		{0, "new", "unavailable"}, // rather than making an old one good again
		{usedTokenMemory - 1, "0", "token_used"},
		{1, "0", "ok"}, // its token has long expired
		{0, "new", "ok"},
		{0, "new", "token_used"},
	} {
		now = now.Add(tt.after)
		if got := codeOfUse(tt.id); got != tt.want {
			t.Errorf("%v later, %s: %s, want %s", tt.after, tt.id, got, tt.want)
		}
	}
	if len(k.used) != 2 || len(k.fifo) != 2 {
		t.Errorf("%d and %d are remembered, want 2", len(k.used), len(k.fifo))
	}
}

func TestInvitations(t *testing.T) {
	k := &tokens{secret: make([]byte, 32)}
	first := k.invitation("c", "p", 0)
	if len(first) != 22 {
		t.Errorf("an invitation of %d characters, want 22", len(first))
	}
	for name, other := range map[string]string{
		"another epoch":        k.invitation("c", "p", 1),
		"another participant":  k.invitation("c", "q", 0),
		"another consultation": k.invitation("d", "p", 0),
		"a shifted boundary":   k.invitation("cp", "", 0),
		"another secret":       (&tokens{secret: []byte{1}}).invitation("c", "p", 0),
	} {
		if other == first {
			t.Errorf("%s: the same invitation", name)
		}
	}
	if again := k.invitation("c", "p", 0); again != first {
		t.Errorf("shown again it is %s, was %s", again, first)
	}
	if k.consultation("a", "bc") == k.consultation("ab", "c") {
		t.Error("two tenants share a consultation")
	}
}
