package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

// openTimeout bounds the demo's own request to its own server.
const openTimeout = 5 * time.Second

// demoOptions are the demo's flags.
type demoOptions struct {
	listen        string
	metricsListen string
	advertise     []string
	origins       []string
	logLevel      string
	record        bool
}

func demoCommand(w world) *cobra.Command {
	var o demoOptions
	defaults := config.Default()
	c := &cobra.Command{
		Use:   "demo",
		Short: "Start everything with no configuration and open one consultation",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg := o.config()
			if err := cfg.Validate(); err != nil {
				return err // bad usage: every value came from a flag
			}
			return does(func(ctx context.Context) error { return demo(ctx, w, cfg, o) })(c, nil)
		},
	}
	c.Flags().StringVar(&o.listen, "listen", defaults.Listen, "[host]:port for pages, API and media, TCP and UDP")
	c.Flags().StringVar(&o.metricsListen, "metrics-listen", defaults.MetricsListen, "host:port for /metrics")
	c.Flags().StringSliceVar(&o.advertise, "advertise", nil, "IP addresses at which others reach this machine (default: those that it finds)")
	c.Flags().StringSliceVar(&o.origins, "origin", nil, "origins of portals, such as https://portal.example, whose pages may embed the consultation")
	c.Flags().StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	c.Flags().BoolVar(&o.record, "record", false, "let the clinician record, to a key that goes with the recordings when the demo stops")
	return c
}

func (o demoOptions) config() config.Config {
	cfg := config.Default()
	cfg.Listen, cfg.MetricsListen, cfg.Media.Advertise, cfg.Log.Level = o.listen, o.metricsListen, o.advertise, o.logLevel
	cfg.Signaling.Origins = o.origins
	return cfg
}

// demo runs a server with a key and a certificate of its own until ctx ends.
func demo(ctx context.Context, w world, cfg config.Config, o demoOptions) (err error) {
	key, hash, err := newAPIKey(w.rand)
	if err != nil {
		return err
	}
	cfg.Signaling.APIKeys = []config.APIKey{{ID: "demo", Hash: hash, Tenant: "demo", Scopes: config.Scopes()}}
	opened, err := openSockets(cfg.Listen, "--listen :8444", cfg.Media.Readers)
	if err != nil {
		return err
	}
	at := opened.addrPort()
	cfg.PublicURL = publicURL(at)
	d := deps{world: w, sockets: opened, log: logger(cfg.Log, w.errs), registry: prometheus.NewRegistry(),
		store: store.NewMap(storeEntries), audit: audit.NewMemory("demo", auditRecords)}
	tapes, err := o.tape(w, d.log, d.registry)
	if err != nil {
		opened.close()
		return err
	}
	defer func() { err = errors.Join(err, tapes.close()) }()
	d.recording = tapes.deps
	if err := d.complete(cfg); err != nil {
		opened.close()
		return err
	}
	s, err := assemble(cfg, d)
	if err != nil {
		return err
	}
	shown := demoServer{at: at, addresses: justAddresses(d.advertise), metrics: d.metrics.Addr(), key: key, certificate: d.tls, tapes: tapes}
	if err := welcome(ctx, w, shown); err != nil {
		_ = s.stop()
		return err
	}
	err = s.wait(ctx)
	_, _ = fmt.Fprintln(w.out, "\nStopping.")
	if stopped := s.stop(); err == nil {
		err = stopped
	}
	return err
}

// complete finds out what a demo does not configure: this machine's addresses, and a certificate for
// them. It opens the listener of the metrics last, so that there is nothing to undo.
func (d *deps) complete(cfg config.Config) error {
	var err error
	if d.advertise, err = advertise(cfg.Media, d.sockets); err != nil {
		return err
	}
	if d.tls, err = selfSigned(d.clock(), d.rand, justAddresses(d.advertise)); err != nil {
		return err
	}
	if d.metrics, err = net.Listen("tcp", cfg.MetricsListen); err != nil {
		return explainListen("the metrics' address "+cfg.MetricsListen, "--metrics-listen 127.0.0.1:0", err)
	}
	return nil
}

// advertise returns where clients are told to send media to.
func advertise(c config.Media, s sockets) ([]netip.AddrPort, error) {
	port := s.addrPort().Port()
	if len(c.Advertise) == 0 {
		found, err := interfaceAddresses()
		if err != nil {
			return nil, fmt.Errorf("find this machine's addresses: %w", err)
		}
		return onPort(advertised(s.addrPort().Addr(), outboundAddress(), found), port), nil
	}
	return configuredAddresses(c, port), nil
}

