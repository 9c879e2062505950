package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
)

// certificateInterval is how often the files are looked at: whoever renews them need not know of us.
const certificateInterval = 10 * time.Second

// certificate is that of the configured files, as last read.
type certificate struct {
	files config.TLS
	clock func() time.Time
	log   *slog.Logger

	seen    [2]stamp // of the files when they were last read, by the one goroutine that reads
	current atomic.Pointer[tls.Certificate]
}

// stamp tells a file from another of the same name.
type stamp struct {
	changed time.Time
	size    int64
}

// loadCertificate reads the files for the first time. One that has expired is served all the same:
// the addresses of the server are known to people who can go on in spite of the warning.
func loadCertificate(files config.TLS, clock func() time.Time, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, clock: clock, log: log}
	c.seen = c.stamps()
	pair, err := c.read()
	if err != nil {
		return nil, err
	}
	if err := c.valid(pair); err != nil {
		log.Warn("certificate", "error", err)
	}
	c.current.Store(&pair)
	return c, nil
}

// read returns the pair of files; its errors name the key of the configuration.
func (c *certificate) read() (tls.Certificate, error) {
	cert, err := os.ReadFile(c.files.CertFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tls.cert_file: %w", err)
	}
	key, err := os.ReadFile(c.files.KeyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tls.key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tls.cert_file, tls.key_file: %w", err)
	}
	return pair, nil
}

func (c *certificate) valid(pair tls.Certificate) error {
	switch now := c.clock(); {
	case now.Before(pair.Leaf.NotBefore):
		return fmt.Errorf("tls.cert_file: not valid before %s", pair.Leaf.NotBefore.Format(time.RFC3339))
	case now.After(pair.Leaf.NotAfter):
		return fmt.Errorf("tls.cert_file: expired %s", pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// metric is when the certificate in use ends: an alert needs no other look at the files.
func (c *certificate) metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bedside_certificate_not_after_seconds", Help: "When the certificate in use ends, in Unix time.",
	}, func() float64 { return float64(c.current.Load().Leaf.NotAfter.Unix()) })
}

func (c *certificate) config() *tls.Config {
	t := tlsConfig()
	t.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }
	return t
}

// runReload reads the files again when they have changed, and whenever told, until ctx ends.
func (c *certificate) runReload(ctx context.Context, told <-chan os.Signal) {
	ticker := time.NewTicker(certificateInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			c.reload()
		case <-ticker.C:
			if c.stamps() != c.seen {
				c.reload()
			}
		}
	}
}

// reload takes the new pair if it is better than none; what is in use stays otherwise.
func (c *certificate) reload() {
	c.seen = c.stamps() // before reading: what changes meanwhile is read again
	pair, err := c.read()
	if err == nil {
		err = c.valid(pair)
	}
	if err != nil {
		c.log.Warn("the certificate in use stays", "error", err, "expires", c.current.Load().Leaf.NotAfter)
		return
	}
	c.current.Store(&pair)
	c.log.Info("certificate read again", "expires", pair.Leaf.NotAfter)
}

func (c *certificate) stamps() (s [2]stamp) {
	for i, name := range []string{c.files.CertFile, c.files.KeyFile} {
		if info, err := os.Stat(name); err == nil { // what is wrong with it is told when it is read
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}
