package yardstick

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// tracksLimit bounds the tracks of all rooms.
const tracksLimit = 1 << 16

// ErrFull says that there are as many tracks as a server takes.
var ErrFull = errors.New("yardstick: too many tracks")

// Rooms holds what is published where. The zero value is empty.
type Rooms[T comparable] struct {
	mu      sync.Mutex
	rooms   map[string][]published[T] // in the order of Add
	total   int
	changed chan struct{} // closed and replaced by Add
}

type published[T comparable] struct {
	owner string
	track T
}

// Add publishes a track.
func (r *Rooms[T]) Add(room, owner string, track T) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.total == tracksLimit {
		return ErrFull
	}
	if r.rooms == nil {
		r.rooms = make(map[string][]published[T])
	}
	r.total++
	r.rooms[room] = append(r.rooms[room], published[T]{owner, track})
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	return nil
}

// Remove takes a track back.
func (r *Rooms[T]) Remove(room string, track T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.rooms[room], func(p published[T]) bool { return p.track == track })
	if i < 0 {
		return
	}
	r.total--
	r.rooms[room] = slices.Delete(r.rooms[room], i, i+1)
	if len(r.rooms[room]) == 0 {
		delete(r.rooms, room)
	}
}

// Others returns the tracks of everybody in a room but one. It waits until there are so many, or ctx
// ends.
func (r *Rooms[T]) Others(ctx context.Context, room, but string, tracks int) []T {
	for {
		r.mu.Lock()
		var out []T
		for _, p := range r.rooms[room] {
			if p.owner != but {
				out = append(out, p.track)
			}
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		if len(out) >= tracks {
			return out
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return out
		}
	}
}
