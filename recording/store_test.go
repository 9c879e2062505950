package recording_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/seal"
	"github.com/bedside-video/bedside/sfu/codec"
)

// recorded is a finished recording of two seconds of a voice.
func recorded(t *testing.T, s *recording.Store, begin recording.Start) recording.Manifest {
	t.Helper()
	x, err := s.Start(t.Context(), begin)
	if err != nil {
		t.Fatal(err)
	}
	play(2*time.Second, newSender(x, "a", codec.Mic, codec.Opus, time.Now()))
	return stop(t, x)
}

func TestStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		s := open(t, options(t, h, dir))
		one := recorded(t, s, recording.Start{Tenant: "t1", Consultation: "c1", RetainUntil: time.Now().Add(time.Hour)})
		two := recorded(t, s, recording.Start{Tenant: "t1", Consultation: "c2"})
		three := recorded(t, s, recording.Start{Tenant: "t2", Consultation: "c3"})
		for _, tt := range []struct {
			tenant, consultation string
			want                 []string
		}{
			{"", "", []string{three.ID, two.ID, one.ID}},
			{"t1", "", []string{two.ID, one.ID}},
			{"t1", "c2", []string{two.ID}},
			{"t2", "c2", nil},
		} {
			all, err := s.List(tt.tenant, tt.consultation)
			var got []string
			for _, m := range all {
				got = append(got, m.ID)
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("List(%q, %q) = %v, %v", tt.tenant, tt.consultation, got, err)
			}
		}
		f, size, err := s.Part(one.ID, 0)
		if err != nil || size != one.Parts[0].Size {
			t.Fatalf("Part: %d, %v", size, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if expired, err := expired(s, time.Now()); err != nil || len(expired) != 0 {
			t.Errorf("Expired: %v, %v", expired, err)
		}
		if expired, err := expired(s, time.Now().Add(2*time.Hour)); err != nil || len(expired) != 1 || expired[0].ID != one.ID {
			t.Errorf("Expired later: %v, %v", expired, err)
		}
		checkRewrap(t, s, two.ID, h)
	})
}

func checkRewrap(t *testing.T, s *recording.Store, id string, h hospital) {
	t.Helper()
	next := newHospital(t)
	to, err := seal.ParseRecipients(next.recipients())
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := s.Key(id)
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.Rewrap(wrapped, to, h.records)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, []byte("AGE-SECRET-KEY-PQ-1"), again[:10]} {
		if err := s.PutKey(id, bad); !errors.Is(err, recording.ErrBadKey) {
			t.Errorf("PutKey of rubbish: %v", err)
		}
	}
	if err := s.PutKey(id, again); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Key(id); err != nil || !slices.Equal(got, again) {
		t.Errorf("Key: %v", err)
	}
}

func TestErase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		s := open(t, options(t, h, dir))
		x := start(t, s, nil)
		if err := s.Erase(x.ID(), "asked for"); !errors.Is(err, recording.ErrOpen) {
			t.Errorf("Erase of an open one: %v", err)
		}
		play(time.Second, newSender(x, "a", codec.Mic, codec.Opus, time.Now()))
		id := stop(t, x).ID
		if err := s.Erase(id, "asked for"); err != nil {
			t.Fatal(err)
		}
		if left := files(t, dir, id); !slices.Equal(left, []string{id + ".json"}) {
			t.Errorf("what is left: %v", left)
		}
		m, err := s.Manifest(id)
		if err != nil || m.State != recording.Erased || m.Reason != "asked for" || m.Verify(nil) != nil || len(m.Parts) != 1 {
			t.Errorf("tombstone %+v, %v", m, err)
		}
		_, err = s.Key(id)
		_, _, partErr := s.Part(id, 0)
		for _, err := range []error{err, partErr, s.Erase(id, "again"), s.PutKey(id, mustWrap(t, h))} {
			if !errors.Is(err, recording.ErrErased) {
				t.Errorf("of an erased recording: %v", err)
			}
		}
	})
}

func mustWrap(t *testing.T, h hospital) []byte {
	t.Helper()
	to, err := seal.ParseRecipients(h.recipients())
	if err != nil {
		t.Fatal(err)
	}
	k, err := seal.NewKey(to)
	if err != nil {
		t.Fatal(err)
	}
	return k.Wrapped
}

