package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// measured is a Store that tells how long it took and whether it worked.
type measured struct {
	Store
	clock  func() time.Time
	took   *prometheus.HistogramVec
	errors *prometheus.CounterVec
}

// Measured returns a store that counts the failures and the durations of s. What callers branch on
// is no failure, nor is a caller that goes away; a full store is one.
func Measured(s Store, clock func() time.Time, r prometheus.Registerer) (Store, error) {
	m := &measured{
		Store: s, clock: clock,
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bedside_store_seconds", Help: "Time until the store answered, by operation; a write is on the disk by then.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .025, .1, .5, 2},
		}, []string{"operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedside_store_errors_total", Help: "Operations that the store could not carry out, by operation.",
		}, []string{"operation"}),
	}
	for _, operation := range []string{"get", "create", "update", "delete", "each"} {
		m.took.WithLabelValues(operation)
		m.errors.WithLabelValues(operation)
	}
	for _, c := range []prometheus.Collector{m.took, m.errors} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("store: metrics: %w", err)
		}
	}
	return m, nil
}

// done records one operation that started at start.
func (m *measured) done(operation string, start time.Time, err error) {
	m.took.WithLabelValues(operation).Observe(m.clock().Sub(start).Seconds())
	for _, expected := range []error{nil, ErrNotFound, ErrExists, ErrConflict, ErrBadKey, ErrTooLarge, context.Canceled} {
		if errors.Is(err, expected) {
			return
		}
	}
	m.errors.WithLabelValues(operation).Inc()
}

// Get implements Store.
func (m *measured) Get(ctx context.Context, b Bucket, key string) (Entry, error) {
	start := m.clock()
	e, err := m.Store.Get(ctx, b, key)
	m.done("get", start, err)
	return e, err
}

// Create implements Store.
func (m *measured) Create(ctx context.Context, b Bucket, key string, value []byte) (uint64, error) {
	start := m.clock()
	revision, err := m.Store.Create(ctx, b, key, value)
	m.done("create", start, err)
	return revision, err
}

// Update implements Store.
func (m *measured) Update(ctx context.Context, b Bucket, key string, value []byte, revision uint64) (uint64, error) {
	start := m.clock()
	revision, err := m.Store.Update(ctx, b, key, value, revision)
	m.done("update", start, err)
	return revision, err
}

// Delete implements Store.
func (m *measured) Delete(ctx context.Context, b Bucket, key string) error {
	start := m.clock()
	err := m.Store.Delete(ctx, b, key)
	m.done("delete", start, err)
	return err
}

// Each implements Store. What f does counts into the time; an error of f is its caller's.
func (m *measured) Each(ctx context.Context, b Bucket, f func(Entry) error) error {
	start := m.clock()
	var own error
	err := m.Store.Each(ctx, b, func(e Entry) error { own = f(e); return own })
	if own != nil {
		m.done("each", start, nil)
		return err
	}
	m.done("each", start, err)
	return err
}
