// Package turn is the relay (TURN, RFC 8656) through which clients reach the media server where their
// network lets nothing else out. It reaches nobody but that server.
//
//	datagram of the shared port ─► Relay.datagram ┐
//	TCP, TLS ─► stream.run ───────────────────────┴► ChannelData ─► allocation.toPeer ─► Line.Send
//	                                                 └ request ─► authenticate ─► Relay.allocate, refresh, …
//	Line ─► allocation.fromPeer ─► ChannelData or Data indication ─► client
//
// In the server's process a Line is a path of sfu/port: no socket, no port of its own, no goroutine. What
// a client sends is delivered on the goroutine that read it, and what the media server sends to the
// relayed address goes straight to the client's socket.
//
// Locks: allocation.mu, stranger.mu and Credentials.mu are leaves; an allocation's may be taken while
// Relay.mu is held. None is held while anything is sent or closed.
package turn

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/turn/policy"
)

const (
	// The lifetimes of RFC 8656 sections 3.2, 9 and 12.
	allocationLife = 10 * time.Minute
	permissionLife = 5 * time.Minute
	channelLife    = 10 * time.Minute
	// sweepEvery is how long what has expired may still be held; nothing passes in the meantime.
	sweepEvery = 5 * time.Second
	realmBytes = 127
)

// Host is where allocations have their other end.
type Host interface {
	// Open makes a relayed address, whose port is even. What a peer sends there is given to receive, with its index among
	// the relay's peers: any goroutine may call it, and once more while the Line is closed. b is valid
	// until it returns; false tells that the client cannot take it now.
	Open(ipv6 bool, receive func(b []byte, peer int) bool) (Line, error)
}

// Line is one relayed address. Calls must not wait.
type Line interface {
	Address() netip.AddrPort
	// Send sends b to a peer from the relayed address. It may change b until it returns.
	Send(b []byte, peer int)
	Close()
}

// Authority knows who may use a relay.
type Authority interface {
	// Find looks a user name up; false tells that it is nobody's.
	Find(now time.Time, username string) (Grant, bool)
}

// Grant is what a user name is good for.
type Grant struct {
	Owner     string   // whom allocations count for beside the name itself
	Passwords []string // any of them proves it
	Fresh     bool     // it may make allocations, not only keep those that it has
}

// Options of a Relay. All are required but Metrics.
type Options struct {
	Realm     string
	Peers     policy.Peers
	Host      Host
	Authority Authority
	Limits    Limits
	Clock     func() time.Time
	Rand      io.Reader             // cryptographic
	Metrics   prometheus.Registerer // nil: none
}

// Limits bound what clients can make the relay keep and carry.
type Limits struct {
	policy.Limits
	Bitrate     int // of one allocation in either direction, bit/s
	Connections int // TCP and TLS at once
}

// Relay is a TURN server.
type Relay struct {
	o        Options
	stats    stats
	nonces   nonces
	stranger stranger
	done     chan struct{}
	running  sync.WaitGroup

	mu          sync.RWMutex
	closed      bool
	allocations map[netip.AddrPort]*allocation // by the client's address; bounded by the quota
	quota       *policy.Quota
	open        map[io.Closer]bool // listeners and streams, to be closed; <= Limits.Connections, and some
}

// stranger is who has not shown a password.
type stranger struct {
	mu      sync.Mutex
	answers *policy.Answers
}

// New starts a relay that nothing comes to yet: see ServePort and Serve.
func New(o Options) (*Relay, error) {
	if o.Realm == "" || len(o.Realm) > realmBytes {
		return nil, errors.New("turn: a relay needs a realm, of 127 bytes at most")
	}
	seed := maphash.MakeSeed()
	r := &Relay{
		o: o, stats: newStats(), done: make(chan struct{}),
		allocations: map[netip.AddrPort]*allocation{}, quota: policy.NewQuota(o.Limits.Limits), open: map[io.Closer]bool{},
		stranger: stranger{answers: policy.NewAnswers(func(p netip.Prefix) uint64 { return maphash.Comparable(seed, p) })},
	}
	if _, err := io.ReadFull(o.Rand, r.nonces.key[:]); err != nil {
		return nil, fmt.Errorf("turn: random numbers: %w", err)
	}
	if err := r.stats.register(o.Metrics, r); err != nil {
		return nil, fmt.Errorf("turn: metrics: %w", err)
	}
	r.running.Go(r.runSweep)
	return r, nil
}

// Close ends all allocations and connections, and waits for the goroutines.
func (r *Relay) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	close(r.done)
	open := slices.Collect(maps.Keys(r.open))
	r.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
	r.removeIf(func(*allocation) bool { return true })
	r.running.Wait()
	return nil
}

// Forget ends the allocations of an owner.
func (r *Relay) Forget(owner string) {
	r.removeIf(func(a *allocation) bool { return a.holder.Owner == owner })
}

// runSweep ends what has expired.
func (r *Relay) runSweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-tick.C:
			now := r.o.Clock()
			r.removeIf(func(a *allocation) bool { return a.expired(now) })
		}
	}
}

// find returns the allocation of a client; nil if it has none.
func (r *Relay) find(at netip.AddrPort) *allocation {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.allocations[at]
}

// add makes a new allocation known and counts it.
func (r *Relay) add(a *allocation) policy.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.allocations[a.client.address()] != nil {
		return policy.Full
	}
	v := r.quota.Take(a.holder)
	if v == policy.Granted {
		r.allocations[a.client.address()] = a
	}
	return v
}

// remove ends one allocation; it may have ended already.
func (r *Relay) remove(a *allocation) {
	r.removeIf(func(other *allocation) bool { return other == a })
}

// removeIf ends allocations.
func (r *Relay) removeIf(ends func(*allocation) bool) {
	var ended []*allocation
	r.mu.Lock()
	for at, a := range r.allocations {
		if ends(a) {
			ended = append(ended, a)
			delete(r.allocations, at)
			r.quota.Return(a.holder)
		}
	}
	r.mu.Unlock()
	for _, a := range ended {
		a.end()
	}
}

// total is how many allocations there are.
func (r *Relay) total() float64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return float64(r.quota.Total())
}

// mayAnswer tells whether somebody who has shown no password may be answered.
func (r *Relay) mayAnswer(now time.Time, c client) bool {
	if c.proven() {
		return true
	}
	r.stranger.mu.Lock()
	defer r.stranger.mu.Unlock()
	return r.stranger.answers.Allow(now, c.address().Addr())
}

// hold keeps something that Close is to close; false tells that there are too many, or that it is too
// late.
func (r *Relay) hold(c io.Closer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.open) >= r.o.Limits.Connections {
		return false
	}
	r.open[c] = true
	return true
}

func (r *Relay) release(c io.Closer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
}

// The zones of Serve.
const (
	ZoneTCP = "/turn"
	ZoneTLS = "/turns" // the listener's connections are encrypted already
)

// Serve takes connections of clients until the listener or the relay is closed. zone tells this
// listener's clients from others with the same address: see port.Virtual.
func (r *Relay) Serve(l net.Listener, zone string) error {
	if !r.hold(l) {
		_ = l.Close()
		return net.ErrClosed
	}
	defer r.release(l)
	var streams sync.WaitGroup
	defer streams.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			select {
			case <-r.done:
				return nil
			default:
			}
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("turn: accept: %w", err)
		}
		s, err := newStream(r, conn, zone)
		if err != nil || !r.hold(s) {
			_ = conn.Close()
			continue
		}
		streams.Go(s.run)
	}
}
