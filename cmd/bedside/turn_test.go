package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/cmd/internal/command"
	"github.com/bedside-video/bedside/config"
)

// relayConfig is that of a relay of its own, with a secret.
func relayConfig() config.Config {
	cfg := config.Default()
	cfg.Listen, cfg.MetricsListen = "127.0.0.1:0", ""
	cfg.TURN.Peers = []string{"127.0.0.1:9"}
	cfg.TURN.Secret = config.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	return cfg
}

// A relay of its own asks strangers for a password, over UDP and TCP, serves nothing else, and ends.
func TestRelayOfItsOwn(t *testing.T) {
	cfg := relayConfig()
	opened, err := openSockets(cfg.Listen, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := assembleRelay(cfg, deps{world: testWorld(os.Stderr, os.Stderr), sockets: opened, log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	at := opened.addrPort().String()
	request := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw
	for _, network := range []string{"udp", "tcp"} {
		c, err := net.Dial(network, at)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		buf := make([]byte, 1500)
		_, _ = c.Write(request)
		n, err := c.Read(buf)
		m := &stun.Message{Raw: buf[:n]}
		if err != nil || m.Decode() != nil || m.Type != stun.NewType(stun.MethodAllocate, stun.ClassErrorResponse) {
			t.Errorf("%s: got %x, %v; want 401", network, buf[:n], err)
		}
		_ = c.Close()
	}
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	if n, err := c.Read(make([]byte, 1)); err == nil && n > 0 {
		t.Error("a relay serves pages")
	}
	_ = c.Close()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestRelayConfiguration(t *testing.T) {
	for name, tt := range map[string]struct{ document, complaint string }{
		"no peers":  {"turn: {secret: " + strings.Repeat("A", 43) + "=}", "turn.peers"},
		"no secret": {`turn: {peers: ["192.0.2.1:443"]}`, "turn.secret"},
		"no port":   {`turn: {peers: ["192.0.2.1"], secret: ` + strings.Repeat("A", 43) + "=}", "turn.peers[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "edge.yaml")
			if err := os.WriteFile(file, []byte(tt.document), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			if code := run(context.Background(), testWorld(&out, &errs), []string{"turn", "--config", file}); code != command.ExitUsage || !strings.Contains(errs.String(), tt.complaint) {
				t.Errorf("exit %d, %s", code, errs.String())
			}
		})
	}
}

// What people are told of the relay is where they reach it.
func TestOwnURLs(t *testing.T) {
	at := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:443")}
	for _, tt := range []struct{ public, host, want string }{
		{"https://video.example", "", "turn:video.example:443?transport=tcp turns:video.example:443?transport=tcp"},
		{"https://proxy.example", "video.example", "turn:video.example:443?transport=tcp turns:video.example:443?transport=tcp"},
		{"https://video.example:8443", "2001:db8::1", "turn:[2001:db8::1]:443?transport=tcp turns:[2001:db8::1]:443?transport=tcp"},
		{"http://localhost:8443", "", "turn:192.0.2.1:443?transport=tcp"},
	} {
		cfg := config.Default()
		cfg.PublicURL, cfg.TURN.Host = tt.public, tt.host
		if got := strings.Join(ownURLs(cfg, at), " "); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.public, tt.host, got, tt.want)
		}
	}
}
