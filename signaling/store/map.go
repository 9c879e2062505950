package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Map is a Store in memory, for demonstrations and simulations: it forgets everything when the
// process ends.
type Map struct {
	mu       sync.Mutex
	limit    int
	count    int
	revision uint64
	buckets  map[Bucket]map[string]Entry
}

// NewMap returns a store of at most limit entries in all buckets together; more are ErrFull.
func NewMap(limit int) *Map {
	return &Map{limit: limit, buckets: make(map[Bucket]map[string]Entry)}
}

// Get implements Store.
func (m *Map) Get(ctx context.Context, b Bucket, key string) (Entry, error) {
	if err := check(ctx, b, key, nil); err != nil {
		return Entry{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.buckets[b][key]
	if !ok {
		return Entry{}, fmt.Errorf("store: get from %s: %w", b, ErrNotFound)
	}
	return e.clone(), nil
}

// Create implements Store.
func (m *Map) Create(ctx context.Context, b Bucket, key string, value []byte) (uint64, error) {
	if err := check(ctx, b, key, value); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.buckets[b][key]; ok {
		return 0, fmt.Errorf("store: create in %s: %w", b, ErrExists)
	}
	if m.count >= m.limit {
		return 0, fmt.Errorf("store: create in %s: %w", b, ErrFull)
	}
	m.count++
	return m.put(b, key, value), nil
}

// Update implements Store.
func (m *Map) Update(ctx context.Context, b Bucket, key string, value []byte, revision uint64) (uint64, error) {
	if err := check(ctx, b, key, value); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.buckets[b][key]; !ok || e.Revision != revision {
		return 0, fmt.Errorf("store: update in %s: %w", b, ErrConflict)
	}
	return m.put(b, key, value), nil
}

// Delete implements Store.
func (m *Map) Delete(ctx context.Context, b Bucket, key string) error {
	if err := check(ctx, b, key, nil); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.buckets[b][key]; ok {
		delete(m.buckets[b], key)
		m.count--
	}
	return nil
}

// Each implements Store.
func (m *Map) Each(ctx context.Context, b Bucket, f func(Entry) error) error {
	if err := check(ctx, b, string(b), nil); err != nil {
		return err
	}
	m.mu.Lock()
	keys := slices.Sorted(maps.Keys(m.buckets[b]))
	m.mu.Unlock()
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.mu.Lock()
		e, ok := m.buckets[b][key]
		m.mu.Unlock()
		if !ok {
			continue // deleted meanwhile
		}
		if err := f(e.clone()); err != nil {
			return err
		}
	}
	return nil
}

// put stores the value under a new revision. The caller holds mu.
func (m *Map) put(b Bucket, key string, value []byte) uint64 {
	if m.buckets[b] == nil {
		m.buckets[b] = make(map[string]Entry)
	}
	m.revision++
	m.buckets[b][key] = Entry{Key: key, Value: value, Revision: m.revision}.clone()
	return m.revision
}

func (e Entry) clone() Entry {
	e.Value = bytes.Clone(e.Value)
	return e
}

// check is what every method refuses before it looks anything up.
func check(ctx context.Context, b Bucket, key string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if CheckKey(string(b)) != nil || CheckKey(key) != nil {
		return fmt.Errorf("store: %w", ErrBadKey)
	}
	if len(value) > MaxValueBytes {
		return fmt.Errorf("store: %w", ErrTooLarge)
	}
	return nil
}
