package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/store/storetest"
)

func TestMap(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMap(1000) })
}

func TestMapIsBounded(t *testing.T) {
	m := store.NewMap(3)
	ctx := t.Context()
	for i := range 3 {
		if _, err := m.Create(ctx, "b", fmt.Sprint(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Create(ctx, "other", "a", nil); !errors.Is(err, store.ErrFull) {
		t.Errorf("a fourth entry: %v, want %v", err, store.ErrFull)
	}
	if _, err := m.Create(ctx, "b", "0", nil); !errors.Is(err, store.ErrExists) {
		t.Errorf("an entry that exists: %v, want %v", err, store.ErrExists)
	}
	for range 2 { // the second finds nothing and must not make room twice
		if err := m.Delete(ctx, "b", "0"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Create(ctx, "other", "a", nil); err != nil {
		t.Errorf("after a delete: %v", err)
	}
	if _, err := m.Create(ctx, "other", "b", nil); !errors.Is(err, store.ErrFull) {
		t.Errorf("a fourth entry again: %v, want %v", err, store.ErrFull)
	}
}
