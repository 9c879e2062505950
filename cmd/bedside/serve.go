package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/store/jetstream"
)

const (
	// spareEntries are for requests that pass the limit of consultations at the same moment.
	spareEntries = 1000
	// recordBytes is more than the record of the largest consultation.
	recordBytes = 64 << 10
	// leastBucketBytes is what even a store for one consultation gets.
	leastBucketBytes = 64 << 20
)

func serveCommand(w world) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve consultations as the configuration says, until told to stop",
		Long: "Serve consultations as the configuration says, until told to stop.\n\n" +
			"SIGTERM and Ctrl+C: no more joins, everybody is told, and the process ends after drain_timeout and\n" +
			"10 s at most; a second one ends it at once. SIGHUP: read the certificate again.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := readConfig(file, os.Environ())
			if err != nil {
				return err // exit code 2, and so is a certificate that cannot be read
			}
			s := service{world: w, cfg: cfg, log: logger(cfg.Log, w.errs), notify: notifier(os.Getenv("NOTIFY_SOCKET"))}
			if cfg.TLS.CertFile != "" {
				if s.certificate, err = loadCertificate(cfg.TLS, w.clock, s.log); err != nil {
					return err
				}
			}
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP) // also without a certificate: it would end the process
			defer signal.Stop(hangup)
			return does(func(ctx context.Context) error { return s.run(ctx, hangup) })(c, nil)
		},
	}
	c.Flags().StringVar(&file, "config", "", "the configuration file (without one, BEDSIDE_… variables and defaults hold)")
	return c
}

// service is one run of a server with what outlives it.
type service struct {
	world
	cfg         config.Config
	log         *slog.Logger
	notify      notifier
	certificate *certificate // nil: the issuer's, or plain HTTP on loopback
	issuer      *issuer      // nil: nobody outside is asked for a certificate

	data     *dataDir
	store    *jetstream.Store
	trail    trail
	tapes    recordings
	recorded bool // that the server has started
}

// run serves until ctx ends or something cannot go on.
func (s *service) run(ctx context.Context, hangup <-chan os.Signal) (err error) {
	registry := prometheus.NewRegistry()
	defer func() { err = errors.Join(err, s.close(err)) }()
	if err := s.open(ctx, registry); err != nil {
		return err
	}
	d, err := s.deps(registry)
	if err != nil {
		return err
	}
	running, err := assemble(s.cfg, d)
	if err != nil {
		return err
	}
	if s.issuer != nil {
		s.issuer.start()
		defer s.issuer.stop()
	}
	if s.certificate != nil {
		registry.MustRegister(s.certificate.metric())
		reloading, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { s.certificate.runReload(reloading, hangup) })
		defer wg.Wait()
		defer cancel()
	}
	s.announce(d)
	err = running.wait(ctx)
	s.log.Info("stopping", "drain_timeout", s.cfg.DrainTimeout)
	s.tell(notifyStopping)
	return errors.Join(err, running.stop())
}

// open opens what outlives the process, and writes down that the server starts: no record, no start,
// unless the configuration says otherwise.
func (s *service) open(ctx context.Context, metrics prometheus.Registerer) (err error) {
	if s.data, err = openDataDir(s.cfg.DataDir); err != nil {
		return err
	}
	if err := completeSecrets(&s.cfg.Signaling, s.data, s.rand); err != nil {
		return err
	}
	n := s.cfg.Signaling.Limits.Consultations
	if s.store, err = jetstream.Open(jetstream.Options{
		Dir: s.data.file(stateDir), Log: s.log,
		EntriesPerBucket: n + spareEntries, BytesPerBucket: max(leastBucketBytes, int64(n)*recordBytes),
	}); err != nil {
		return err
	}
	if s.tapes, err = openRecordings(s.cfg.Recording, s.data, s.world, s, metrics); err != nil {
		return err
	}
	var auditKey string
	s.trail, auditKey, err = openTrail(s.cfg, s.data, s.world, s.log, metrics)
	if err == nil {
		err = recordStart(ctx, s.trail, s.data, startedWith(s.cfg, auditKey), s.clock())
	}
	if s.recorded = err == nil; s.recorded {
		return nil
	}
	if s.cfg.Audit.OnFailure == config.AuditRefuse {
		return fmt.Errorf("audit: no start without a record of it (audit.on_failure is refuse): %w", err)
	}
	s.log.Error("the audit log is unavailable; going on because audit.on_failure is allow", "error", err)
	if s.trail == nil {
		s.trail = noTrail{err}
	}
	return nil
}

// close writes down that the server has stopped, and closes what has been opened.
func (s *service) close(cause error) error {
	var errs []error
	if s.recorded {
		outcome := audit.OutcomeOK
		if cause != nil {
			outcome = audit.OutcomeFailed
		}
		errs = append(errs, recordStop(s.trail, s.clock(), outcome))
	}
	errs = append(errs, s.tapes.close())
	if s.trail != nil {
		errs = append(errs, s.trail.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.data != nil {
		s.data.close()
	}
	return errors.Join(errs...)
}

// deps opens the sockets.
func (s *service) deps(registry *prometheus.Registry) (deps, error) {
	d := deps{world: s.world, log: s.log, registry: registry, store: s.store, audit: s.trail, ready: s.store.Ready, recording: s.tapes.deps}
	if s.certificate != nil {
		d.tls = s.certificate.config()
	} else if a := s.cfg.TLS.ACME; len(a.Domains) > 0 {
		s.issuer = newIssuer(a, s.data.file(acmeDir), s.log)
		d.tls = s.issuer.config()
	} else {
		d.tls = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNoCertificate }}
	}
	var err error
	if d.sockets, err = openSockets(s.cfg.Listen, "listen: :8444", s.cfg.Media.Readers); err != nil {
		return d, err
	}
	if d.advertise, err = advertise(s.cfg.Media, d.sockets); err == nil && s.cfg.MetricsListen != "" {
		if d.metrics, err = net.Listen("tcp", s.cfg.MetricsListen); err != nil {
			err = explainListen("the metrics' address "+s.cfg.MetricsListen, "metrics_listen: 127.0.0.1:0", err)
		}
	}
	if err != nil {
		d.sockets.close()
	}
	return d, err
}

var errNoCertificate = errors.New("no certificate is configured")

// announce says that people can come.
func (s *service) announce(d deps) {
	metrics := ""
	if d.metrics != nil {
		metrics = d.metrics.Addr().String()
	}
	s.log.Info("serving", "listen", d.sockets.addrPort().String(), "tls", s.certificate != nil || s.issuer != nil, "public_url", s.cfg.PublicURL,
		"media", d.advertise, "metrics", metrics, "data_dir", s.cfg.DataDir, "version", thisBuild().Version)
	s.tell(notifyReady)
}

func (s *service) tell(state string) {
	if err := s.notify.tell(state); err != nil {
		s.log.Warn("systemd", "error", err)
	}
}
