// Package storetest is the specification of store.Store, as tests that every implementation passes.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bedside-video/bedside/signaling/store"
)

const bucket = store.Bucket("things")

// Run tests an implementation. open returns a new, empty store with room for 1,000 entries at
// least, and closes it by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"create, get, update, delete": testLife,
		"errors":                      testErrors,
		"keys":                        testKeys,
		"buckets are apart":           testBuckets,
		"values are copied":           testCopies,
		"each in order":               testEach,
		"each may change the store":   testEachChanges,
		"one of many updates wins":    testRace,
		"context":                     testContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func testLife(t *testing.T, s store.Store) {
	ctx := t.Context()
	first, err := s.Create(ctx, bucket, "a", []byte("1"))
	if err != nil || first == 0 {
		t.Fatalf("create: revision %d, %v", first, err)
	}
	second, err := s.Update(ctx, bucket, "a", []byte("2"), first)
	if err != nil || second <= first {
		t.Fatalf("update: revision %d after %d, %v", second, first, err)
	}
	wantEntry(t, s, bucket, "a", "2", second)
	if err := s.Delete(ctx, bucket, "a"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, bucket, "a")
	wantError(t, "get after delete", err, store.ErrNotFound)
	third, err := s.Create(ctx, bucket, "a", nil)
	if err != nil || third <= second {
		t.Fatalf("create again: revision %d after %d, %v", third, second, err)
	}
	wantEntry(t, s, bucket, "a", "", third)
}

func testErrors(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.Get(ctx, bucket, "a")
	wantError(t, "get", err, store.ErrNotFound)
	_, err = s.Update(ctx, bucket, "a", nil, 1)
	wantError(t, "update of nothing", err, store.ErrConflict)
	if err := s.Delete(ctx, bucket, "a"); err != nil {
		t.Errorf("delete of nothing: %v", err)
	}
	revision, err := s.Create(ctx, bucket, "a", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Create(ctx, bucket, "a", []byte("2"))
	wantError(t, "create twice", err, store.ErrExists)
	_, err = s.Update(ctx, bucket, "a", []byte("2"), revision+1)
	wantError(t, "update of another revision", err, store.ErrConflict)
	_, err = s.Update(ctx, bucket, "a", []byte("2"), 0)
	wantError(t, "update of revision 0", err, store.ErrConflict)
	wantEntry(t, s, bucket, "a", "1", revision)
	_, err = s.Create(ctx, bucket, "b", make([]byte, store.MaxValueBytes+1))
	wantError(t, "a value too large", err, store.ErrTooLarge)
	_, err = s.Update(ctx, bucket, "a", make([]byte, store.MaxValueBytes+1), revision)
	wantError(t, "a value too large", err, store.ErrTooLarge)
}

func testKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, key := range []string{"", "a.b", "a/b", "../a", "a b", "a*", ">", "é", "\x00", strings.Repeat("a", store.MaxKeyBytes+1)} {
		_, err := s.Create(ctx, bucket, key, nil)
		wantError(t, fmt.Sprintf("create %q", key), err, store.ErrBadKey)
		_, err = s.Get(ctx, bucket, key)
		wantError(t, fmt.Sprintf("get %q", key), err, store.ErrBadKey)
		_, err = s.Update(ctx, bucket, key, nil, 1)
		wantError(t, fmt.Sprintf("update %q", key), err, store.ErrBadKey)
		wantError(t, fmt.Sprintf("delete %q", key), s.Delete(ctx, bucket, key), store.ErrBadKey)
	}
	for _, key := range []string{"c_7Hq2vN0sQm2k9tYbXwA1cg", "-_=", strings.Repeat("a", store.MaxKeyBytes)} {
		if _, err := s.Create(ctx, bucket, key, nil); err != nil {
			t.Errorf("create %q: %v", key, err)
		}
	}
}

func testBuckets(t *testing.T, s store.Store) {
	ctx := t.Context()
	one, err := s.Create(ctx, "one", "a", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.Create(ctx, "two", "a", []byte("2"))
	if err != nil {
		t.Fatal(err)
	}
	wantEntry(t, s, "one", "a", "1", one)
	wantEntry(t, s, "two", "a", "2", two)
	if err := s.Delete(ctx, "one", "a"); err != nil {
		t.Fatal(err)
	}
	wantEntry(t, s, "two", "a", "2", two)
}

func testCopies(t *testing.T, s store.Store) {
	ctx := t.Context()
	value := []byte("abc")
	revision, err := s.Create(ctx, bucket, "a", value)
	if err != nil {
		t.Fatal(err)
	}
	value[0] = 'x'
	e, err := s.Get(ctx, bucket, "a")
	if err != nil {
		t.Fatal(err)
	}
	e.Value[1] = 'x'
	wantEntry(t, s, bucket, "a", "abc", revision)
}

func testEach(t *testing.T, s store.Store) {
	ctx := t.Context()
	var want []string
	for i := range 100 {
		key := fmt.Sprintf("k%03d", (i*37)%100)
		want = append(want, key+"=v")
		if _, err := s.Create(ctx, bucket, key, []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	var got []string
	err := s.Each(ctx, bucket, func(e store.Entry) error {
		got = append(got, e.Key+"="+string(e.Value))
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	stop := errors.New("stop")
	calls := 0
	err = s.Each(ctx, bucket, func(store.Entry) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("after %d calls: %v, want %v after 1", calls, err, stop)
	}
	if err := s.Each(ctx, "empty", func(store.Entry) error { return stop }); err != nil {
		t.Errorf("each of an empty bucket: %v", err)
	}
}

func testEachChanges(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, key := range []string{"a", "b", "c"} {
		if _, err := s.Create(ctx, bucket, key, nil); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Each(ctx, bucket, func(e store.Entry) error { return s.Delete(ctx, bucket, e.Key) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, bucket, "c")
	wantError(t, "get", err, store.ErrNotFound)
}

func testRace(t *testing.T, s store.Store) {
	ctx := t.Context()
	revision, err := s.Create(ctx, bucket, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	const writers = 16
	results := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		runUpdate := func() { _, results[i] = s.Update(ctx, bucket, "a", []byte{byte(i)}, revision) }
		wg.Go(runUpdate)
	}
	wg.Wait()
	wins := 0
	for _, err := range results {
		if err == nil {
			wins++
		} else {
			wantError(t, "update", err, store.ErrConflict)
		}
	}
	if wins != 1 {
		t.Errorf("%d updates of one revision succeeded, want 1", wins)
	}
}

func testContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, bucket, "a")
	wantError(t, "get", err, context.Canceled)
	_, err = s.Create(ctx, bucket, "a", nil)
	wantError(t, "create", err, context.Canceled)
	_, err = s.Update(ctx, bucket, "a", nil, 1)
	wantError(t, "update", err, context.Canceled)
	wantError(t, "delete", s.Delete(ctx, bucket, "a"), context.Canceled)
	wantError(t, "each", s.Each(ctx, bucket, func(store.Entry) error { return nil }), context.Canceled)
}

func wantEntry(t *testing.T, s store.Store, b store.Bucket, key, value string, revision uint64) {
	t.Helper()
	e, err := s.Get(t.Context(), b, key)
	if err != nil || e.Key != key || string(e.Value) != value || e.Revision != revision {
		t.Errorf("get %s: %s=%q at %d, %v; want %s=%q at %d", b, e.Key, e.Value, e.Revision, err, key, value, revision)
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
