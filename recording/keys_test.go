package recording_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/seal"
)

// recipientsOf parses a hospital's.
func recipientsOf(t *testing.T, h hospital) seal.Recipients {
	t.Helper()
	to, err := seal.ParseRecipients(h.recipients())
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// TestWrongKeyDestroysNothing replaces a recording's key by what is none of it, as somebody may by mistake or
// on purpose: verify names it, the recording still opens, and sealing the key again puts it right.
func TestWrongKeyDestroysNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		wrong func(t *testing.T, h hospital) []byte
		says  string
	}{
		"another recording's":        {mustWrap, "the key is another recording's; former key 1, which was replaced, opens the parts"},
		"another's, for a stranger":  {func(t *testing.T, _ hospital) []byte { return mustWrap(t, newHospital(t)) }, "the key is not opened by these identities; former key 1"},
		"one that cannot be read":    {func(t *testing.T, h hospital) []byte { b := mustWrap(t, h); b[len(b)-1] ^= 1; return b }, "the key is not opened by these identities; former key 1"},
		"not even a key, but sealed": {sealedRubbish, "the key is not opened by these identities; former key 1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHospital(t)
			dir, m := two(t, h)
			s := open(t, options(t, h, dir))
			if err := s.PutKey(m.ID, tt.wrong(t, h)); err != nil {
				t.Fatal(err)
			}
			src := source(t, dir, m.ID)
			_, found, err := recording.Verify(t.Context(), src, recording.Check{Identities: []age.Identity{h.records}})
			if err != nil || len(found) != 1 || !strings.HasPrefix(found[0].String(), tt.says) {
				t.Errorf("verify: %v, %v, want %q alone", found, err, tt.says)
			}
			if _, found := film(t, src, h.escrow); len(found) != 1 || !strings.HasPrefix(found[0].String(), tt.says) {
				t.Errorf("open: %v", found)
			}
			again, err := recording.Rewrap(src, recipientsOf(t, h), h.records)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.PutKey(m.ID, again); err != nil {
				t.Fatal(err)
			}
			if _, found, err := recording.Verify(t.Context(), src, recording.Check{Identities: []age.Identity{h.escrow}}); err != nil || len(found) > 0 {
				t.Errorf("verify of what was put right: %v, %v", found, err)
			}
		})
	}
}

// sealedRubbish is sealed as a key is, and is none.
func sealedRubbish(t *testing.T, h hospital) []byte {
	t.Helper()
	var b strings.Builder
	w, err := age.Encrypt(&b, h.records.Recipient(), h.escrow.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("nothing")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

// TestForgetKeys: who was let in by a former key only is not any more, and the present one stays.
func TestForgetKeys(t *testing.T) {
	h, next := newHospital(t), newHospital(t)
	dir, m := two(t, h)
	s, src := open(t, options(t, h, dir)), source(t, dir, m.ID)
	again, err := recording.Rewrap(src, recipientsOf(t, next), h.records)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutKey(m.ID, again); err != nil {
		t.Fatal(err)
	}
	if former, err := s.FormerKey(m.ID, 1); err != nil || len(former) == 0 {
		t.Errorf("the former key: %d bytes, %v", len(former), err)
	}
	if err := s.ForgetKeys(m.ID); err != nil {
		t.Fatal(err)
	}
	_, first := s.FormerKey(m.ID, 1)
	_, second := s.FormerKey(m.ID, 2)
	if !errors.Is(first, recording.ErrNotFound) || !errors.Is(second, recording.ErrNotFound) {
		t.Errorf("former keys: %v, %v", first, second)
	}
	if _, _, err := recording.Verify(t.Context(), src, recording.Check{Identities: []age.Identity{h.records}}); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("verify with the former identity: %v", err)
	}
	if _, found, err := recording.Verify(t.Context(), src, recording.Check{Identities: []age.Identity{next.escrow}}); err != nil || len(found) > 0 {
		t.Errorf("verify with the new one: %v, %v", found, err)
	}
	// Where none fits, that is said.
	if err := s.PutKey(m.ID, mustWrap(t, next)); err != nil {
		t.Fatal(err)
	}
	if err := s.ForgetKeys(m.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := recording.Verify(t.Context(), src, recording.Check{Identities: []age.Identity{next.escrow}}); !errors.Is(err, recording.ErrOtherKey) {
		t.Errorf("verify with nothing but another's key: %v", err)
	}
}

// TestKeysAreBounded: the first key survives whoever replaces it for ever.
func TestKeysAreBounded(t *testing.T) {
	h := newHospital(t)
	dir, m := two(t, h)
	s := open(t, options(t, h, dir))
	first, err := s.Key(m.ID)
	if err != nil {
		t.Fatal(err)
	}
	wrong := [][]byte{mustWrap(t, h), mustWrap(t, h)}
	n := 0
	for ; n < 200; n++ {
		if err = s.PutKey(m.ID, wrong[n%2]); err != nil {
			break
		}
	}
	if n != 64 || !errors.Is(err, recording.ErrManyKeys) {
		t.Errorf("%d keys, %v", n, err)
	}
	if b, err := s.FormerKey(m.ID, 1); err != nil || !slices.Equal(b, first) {
		t.Errorf("the first key: %v", err)
	}
	if err := s.Erase(m.ID, "asked for"); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir, m.ID); !slices.Equal(left, []string{m.ID + ".json"}) {
		t.Errorf("left: %v", left)
	}
}

// TestFormerKeysElsewhere: a store elsewhere has the former keys as long as they are kept, and no longer.
func TestFormerKeysElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		remote := newShelf(1, 10)
		o := options(t, h, dir)
		o.Remote = remote
		s := open(t, o)
		m := recorded(t, s, recording.Start{})
		first, err := s.Key(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := func(n int) string { return fmt.Sprintf("keys/%s.key.%d.age", m.ID, n) }
		change := func(what string, do func() error, want ...string) {
			t.Helper()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			<-time.After(10 * time.Minute)
			var got []string
			for _, name := range remote.names() {
				if strings.HasPrefix(name, "keys/") {
					got = append(got, name)
				}
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: elsewhere %v, want %v", what, got, want)
			}
		}
		present := "keys/" + m.ID + ".key.age"
		change("replaced", func() error { return s.PutKey(m.ID, mustWrap(t, h)) }, present, elsewhere(1))
		if !slices.Equal(remote.things[elsewhere(1)], first) {
			t.Error("the former key is not what it was")
		}
		change("forgotten", func() error { return s.ForgetKeys(m.ID) }, present)
		change("replaced again", func() error { return s.PutKey(m.ID, mustWrap(t, h)) }, present, elsewhere(2))
		change("erased", func() error { return s.Erase(m.ID, "asked for") })
	})
}
