package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/bedside-video/bedside/config"
)

// issuer gets certificates from an authority by ACME (RFC 8555) and renews them: the only thing by which
// a server ever opens a connection. The authority asks back on the one port (tls-alpn-01, RFC 8737).
type issuer struct {
	manager autocert.Manager
	domains []string
	log     *slog.Logger
	ending  context.Context
	end     context.CancelFunc
	wg      sync.WaitGroup
}

// newIssuer keeps keys and certificates in dir.
func newIssuer(c config.ACME, dir string, log *slog.Logger) *issuer {
	i := &issuer{domains: c.Domains, log: log}
	i.ending, i.end = context.WithCancel(context.Background())
	i.manager = autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(dir), Email: c.Email,
		// Nobody makes the server ask for other names: a handshake for one sends nothing.
		HostPolicy: autocert.HostWhitelist(c.Domains...),
		Client:     &acme.Client{DirectoryURL: c.Directory, HTTPClient: &http.Client{Transport: &stoppable{http.DefaultTransport, i.ending}}},
	}
	return i
}

// stoppable are requests that end with a context, as those of autocert else do not.
type stoppable struct {
	next   http.RoundTripper
	ending context.Context
}

// RoundTrip implements http.RoundTripper.
func (s *stoppable) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.ending.Err() != nil {
		return nil, s.ending.Err()
	}
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(s.ending, cancel)
	resp, err := s.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		stop()
		cancel()
	}
	return resp, err
}

func (i *issuer) config() *tls.Config {
	t := tlsConfig()
	t.GetCertificate = i.manager.GetCertificate
	t.NextProtos = append(t.NextProtos, acme.ALPNProto)
	return t
}

// start has the certificates made before somebody needs them: an authority takes longer than a handshake
// may. It says what leaves the network.
func (i *issuer) start() {
	i.log.Info("certificates come from an authority outside: it is sent the names, the address for mail and this server's address, and nothing else leaves",
		"domains", i.domains, "directory", i.manager.Client.DirectoryURL)
	for _, name := range i.domains {
		i.wg.Go(func() { i.runObtain(name) })
	}
}

// stop ends what is under way.
func (i *issuer) stop() {
	i.end()
	i.wg.Wait()
}

// obtainAgain is the pause after a failure; authorities limit how often one may fail (Let's Encrypt: five
// times an hour).
const obtainAgain = 15 * time.Minute

func (i *issuer) runObtain(name string) {
	for {
		cert, err := i.manager.GetCertificate(modernHello(name))
		if err == nil {
			i.log.Info("certificate", "domain", name, "expires", cert.Leaf.NotAfter)
			return // autocert renews it
		}
		if errors.Is(err, context.Canceled) || i.ending.Err() != nil {
			return
		}
		i.log.Error("no certificate from the authority", "domain", name, "error", err)
		select {
		case <-time.After(obtainAgain):
		case <-i.ending.Done():
			return
		}
	}
}

// modernHello is what browsers say: they take ECDSA.
func modernHello(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName: name, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	}
}
