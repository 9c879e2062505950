package audit_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bedside-video/bedside/signaling/audit"
)

func TestMemoryKeepsTheNewest(t *testing.T) {
	m := audit.NewMemory("n1", 10)
	for i := range 25 {
		if err := m.Append(t.Context(), event(i)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := m.Read(t.Context(), audit.Query{Limit: 4})
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, p, 19, 25, 15, 16, 17, 18)
	p, err = m.Read(t.Context(), audit.Query{After: p.Next, Consultation: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, p, 25, 25, 22)
	if p.Records[0].Event != event(22) || p.Records[0].Node != "n1" {
		t.Errorf("record %+v, want %+v", p.Records[0], event(22))
	}
	p, err = m.Read(t.Context(), audit.Query{After: 99, Tenant: "south"})
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, p, 25, 25)
}

func TestMemoryFails(t *testing.T) {
	m := audit.NewMemory("n1", 10)
	m.Fail(audit.ErrUnavailable)
	if err := m.Append(t.Context(), event(0)); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	m.Fail(nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Append(ended, event(0)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want Canceled", err)
	}
	if err := m.Append(t.Context(), event(0), event(1), audit.Event{}); !errors.Is(err, audit.ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
	if err := m.Append(t.Context(), make([]audit.Event, audit.MaxEvents+1)...); !errors.Is(err, audit.ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
	p, err := m.Read(t.Context(), audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, p, 0, 0)
}

// checkPage compares a page's bounds and the indexes of its records.
func checkPage(t *testing.T, p audit.Page, next, size uint64, indexes ...uint64) {
	t.Helper()
	if p.Next != next || p.Size != size {
		t.Errorf("next %d of %d, want %d of %d", p.Next, p.Size, next, size)
	}
	if len(p.Records) != len(indexes) {
		t.Fatalf("%d records, want %d", len(p.Records), len(indexes))
	}
	for i, r := range p.Records {
		if r.Index != indexes[i] {
			t.Errorf("record %d has index %d, want %d", i, r.Index, indexes[i])
		}
	}
}
