package signaling

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// sessions are the open sessions of a server, within their limits.
type sessions struct {
	limits  config.Limits
	metrics *metrics

	mu        sync.Mutex
	closing   bool
	open      []*session // in the order of arrival
	addresses map[netip.Prefix]int
	serving   sync.WaitGroup // one for each of open
}

func newSessions(limits config.Limits, m *metrics) *sessions {
	return &sessions{limits: limits, metrics: m, addresses: make(map[netip.Prefix]int)}
}

// enter counts a session in, or says why not. The caller calls leave.
func (l *sessions) enter(newcomer *session, remote string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	network := networkOf(remote)
	switch {
	case l.closing:
		return &consult.Error{Code: wire.CodeUnavailable, Detail: "the server is stopping"}
	case len(l.open) >= l.limits.Sessions:
		return &consult.Error{Code: wire.CodeUnavailable, Detail: "the server has as many sessions as it may"}
	case l.addresses[network] >= l.limits.SessionsPerIP:
		return &consult.Error{Code: wire.CodeRateLimited, Detail: "too many sessions from this address"}
	}
	l.open = append(l.open, newcomer)
	l.addresses[network]++
	l.serving.Add(1)
	l.metrics.sessions.Inc()
	return nil
}

func (l *sessions) leave(leaver *session, remote string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = slices.DeleteFunc(l.open, func(x *session) bool { return x == leaver })
	network := networkOf(remote)
	if l.addresses[network]--; l.addresses[network] == 0 {
		delete(l.addresses, network)
	}
	l.metrics.sessions.Dec()
	l.serving.Done()
}

// drain is Server.Drain.
func (l *sessions) drain(ctx context.Context) error {
	l.mu.Lock()
	l.closing = true
	l.metrics.draining.Set(1)
	open := slices.Clone(l.open)
	l.mu.Unlock()
	for _, s := range open {
		s.end(wire.EndedDraining)
	}
	gone := make(chan struct{})
	runWait := func() { l.serving.Wait(); close(gone) }
	go runWait() // ends with the last session; Server.Close waits for those
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// draining reports whether nobody new is let in.
func (l *sessions) draining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}
