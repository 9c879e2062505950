package audit

import (
	"context"
	"fmt"
	"sync"
)

// Memory is a log that forgets: for demonstrations, tests and simulations. It takes and returns
// what Log does.
type Memory struct {
	node string

	mu      sync.Mutex
	failure error    // what Append returns, see Fail
	size    uint64   // records ever appended
	ring    []Record // record i is at i % len(ring)
}

// NewMemory returns a log of the server named node that keeps the newest records, up to capacity.
func NewMemory(node string, capacity int) *Memory {
	return &Memory{node: node, ring: make([]Record, capacity)}
}

// Append adds the events, next to each other. When the log is full the oldest records go.
func (m *Memory) Append(ctx context.Context, events ...Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("audit: append: %w", err)
	}
	kept, err := checkAll(events)
	if err != nil {
		return fmt.Errorf("audit: append: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return fmt.Errorf("audit: append: %w", m.failure)
	}
	for _, e := range kept {
		m.ring[m.size%uint64(len(m.ring))] = Record{Index: m.size, Node: m.node, Event: e}
		m.size++
	}
	return nil
}

// Read returns the records that are still kept.
func (m *Memory) Read(ctx context.Context, q Query) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, fmt.Errorf("audit: read: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := Page{Next: min(q.After, m.size), Size: m.size}
	if kept := uint64(len(m.ring)); m.size > kept {
		p.Next = max(p.Next, m.size-kept)
	}
	for ; p.Next < m.size && len(p.Records) < q.limit(); p.Next++ {
		if r := m.ring[p.Next%uint64(len(m.ring))]; q.wants(&r) {
			p.Records = append(p.Records, r)
		}
	}
	return p, nil
}

// Fail makes every Append return err, for instance ErrUnavailable, until Fail(nil): so that tests
// see what happens then.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failure = err
}
