// Package store keeps small records in buckets: consultations, invitations. Running calls never
// depend on it; it is asked when a consultation is opened and told when one ends.
package store

import (
	"context"
	"errors"
)

// What callers branch on; returned errors wrap them.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrConflict = errors.New("changed meanwhile")         // Update with an old revision, or of what is gone
	ErrFull     = errors.New("full")                      // at the bound given to the constructor
	ErrBadKey   = errors.New("not a key")                 // see Key
	ErrTooLarge = errors.New("value is larger than 1 MB") // MaxValueBytes
	// ErrUnavailable: the disk does not answer or cannot be written. What was asked for may or may
	// not have happened.
	ErrUnavailable = errors.New("the store is unavailable")
)

const (
	// MaxKeyBytes bounds a key.
	MaxKeyBytes = 128
	// MaxValueBytes bounds a value; it is the default limit of a NATS message.
	MaxValueBytes = 1 << 20
)

// Bucket is a name space for keys. It follows the rules of keys.
type Bucket string

// Entry is one record. Its Revision is positive and grows with every change.
type Entry struct {
	Key      string
	Value    []byte // the caller's own copy
	Revision uint64
}

// Store is implemented by maps in memory and by embedded JetStream; storetest.Run is its
// specification. Every method may be called concurrently, returns the context's error once that is
// done, and copies the values it takes and returns.
type Store interface {
	// Get returns ErrNotFound for a key that does not exist.
	Get(ctx context.Context, b Bucket, key string) (Entry, error)
	// Create returns ErrExists for a key that exists. It returns the revision.
	Create(ctx context.Context, b Bucket, key string, value []byte) (uint64, error)
	// Update replaces the value if revision is still the entry's, else returns ErrConflict. It
	// returns the new revision.
	Update(ctx context.Context, b Bucket, key string, value []byte, revision uint64) (uint64, error)
	// Delete returns nil for a key that does not exist: it is gone either way.
	Delete(ctx context.Context, b Bucket, key string) error
	// Each calls f with every entry that exists throughout the call, in the order of keys, until f
	// returns an error, which it returns. f may call the store.
	Each(ctx context.Context, b Bucket, f func(Entry) error) error
}

// CheckKey returns ErrBadKey unless key is 1 to MaxKeyBytes of A-Z a-z 0-9 - _ = (what every
// implementation can take: JetStream splits keys at dots and slashes).
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKeyBytes {
		return ErrBadKey
	}
	for i := range len(key) {
		c := key[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '='
		if !ok {
			return ErrBadKey
		}
	}
	return nil
}
