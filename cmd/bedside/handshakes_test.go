package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHandshakeFailuresAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	mistakes, err := newHandshakes(registry)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := selfSigned(time.Now(), ones{}, []netip.Addr{netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httpServer(http.NotFoundHandler())
	s.ErrorLog = mistakes
	served := make(chan error, 1)
	go func() { served <- s.Serve(tls.NewListener(l, conf)) }()
	for _, config := range []*tls.Config{
		{MinVersion: tls.VersionTLS12}, // trusts nobody who signed this certificate
		{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true},
	} {
		raw, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := tls.Client(raw, config)
		if err := c.Handshake(); (err == nil) != config.InsecureSkipVerify {
			t.Fatalf("handshake: %v", err)
		}
		_ = raw.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, raw) // until the server has noticed and closed
		_ = raw.Close()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-served
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if got := families[0].GetMetric()[0].GetCounter().GetValue(); got != 1 {
		t.Errorf("counted %v failures, want 1", got)
	}
}
