package sim

import (
	"crypto/rand"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/wire"
	"github.com/bedside-video/bedside/turn"
	"github.com/bedside-video/bedside/turn/policy"
)

// relay names the server's relay to sessions, like the command's.
type relay struct {
	credentials *turn.Credentials
	relay       *turn.Relay
	urls        []string
}

// startRelay makes a relay if the plan has people who use it. Others are not told of it, so that their
// runs are what they have been.
func (w *World) startRelay() (signaling.Relay, error) {
	if !slices.ContainsFunc(w.plan.People, func(p Person) bool { return p.Relay != bench.NoRelay }) {
		return nil, nil
	}
	s := w.server
	secrets, err := policy.NewSecrets(make([]byte, policy.SecretBytes), nil)
	if err != nil {
		return nil, err
	}
	peers, err := policy.NewPeers([]netip.AddrPort{netip.AddrPortFrom(w.host.Addr(), mediaPort)})
	if err != nil {
		return nil, err
	}
	limits := config.Default().TURN
	r := &relay{
		credentials: turn.NewCredentials(secrets, time.Now, rand.Reader),
		urls:        []string{"turn:" + serverAddr + ":" + strconv.Itoa(mediaPort) + "?transport=udp"},
	}
	if r.relay, err = turn.New(turn.Options{
		Realm: serverAddr, Peers: peers, Host: turn.NewInside(s.port, peers, rand.Reader), Authority: r.credentials,
		Limits: turn.Limits{
			Limits:  policy.Limits{PerCredential: 4, PerOwner: 12, PerSource: limits.AllocationsPerIP, Total: limits.Allocations},
			Bitrate: limits.Kbits * 1000, Connections: limits.Connections,
		},
		Clock: time.Now, Rand: rand.Reader, Metrics: s.metrics,
	}); err != nil {
		return nil, err
	}
	r.relay.ServePort(s.port)
	s.relay = r.relay
	return r, nil
}

// CloseRelay ends the relay and all that goes through it, as if it had been killed.
func (w *World) CloseRelay() error { return w.server.relay.Close() }

// Servers implements signaling.Relay.
func (r *relay) Servers(session string) ([]wire.ICEServer, error) {
	c, err := r.credentials.Issue(session)
	if err != nil {
		return nil, err
	}
	return []wire.ICEServer{{URLs: r.urls, Username: c.Username, Credential: c.Password}}, nil
}

// End implements signaling.Relay.
func (r *relay) End(session string) {
	r.credentials.End(session)
	r.relay.Forget(session)
}
