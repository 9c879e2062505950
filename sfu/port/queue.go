package port

import (
	"net"
	"sync"
	"time"
)

// queueWrite bounds how long one write may take: a peer that takes nothing for so long is gone.
const queueWrite = 10 * time.Second

// Queue is what waits to be written to one connection that may be slow, so that nobody else waits for
// it. When it is full, the newest is dropped: what waits is older, and a stream keeps its order.
type Queue struct {
	conn net.Conn
	most int
	wake chan struct{} // capacity 1: something waits, or closed

	separate bool

	mu      sync.Mutex
	closed  bool
	waiting batchOfRecords
}

// batchOfRecords is what waits.
type batchOfRecords struct {
	bytes []byte // <= most
	ends  []int  // of each record, if they are written separately
}

// Separately makes the queue write each record with a call of its own, which TLS makes a record of: there
// are clients that take one for the other (coturn's own). It must be called before Run.
func (q *Queue) Separately() *Queue {
	q.separate = true
	return q
}

// NewQueue makes a queue of so many bytes. Whoever makes it calls Run on a goroutine of theirs.
func NewQueue(conn net.Conn, most int) *Queue {
	return &Queue{conn: conn, most: most, wake: make(chan struct{}, 1)}
}

// Put has parts written, one behind the other and nothing in between; it copies them and waits for
// nothing. False tells that there is no room for all of them, or that the queue is closed: then nothing
// of them is written.
func (q *Queue) Put(parts ...[]byte) bool {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	q.mu.Lock()
	if q.closed || len(q.waiting.bytes)+size > q.most {
		q.mu.Unlock()
		return false
	}
	w := &q.waiting
	wake := len(w.bytes) == 0
	for _, p := range parts {
		w.bytes = append(w.bytes, p...)
	}
	if q.separate {
		w.ends = append(w.ends, len(w.bytes))
	}
	q.mu.Unlock()
	if wake {
		q.prod()
	}
	return true
}

// Waiting is how many bytes wait.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting.bytes)
}

// Close ends Run, which writes nothing more.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.prod()
}

func (q *Queue) prod() {
	select {
	case q.wake <- struct{}{}:
	default: // Run has not noticed the last time yet, and takes everything then
	}
}

// Run writes what is put in, all that waits with one call unless it is to be Separately, until Close or an error of the connection,
// which it returns. The connection remains the caller's to close; closing it ends a write under way.
func (q *Queue) Run() error {
	defer q.Close()
	var b batchOfRecords
	for range q.wake {
		var ok bool
		if b, ok = q.take(b); !ok {
			return nil
		}
		if len(b.bytes) == 0 {
			continue
		}
		if err := q.conn.SetWriteDeadline(time.Now().Add(queueWrite)); err != nil {
			return err
		}
		if err := q.write(b); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) write(b batchOfRecords) error {
	if !q.separate {
		_, err := q.conn.Write(b.bytes)
		return err
	}
	begin := 0
	for _, end := range b.ends {
		if _, err := q.conn.Write(b.bytes[begin:end]); err != nil {
			return err
		}
		begin = end
	}
	return nil
}

// take exchanges an empty buffer for what waits; false tells that the queue is closed.
func (q *Queue) take(empty batchOfRecords) (batchOfRecords, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.waiting
	q.waiting = batchOfRecords{bytes: empty.bytes[:0], ends: empty.ends[:0]}
	return b, !q.closed
}
