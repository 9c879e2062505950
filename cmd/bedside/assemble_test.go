package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/store"
)

// What a failed start has opened must be closed again.
func TestFailedStartClosesWhatItOpened(t *testing.T) {
	opened, err := openSockets("127.0.0.1:0", "", 2)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Signaling.TokenKey = config.NewSecret("too short") // seen last of all: the media plane runs by then
	_, err = assemble(cfg, deps{
		world: testWorld(io.Discard, io.Discard), sockets: opened, metrics: metrics, log: slog.New(slog.DiscardHandler),
		registry: prometheus.NewRegistry(), store: store.NewMap(storeEntries), audit: audit.NewMemory("test", 1),
	})
	if err == nil || !strings.Contains(err.Error(), "32 bytes") {
		t.Fatalf("got %v, want a complaint about the key", err)
	}
	again, err := openSockets(opened.addrPort().String(), "", 2)
	if err != nil {
		t.Fatalf("TCP and UDP are still in use: %v", err)
	}
	again.close()
	if _, err := metrics.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the metrics' listener: %v, want closed", err)
	}
}

// crashes makes this test binary a server whose handler panics; see TestCrashing.
const crashes = "TEST_CRASHES"

func TestCrashing(t *testing.T) {
	if os.Getenv(crashes) != "" {
		crash(t)
		return
	}
	self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashing$")
	self.Env = append(os.Environ(), crashes+"=1")
	var out bytes.Buffer
	self.Stdout, self.Stderr = &out, &out
	err := self.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("the process ended with %v, want 2", err)
	}
	for _, want := range []string{"panic: out of order", "level=ERROR", "assemble_test.go"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// crash serves one request that panics, and would return if the process lived.
func crash(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httpServer(crashing(slog.New(slog.NewTextHandler(os.Stdout, nil)), http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) { panic("out of order") })))
	go func() { _ = server.Serve(l) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = http.DefaultClient.Do(req)
	t.Logf("still here: %v", err)
}
