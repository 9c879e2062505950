package pace

import (
	"slices"
	"time"
)

// queue is first in, first out. It is bounded by who puts into it.
type queue[T any] struct {
	items []item[T]
	taken int // of items
}

// item is a packet that waits.
type item[T any] struct {
	packet T
	size   int
	since  time.Time
}

func (q *queue[T]) put(x item[T]) {
	if q.taken > len(q.items)/2 {
		q.items, q.taken = slices.Delete(q.items, 0, q.taken), 0
	}
	q.items = append(q.items, x)
}

// first is the one that leaves next; nil if there is none.
func (q *queue[T]) first() *item[T] {
	if q.taken == len(q.items) {
		return nil
	}
	return &q.items[q.taken]
}

// take takes the first. An empty queue holds no memory: few are ever needed, and those for moments.
func (q *queue[T]) take() T {
	x := &q.items[q.taken]
	packet := x.packet
	*x = item[T]{}
	if q.taken++; q.taken == len(q.items) {
		*q = queue[T]{}
	}
	return packet
}

func (q *queue[T]) holds(match func(*T) bool) bool {
	return slices.ContainsFunc(q.items[q.taken:], func(x item[T]) bool { return match(&x.packet) })
}

// drop forgets the packets that match, and returns how many bytes they were.
func (q *queue[T]) drop(match func(*T) bool) (bytes int) {
	q.items = slices.DeleteFunc(slices.Delete(q.items, 0, q.taken), func(x item[T]) bool {
		if !match(&x.packet) {
			return false
		}
		bytes += x.size
		return true
	})
	q.taken = 0
	return bytes
}
