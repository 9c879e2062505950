package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/store/storetest"
)

func TestMeasuredIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s, err := store.Measured(store.NewMap(1000), time.Now, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestMeasured(t *testing.T) {
	broken := errors.New("no disk")
	ctx := context.Background()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	tests := []struct {
		name   string
		do     func(s store.Store)
		op     string
		calls  uint64
		errors float64
	}{
		{"a write", func(s store.Store) { _, _ = s.Create(ctx, "b", "k", nil) }, "create", 1, 0},
		{"a store that is full", func(s store.Store) { _, _ = s.Create(ctx, "b", "k", nil); _, _ = s.Create(ctx, "b", "l", nil) }, "create", 2, 1},
		{"nothing there", func(s store.Store) { _, _ = s.Get(ctx, "b", "k") }, "get", 1, 0},
		{"changed meanwhile", func(s store.Store) { _, _ = s.Update(ctx, "b", "k", nil, 7) }, "update", 1, 0},
		{"a caller who has gone", func(s store.Store) { _ = s.Delete(gone, "b", "k") }, "delete", 1, 0},
		{"an error of the caller's", func(s store.Store) {
			_, _ = s.Create(ctx, "b", "k", nil)
			_ = s.Each(ctx, "b", func(store.Entry) error { return broken })
		}, "each", 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			s, err := store.Measured(store.NewMap(1), time.Now, registry)
			if err != nil {
				t.Fatal(err)
			}
			tt.do(s)
			if calls, failed := measuredBy(t, registry, tt.op); calls != tt.calls || failed != tt.errors {
				t.Errorf("%d calls, %v errors, want %d and %v", calls, failed, tt.calls, tt.errors)
			}
		})
	}
}

func measuredBy(t *testing.T, g prometheus.Gatherer, operation string) (calls uint64, failed float64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	is := func(m *dto.Metric) bool { return m.GetLabel()[0].GetValue() == operation }
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if is(m) && f.GetName() == "bedside_store_seconds" {
				calls = m.GetHistogram().GetSampleCount()
			} else if is(m) {
				failed = m.GetCounter().GetValue()
			}
		}
	}
	return calls, failed
}
