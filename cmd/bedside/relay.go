package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/wire"
	"github.com/bedside-video/bedside/turn"
	"github.com/bedside-video/bedside/turn/policy"
)

// relays are what the sessions of the server are told of, and let use.
type relays struct {
	credentials *turn.Credentials
	relay       *turn.Relay // nil: only others, of their own
	urls        []string
}

// openRelay makes the server's relay, unless the configuration wants none. Its only peers are the media
// plane's own addresses.
func (s *server) openRelay(cfg config.Config, d deps, metrics prometheus.Registerer) (signaling.Relay, error) {
	at := d.advertise
	if cfg.TURN.Relay == config.RelayOff && len(cfg.TURN.URLs) == 0 || len(at) == 0 {
		return nil, nil
	}
	secrets, err := relaySecrets(cfg.TURN, d.rand)
	if err != nil {
		return nil, err
	}
	r := &relays{credentials: turn.NewCredentials(secrets, d.clock, d.rand), urls: cfg.TURN.URLs}
	if cfg.TURN.Relay == config.RelayOff {
		return r, nil
	}
	peers, err := policy.NewPeers(unique(at))
	if err != nil {
		return nil, fmt.Errorf("turn: %w", err)
	}
	if r.relay, err = turn.New(turn.Options{
		Realm: relayRealm(cfg), Peers: peers, Host: turn.NewInside(s.port, peers, d.rand), Authority: r.credentials,
		Limits: relayLimits(cfg.TURN), Clock: d.clock, Rand: d.rand, Metrics: metrics,
	}); err != nil {
		return nil, err
	}
	s.relay = r.relay
	r.relay.ServePort(s.port)
	r.urls = append(ownURLs(cfg, at), cfg.TURN.URLs...)
	return r, nil
}

// serveRelay makes the relay serve what comes by TCP and TLS.
func (s *server) serveRelay() {
	if s.relay == nil {
		return
	}
	plain, encrypted := s.tcp.TURN(), s.tcp.TURNS()
	s.wg.Go(func() { s.runRelay(plain, turn.ZoneTCP) })
	s.wg.Go(func() { s.runRelay(encrypted, turn.ZoneTLS) })
}

func (s *server) runRelay(l net.Listener, zone string) {
	if err := s.relay.Serve(l, zone); err != nil && !errors.Is(err, net.ErrClosed) {
		s.failed <- err
	}
}

// Servers implements signaling.Relay.
func (r *relays) Servers(session string) ([]wire.ICEServer, error) {
	c, err := r.credentials.Issue(session)
	if err != nil {
		return nil, err
	}
	return []wire.ICEServer{{URLs: r.urls, Username: c.Username, Credential: c.Password}}, nil
}

// End implements signaling.Relay.
func (r *relays) End(session string) {
	r.credentials.End(session)
	if r.relay != nil {
		r.relay.Forget(session)
	}
}

// relaySecrets returns the configured ones, or one that dies with the process: so do its allocations.
func relaySecrets(c config.TURN, random io.Reader) (policy.Secrets, error) {
	current, err := c.Secret.Key(secretBytes)
	if err != nil {
		return policy.Secrets{}, fmt.Errorf("turn.secret: %w", err)
	}
	previous, err := c.PreviousSecret.Key(secretBytes)
	if err != nil {
		return policy.Secrets{}, fmt.Errorf("turn.previous_secret: %w", err)
	}
	if current == nil {
		current = make([]byte, secretBytes)
		if _, err := io.ReadFull(random, current); err != nil {
			return policy.Secrets{}, fmt.Errorf("turn: random numbers: %w", err)
		}
	}
	return policy.NewSecrets(current, previous)
}

// A browser makes up to three allocations for each interface, one for each URL; most have one.
const (
	allocationsPerCredential = 4
	allocationsPerSession    = 12
)

func relayLimits(c config.TURN) turn.Limits {
	return turn.Limits{
		Limits: policy.Limits{
			PerCredential: allocationsPerCredential, PerOwner: allocationsPerSession,
			PerSource: c.AllocationsPerIP, Total: c.Allocations,
		},
		Bitrate: c.Kbits * 1000, Connections: c.Connections,
	}
}

// relayRealm is what clients are asked a password for.
func relayRealm(cfg config.Config) string {
	if u, err := url.Parse(cfg.PublicURL); err == nil {
		return u.Hostname()
	}
	return "bedside"
}

// ownURLs are those of the server's relay. Media and relay have one port, and so it is the same outside.
// TLS is for those who can check the certificate; a demo's is nobody's. UDP is not among them: whoever
// reaches it reaches media directly, and Chromium, which takes whatever comes from the address of a TURN or
// STUN server for that server's, cannot do so any more once it is named (libwebrtc, UDPPort::OnReadPacket:
// with it everybody went by TCP, Chromium 156, 2026-11-22).
func ownURLs(cfg config.Config, at []netip.AddrPort) []string {
	host := cfg.TURN.Host
	if host == "" {
		host = relayRealm(cfg)
	}
	if isLoopbackHost(host) { // a demo: its links are for this machine, its relay for all
		host = at[0].Addr().String()
	}
	hostPort := net.JoinHostPort(host, strconv.Itoa(int(at[0].Port())))
	urls := []string{"turn:" + hostPort + "?transport=tcp"}
	if strings.HasPrefix(cfg.PublicURL, "https://") {
		urls = append(urls, "turns:"+hostPort+"?transport=tcp")
	}
	return urls
}

// unique returns the addresses without repetition, as many as a relay may have.
func unique(at []netip.AddrPort) []netip.AddrPort {
	var list []netip.AddrPort
	seen := map[netip.AddrPort]bool{}
	for _, a := range at {
		if !seen[a] && len(list) < policy.MaxPeers {
			list = append(list, a)
		}
		seen[a] = true
	}
	return list
}
