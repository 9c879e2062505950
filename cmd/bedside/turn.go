package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu/port"
	"github.com/bedside-video/bedside/turn"
	"github.com/bedside-video/bedside/turn/policy"
)

func turnCommand(w world) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "turn",
		Short: "Relay to a media server elsewhere, and to nothing else",
		Long: "Relay (TURN over UDP, TCP and TLS) to the media addresses turn.peers and to nothing else, for a network\n" +
			"that the server is not in. turn.secret is the server's, which names this relay in its turn.urls.\n\n" +
			"SIGTERM and Ctrl+C end it. SIGHUP: read the certificate again.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := readRelayConfig(file, os.Environ())
			if err != nil {
				return err
			}
			s := service{world: w, cfg: cfg, log: logger(cfg.Log, w.errs), notify: notifier(os.Getenv("NOTIFY_SOCKET"))}
			if cfg.TLS.CertFile != "" {
				if s.certificate, err = loadCertificate(cfg.TLS, w.clock, s.log); err != nil {
					return err
				}
			}
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			return does(func(ctx context.Context) error { return s.runRelay(ctx, hangup) })(c, nil)
		},
	}
	c.Flags().StringVar(&file, "config", "", "the configuration file (without one, BEDSIDE_… variables and defaults hold)")
	return c
}

func readRelayConfig(file string, environ []string) (config.Config, error) {
	var document []byte
	if file != "" {
		var err error
		if document, err = os.ReadFile(file); err != nil {
			return config.Config{}, fmt.Errorf("read the configuration: %w", err)
		}
	}
	return config.LoadRelay(document, environ)
}

// runRelay relays until ctx ends or something cannot go on.
func (s *service) runRelay(ctx context.Context, hangup <-chan os.Signal) error {
	registry := prometheus.NewRegistry()
	d, err := s.deps(registry)
	if err != nil {
		return err
	}
	running, err := assembleRelay(s.cfg, d)
	if err != nil {
		return err
	}
	if s.certificate != nil {
		registry.MustRegister(s.certificate.metric())
		reloading, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { s.certificate.runReload(reloading, hangup) })
		defer wg.Wait()
		defer cancel()
	}
	s.log.Info("relaying", "listen", d.sockets.addrPort().String(), "tls", s.certificate != nil, "peers", s.cfg.TURN.Peers,
		"version", thisBuild().Version)
	s.tell(notifyReady)
	err = running.wait(ctx)
	s.tell(notifyStopping)
	return errors.Join(err, running.stop())
}

// assembleRelay wires a relay of its own and starts it; when it fails, the sockets are closed.
func assembleRelay(cfg config.Config, d deps) (_ *server, err error) {
	s := &server{log: d.log, failed: make(chan error, servers)}
	defer func() {
		if err != nil {
			s.close(context.Background())
			d.sockets.close()
			if d.metrics != nil {
				_ = d.metrics.Close()
			}
		}
	}()
	registry := d.registry
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), thisBuild().metric())
	peers, own, err := relayPeers(cfg, d)
	if err != nil {
		return nil, err
	}
	secrets, err := relaySecrets(cfg.TURN, d.rand)
	if err != nil {
		return nil, err
	}
	if s.port, err = port.New(d.sockets.udp[0], port.Options{
		NoGSO: cfg.Media.GSO == config.GSOOff, More: d.sockets.udp[1:], Metrics: registry,
	}); err != nil {
		return nil, err
	}
	s.outside = turn.NewOutside(peers, own)
	if s.relay, err = turn.New(turn.Options{
		Realm: relayRealm(cfg), Peers: peers, Host: s.outside, Authority: turn.NewShared(secrets),
		Limits: relayLimits(cfg.TURN), Clock: d.clock, Rand: d.rand, Metrics: registry,
	}); err != nil {
		return nil, err
	}
	s.relay.ServePort(s.port)
	if s.tcp, err = shareTCP(cfg, d); err != nil {
		return nil, err
	}
	s.serveRelay()
	s.tcp.Start()
	if d.metrics != nil {
		s.metrics = httpServer(metricsHandler(registry))
		s.wg.Go(func() { s.runHTTP(s.metrics, d.metrics) })
	}
	return s, nil
}

// relayPeers returns the peers of a relay of its own, and the addresses of this machine as they see it:
// those that are configured, or what the system would send to them from.
func relayPeers(cfg config.Config, d deps) (policy.Peers, []netip.Addr, error) {
	var at []netip.AddrPort
	for _, p := range cfg.TURN.Peers {
		at = append(at, netip.MustParseAddrPort(p)) // LoadRelay has seen them
	}
	peers, err := policy.NewPeers(unique(at))
	if err != nil {
		return peers, nil, fmt.Errorf("turn.peers: %w", err)
	}
	var own []netip.Addr
	for _, p := range at {
		if a, err := sourceTowards(p); err == nil {
			own = append(own, a)
		}
	}
	advertised := justAddresses(configuredAddresses(cfg.Media, d.sockets.addrPort().Port()))
	if own = append(advertised, own...); len(own) == 0 {
		return peers, nil, errors.New("turn.peers: there is no route to any of them")
	}
	return peers, own, nil
}

// sourceTowards returns the address that the system would send to a peer from. It sends nothing.
func sourceTowards(peer netip.AddrPort) (netip.Addr, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(peer))
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