func files(t *testing.T, dir, id string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, id))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// An erasure that a crash has interrupted behind the tombstone is finished at the next start.
func TestInterruptedErase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dir := newHospital(t), t.TempDir()
		o := options(t, h, dir)
		s := open(t, o)
		id := recorded(t, s, recording.Start{}).ID
		part, err := os.ReadFile(filepath.Join(dir, id, partName(id, 0)))
		if err != nil {
			t.Fatal(err)
		}
		key, err := s.Key(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Erase(id, "asked for"); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{partName(id, 0): part, id + ".key.age": key} {
			if err := os.WriteFile(filepath.Join(dir, id, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		open(t, o)
		if left := files(t, dir, id); !slices.Equal(left, []string{id + ".json"}) {
			t.Errorf("what is left: %v", left)
		}
	})
}

// TestNamesOfStrangers: what a caller calls a recording never becomes a path that we did not make.
func TestNamesOfStrangers(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	h := newHospital(t)
	s := open(t, options(t, h, filepath.Join(dir, "recordings")))
	linked := "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	if err := os.Symlink(outside, filepath.Join(dir, "recordings", linked)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, linked+".json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{
		"", ".", "..", "../x", "../outside", "%2e%2e", "a/b", "x\x00y", strings.Repeat("A", 300), "01ARZ3NDEKTSV4RRFFQ69G5FAU",
		"81ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav", "01ARZ3NDEKTSV4RRFFQ69G5FA/", "01ARZ3NDEKTSV4RRFFQ69G5FAW", linked,
	} {
		t.Run(fmt.Sprintf("%.30q", id), func(t *testing.T) {
			_, manifest := s.Manifest(id)
			_, key := s.Key(id)
			_, _, part := s.Part(id, 0)
			for _, err := range []error{manifest, key, part, s.PutKey(id, mustWrap(t, h)), s.Erase(id, "x")} {
				if err == nil || id != linked && !errors.Is(err, recording.ErrNotFound) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	if b, err := os.ReadFile(filepath.Join(outside, linked+".json")); err != nil || string(b) != "{}" {
		t.Errorf("something was done outside: %q, %v", b, err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("outside: %v, %v", left, err)
	}
}

func TestRefusals(t *testing.T) {
	h := newHospital(t)
	tests := []struct {
		name       string
		recipients []string
		err        error
	}{
		{"no recipient", nil, seal.ErrNoRecipient},
		{"one", h.recipients()[:1], seal.ErrOneRecipient},
		{"mixed", append(h.recipients(), "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"), seal.ErrMixedRecipients},
		{"plugin", append(h.recipients(), "age1yubikey1qwt50d05nh5vut"), seal.ErrPluginRecipient},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, h, t.TempDir())
			o.Recipients = tt.recipients
			if _, err := recording.New(o); !errors.Is(err, tt.err) {
				t.Errorf("New: %v", err)
			}
		})
	}
	o := options(t, h, t.TempDir())
	o.MaxLoss = time.Millisecond
	if _, err := recording.New(o); err == nil {
		t.Error("a promise was made that cannot be kept")
	}
	o = options(t, h, t.TempDir())
	o.MinFree = 1 << 60
	if _, err := open(t, o).Start(t.Context(), recording.Start{}); !errors.Is(err, recording.ErrNoSpace) {
		t.Errorf("Start without space: %v", err)
	}
}

// TestTamperedManifest: nothing in a manifest can be changed without being noticed.
func TestTamperedManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t)
		s := open(t, options(t, h, t.TempDir()))
		m := recorded(t, s, recording.Start{Tenant: "t1", Consultation: "c1"})
		for name, change := range map[string]func(*recording.Manifest){
			"part's hash":  func(m *recording.Manifest) { m.Parts[0].SHA256 = strings.Repeat("0", 64) },
			"part's owner": func(m *recording.Manifest) { m.Parts[0].Participant = "b" },
			"parts gone":   func(m *recording.Manifest) { m.Parts = nil },
			"consent":      func(m *recording.Manifest) { m.Consent = []recording.Consent{{Participant: "b", Decision: "granted"}} },
			"state":        func(m *recording.Manifest) { m.State = recording.Recovered },
			"no signature": func(m *recording.Manifest) { m.Signature = nil },
			"other's key": func(m *recording.Manifest) {
				m.Signature = &recording.Signature{Key: "AAAA", Value: m.Signature.Value}
			},
		} {
			c := m
			c.Parts = slices.Clone(m.Parts)
			change(&c)
			if err := c.Verify(nil); !errors.Is(err, recording.ErrSignature) {
				t.Errorf("%s changed: %v", name, err)
			}
		}
		other := nodeKey()
		other[40] ^= 1
		if err := m.Verify(ed25519.PublicKey(other[32:])); err == nil {
			t.Error("another node's key fits")
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"format":"bedside-recording/1","id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","parts":[{"n":0}],"signature":{"key":"","value":""}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := recording.ParseManifest(b)
		if err == nil && m.Verify(nil) == nil {
			t.Fatal("forged")
		}
	})
}

// expired lists the recordings that are to be erased at a time.
func expired(s *recording.Store, now time.Time) ([]recording.Manifest, error) {
	all, err := s.List("", "")
	return slices.DeleteFunc(all, func(m recording.Manifest) bool { return !m.Expired(now) }), err
}
