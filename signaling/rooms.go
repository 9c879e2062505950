package signaling

import (
	"context"
	"sync"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// rooms are the live consultations of a server. A room lives while somebody holds it, somebody is
// in it or somebody may come back to it.
type rooms struct {
	server  *Server
	mu      sync.Mutex
	closed  bool
	live    map[string]*room
	running sync.WaitGroup
}

// acquire returns the room of a consultation, open or being opened; the caller releases it. Being
// known here comes before reading the record: a revocation is written before it is told to the
// room, so either the room reads it or is told.
func (rs *rooms) acquire(ctx context.Context, id string) (*room, error) {
	for {
		rs.mu.Lock()
		if rs.closed {
			rs.mu.Unlock()
			return nil, &consult.Error{Code: wire.CodeUnavailable, Detail: "the server is stopping"}
		}
		r := rs.live[id]
		if r == nil {
			r = newRoom(rs, id)
			rs.live[id] = r
			rs.server.metrics.consultations.Inc()
			rs.running.Go(r.run)
		}
		if !r.retired {
			r.holders++
			rs.mu.Unlock()
			return r, nil
		}
		rs.mu.Unlock()
		select { // its media plane is being closed; the next one cannot be opened before
		case <-r.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lookup returns the room of a consultation if it is live, else nil; the caller releases it.
func (rs *rooms) lookup(id string) *room {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.live[id]
	if r == nil || r.retired {
		return nil
	}
	r.holders++
	return r
}

func (rs *rooms) release(r *room) {
	rs.mu.Lock()
	r.holders--
	rs.mu.Unlock()
	select {
	case r.released <- struct{}{}:
	default: // it will look anyway
	}
}

// retire reports whether nobody holds the room; nobody can any more, then.
func (rs *rooms) retire(r *room) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.retired = r.holders == 0
	return r.retired
}

func (rs *rooms) forget(r *room) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.live, r.id)
	rs.server.metrics.consultations.Dec()
}

// close waits for every room to end. Sessions hold rooms: they are ended before.
func (rs *rooms) close() {
	rs.mu.Lock()
	rs.closed = true
	for _, r := range rs.live {
		select {
		case r.released <- struct{}{}:
		default:
		}
	}
	rs.mu.Unlock()
	rs.running.Wait()
}

func (rs *rooms) stopping() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.closed
}