func logger(c config.Log, to io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // Validate has seen it
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: level}))
}

// publicURL is what the first links start with: a page on this machine may use camera and microphone
// over plain HTTP, and only there (W3C Secure Contexts section 3.1).
func publicURL(at netip.AddrPort) string {
	switch a := at.Addr().Unmap(); {
	case a.IsUnspecified():
		return fmt.Sprintf("http://localhost:%d", at.Port())
	case a.IsLoopback():
		return "http://" + netip.AddrPortFrom(a, at.Port()).String()
	default:
		return "https://" + netip.AddrPortFrom(a, at.Port()).String()
	}
}

// demoServer is what the welcome speaks of.
type demoServer struct {
	at          netip.AddrPort
	addresses   []netip.Addr
	metrics     net.Addr
	key         string
	certificate *tls.Config
	tapes       demoTapes
}

// link is one person's way in.
type link struct{ role, url string }

// welcome opens a consultation as any scheduling system would and prints its links.
func welcome(ctx context.Context, w world, s demoServer) error {
	links, err := s.open(ctx)
	if err != nil {
		return fmt.Errorf("open a consultation: %w", err)
	}
	return s.print(w.out, links)
}

// open asks the server itself, over TLS so that the links for other devices are known to work.
func (s demoServer) open(ctx context.Context) ([]link, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	policy := wire.PolicyNever
	if s.tapes.dir != "" {
		policy = wire.PolicyAsk
	}
	body := `{
	  "external_id": "demo",
	  "recording": "` + policy + `",
	  "participants": [
	    {"ref": "demo-clinician", "role": "clinician", "display": "Dr Lee"},
	    {"ref": "demo-patient", "role": "patient", "display": "Sam Novak"},
	    {"ref": "demo-interpreter", "role": "interpreter", "display": "Ana Silva"}
	  ]
	}`
	to := s.at.Addr()
	if to.IsUnspecified() {
		to = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	url := "https://" + netip.AddrPortFrom(to.Unmap(), s.at.Port()).String() + "/v1/consultations"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := s.client().Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Detail       string `json:"detail"` // of a problem, RFC 9457
		Participants []struct {
			Role    string `json:"role"`
			JoinURL string `json:"join_url"`
		} `json:"participants"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("%s: %s", resp.Status, answer.Detail)
	}
	links := make([]link, len(answer.Participants))
	for i, p := range answer.Participants {
		links[i] = link{role: p.Role, url: p.JoinURL}
	}
	return links, nil
}

// client trusts the demo's certificate and nothing else.
func (s demoServer) client() *http.Client {
	roots := x509.NewCertPool()
	if leaf, err := x509.ParseCertificate(s.certificate.Certificates[0].Certificate[0]); err == nil {
		roots.AddCert(leaf)
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}}
}

// print writes what a person needs to start, and only that.
func (s demoServer) print(out io.Writer, links []link) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	here := publicURL(s.at)
	_, _ = fmt.Fprint(t, "\nBedside is running. Each link is one person's way into the same consultation:\n\n")
	for _, l := range links {
		_, _ = fmt.Fprintf(t, "  %s\t%s\n", l.role, l.url)
	}
	if lan, ok := s.elsewhere(here); ok {
		_, _ = fmt.Fprint(t, "\nFor a phone or another computer in this network:\n\n")
		for _, l := range links {
			_, _ = fmt.Fprintf(t, "  %s\t%s\n", l.role, strings.Replace(l.url, here, lan, 1))
		}
		_, _ = fmt.Fprint(t, "\n  The browser will warn that nobody vouches for the certificate, which was made just now\n"+
			"  on this machine: choose \"Advanced\" and go on.\n")
	}
	_, _ = fmt.Fprintf(t, "\nAPI key\t%s\n", s.key)
	_, _ = fmt.Fprintf(t, "API\t%s/openapi.yaml\n", here)
	_, _ = fmt.Fprintf(t, "Metrics\thttp://%s/metrics\n", s.metrics)
	s.tapes.print(t)
	_, _ = fmt.Fprint(t, "\nCtrl+C stops it. The next start has new links and a new key.\n")
	return t.Flush()
}

// elsewhere is what links start with on other devices, if there can be any.
func (s demoServer) elsewhere(here string) (string, bool) {
	if !s.at.Addr().IsUnspecified() || len(s.addresses) == 0 || s.addresses[0].IsLoopback() {
		return here, false
	}
	return "https://" + netip.AddrPortFrom(s.addresses[0], s.at.Port()).String(), true
}
