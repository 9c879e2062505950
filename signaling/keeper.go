package signaling

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/bedside-video/bedside/signaling/consult"
)

// keeperPause is between two attempts to write what could not be written.
const keeperPause = time.Second

var errNotKept = errors.New("the store did not take it")

// keeper writes down where everybody of one consultation stands, so that a server that starts again
// can give people their places back. The room never waits for it; whoever asked for a change waits
// until it is kept before they are told that it is done. What comes while it writes is written
// together: only the latest counts.
type keeper struct {
	records records
	id      string
	log     *slog.Logger
	wake    chan struct{} // capacity 1: there is something to write

	revision uint64 // of what the store has; run's alone

	mu      sync.Mutex
	seats   []consult.Seat
	version uint64        // of seats
	tried   uint64        // the latest version that was attempted to be written
	kept    uint64        // the latest version that is written
	moved   chan struct{} // closed after each attempt, and replaced
}

func newKeeper(r records, id string, log *slog.Logger) *keeper {
	return &keeper{records: r, id: id, log: log, wake: make(chan struct{}, 1), moved: make(chan struct{})}
}

// note takes over where everybody stands now. It never waits.
func (k *keeper) note(seats []consult.Seat) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if reflect.DeepEqual(seats, k.seats) {
		return
	}
	k.seats = seats
	k.version++
	select {
	case k.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// wait returns when what has been noted so far is kept, could not be kept, or ctx is done.
func (k *keeper) wait(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	version := k.version
	for k.tried < version {
		moved := k.moved
		k.mu.Unlock()
		select {
		case <-moved:
			k.mu.Lock()
		case <-ctx.Done():
			k.mu.Lock()
			return ctx.Err()
		}
	}
	if k.kept < version {
		return errNotKept
	}
	return nil
}

// run writes until stop is closed, and then once more what is left.
func (k *keeper) run(stop <-chan struct{}) {
	for {
		select {
		case <-k.wake:
		case <-stop:
			k.write()
			return
		}
		for !k.write() {
			pause := time.NewTimer(keeperPause)
			select {
			case <-pause.C:
			case <-stop:
				pause.Stop()
				return // a server that starts again asks people to wait in the lobby
			}
		}
	}
}

// write writes the latest, and reports whether that worked.
func (k *keeper) write() bool {
	k.mu.Lock()
	seats, version, kept := k.seats, k.version, k.kept
	k.mu.Unlock()
	if version == kept {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	var err error
	k.revision, err = k.records.keepSeats(ctx, k.id, seats, k.revision)
	cancel()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tried = version; err == nil {
		k.kept = version
	} else {
		k.log.Error("places not kept", "error", err)
	}
	close(k.moved)
	k.moved = make(chan struct{})
	return err == nil
}
