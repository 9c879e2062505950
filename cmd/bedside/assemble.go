package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/port"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/web"
	"github.com/bedside-video/bedside/turn"
)

const (
	// A request has 5 s for its header and 15 s for its body, which has 64 KiB at most.
	headerTimeout  = 5 * time.Second
	requestTimeout = 15 * time.Second
	answerTimeout  = 30 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 16 << 10
	// closeTimeout bounds stopping after clients have had drain_timeout to hear of it. Whoever stops
	// the service waits no longer than for both.
	closeTimeout = 10 * time.Second
	// storeEntries bounds the map that holds a demo's consultations and invitations.
	storeEntries = 100_000
	// auditRecords is how many records a demo remembers; a server keeps all, on disk.
	auditRecords = 10_000
)

// deps are what a server is made of that it cannot make itself. It owns the sockets; what outlives it
// is its caller's.
type deps struct {
	world
	sockets   sockets
	metrics   net.Listener // nil: nobody collects them
	tls       *tls.Config
	advertise []netip.AddrPort
	log       *slog.Logger
	registry  *prometheus.Registry
	store     store.Store
	audit     signaling.Audit
	recording signaling.Deps // what it says of recording
	ready     func() error   // of what it is given; nil: always
}

// server is everything that runs, wired.
type server struct {
	log       *slog.Logger
	drain     time.Duration
	port      *port.Port
	tcp       *port.TCP
	relay     *turn.Relay // nil: none
	ice       *port.ICETCP
	sfu       *sfu.Server
	signaling *signaling.Server
	http      *http.Server
	metrics   *http.Server
	wg        sync.WaitGroup
	failed    chan error    // of each of them that serves connections; nobody waits to write into it
	outside   *turn.Outside // of a relay of its own
}

// servers are those that may fail: pages, metrics, and the relay over TCP and TLS.
const servers = 4

// assemble wires a server and starts it: from socket to media plane to signaling to HTTP. When it
// fails, what it has started is stopped again and the sockets are closed.
func assemble(cfg config.Config, d deps) (_ *server, err error) {
	s := &server{log: d.log, drain: cfg.DrainTimeout, failed: make(chan error, servers)}
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

	if s.port, err = port.New(d.sockets.udp[0], port.Options{
		NoGSO: cfg.Media.GSO == config.GSOOff, More: d.sockets.udp[1:], Metrics: registry,
	}); err != nil {
		return nil, err
	}
	if s.sfu, err = sfu.New(cfg.SFU, sfu.Deps{
		Port: s.port, Advertise: d.advertise, AdvertiseTCP: onTCP(d.advertise), Clock: d.clock, Rand: d.rand, Log: d.log, Metrics: registry,
	}); err != nil {
		return nil, err
	}
	// The portals that may open sessions are those that may show our pages in a frame.
	site, err := web.New(web.Options{FrameAncestors: cfg.Signaling.Origins})
	if err != nil {
		return nil, err
	}
	kept, err := store.Measured(d.store, d.clock, registry)
	if err != nil {
		return nil, err
	}
	relay, err := s.openRelay(cfg, d, registry)
	if err != nil {
		return nil, err
	}
	if s.signaling, err = signaling.New(cfg.Signaling, signaling.Deps{
		Relay: relay, Recorder: d.recording.Recorder, Recordings: d.recording.Recordings, Notice: d.recording.Notice,
		Media: signaling.SFU(s.sfu), Store: kept, Audit: d.audit, Unaudited: cfg.Audit.OnFailure == config.AuditAllow,
		Clock: d.clock, Rand: d.rand, Log: d.log, Metrics: registry, Ready: d.ready, Routes: site.Register, PublicURL: cfg.PublicURL,
	}); err != nil {
		return nil, err
	}
	s.http = httpServer(crashing(d.log, s.signaling.Handler()))
	if s.tcp, err = shareTCP(cfg, d); err != nil {
		return nil, err
	}
	s.ice = s.port.ServeICE(s.tcp.ICE())
	s.serveRelay()
	pages := s.tcp.HTTP()
	s.tcp.Start()
	s.wg.Go(func() { s.runHTTP(s.http, pages) })
	if d.metrics != nil {
		s.metrics = httpServer(metricsHandler(registry))
		s.wg.Go(func() { s.runHTTP(s.metrics, d.metrics) })
	}
	return s, nil
}

// shareTCP puts the TCP half of the port together: first whom a connection comes from, then whether that is
// one too many, then what it speaks.
func shareTCP(cfg config.Config, d deps) (*port.TCP, error) {
	networks := make([]netip.Prefix, len(cfg.ProxyProtocol))
	for i, n := range cfg.ProxyProtocol {
		networks[i] = netip.MustParsePrefix(n) // Validate has seen them
	}
	named, err := port.ProxyTCP(d.sockets.tcp, networks, d.registry)
	if err != nil {
		return nil, err
	}
	capped, err := port.CapTCP(named, cfg.Signaling.Limits.ConnectionsPerIP, d.registry)
	if err != nil {
		_ = named.Close()
		return nil, err
	}
	tcp, err := port.ShareTCP(capped, port.TCPOptions{TLS: d.tls, Metrics: d.registry})
	if err != nil {
		_ = named.Close()
	}
	return tcp, err
}

func httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// What net/http has to say are the mistakes of strangers, with their addresses.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// crashing ends the process when a handler panics. net/http would recover and go on with whatever
// state the panic left; a restart takes less than a second, and sessions survive it.
func crashing(l *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { // as net/http compares it
				panic(p)
			}
			l.Error("panic in a handler", "stack", string(debug.Stack()))
			go runPanic(p)
			select {} // what the handler holds is not to be released
		}()
		next.ServeHTTP(w, r)
	})
}

// runPanic panics where nobody recovers.
func runPanic(p any) { panic(p) }

func (s *server) runHTTP(h *http.Server, l net.Listener) {
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("serve HTTP: %w", err)
	}
}

// wait returns when ctx ends, with nil, or when the server cannot go on.
func (s *server) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// stop ends what runs, in the order in which people notice least: nobody new comes in, those who are
// there are told, then media ends. It returns closeTimeout after draining at the latest.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.drain+closeTimeout)
	defer cancel()
	done := make(chan struct{})
	go s.runStop(ctx, done)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("not everything had stopped after %v", s.drain+closeTimeout)
	}
}

func (s *server) runStop(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	s.close(ctx)
}

// close stops what has been started of the server, be it all or only some of it.
func (s *server) close(ctx context.Context) {
	if s.signaling != nil {
		drain, cancel := context.WithTimeout(ctx, s.drain)
		s.report("drain", s.signaling.Drain(drain))
		cancel()
	}
	if s.http != nil {
		s.report("stop HTTP", s.http.Shutdown(ctx))
	}
	if s.metrics != nil {
		s.report("stop metrics", s.metrics.Shutdown(ctx))
	}
	if s.signaling != nil {
		s.report("close signaling", s.signaling.Close())
	}
	if s.sfu != nil {
		s.report("close media", s.sfu.Close())
	}
	if s.ice != nil {
		s.report("close ICE-TCP", s.ice.Close())
	}
	if s.relay != nil {
		s.report("close relay", s.relay.Close())
	}
	if s.outside != nil {
		s.outside.Wait()
	}
	if s.tcp != nil {
		s.report("close TCP", s.tcp.Close())
	}
	if s.port != nil {
		s.report("close port", s.port.Close())
	}
	s.wg.Wait()
}

func (s *server) report(what string, err error) {
	if err != nil {
		s.log.Warn(what, "error", err)
	}
}
