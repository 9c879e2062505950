package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
)

// benchRate is how many consultations a second a benchmark opens.
const benchRate = 200

// BenchmarkCreateConsultation opens consultations of three people at a fixed rate, whatever the
// answers take: over HTTP on loopback, with the state in JetStream and the audit log, both on disk and
// synchronous. A latency counts from when the request was due. Run it with -benchtime 4000x.
func BenchmarkCreateConsultation(b *testing.B) {
	url, key := serveForBenchmark(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	took := make([]time.Duration, b.N)
	var open sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	tick := time.NewTicker(time.Second / benchRate)
	defer tick.Stop()
	for i := range b.N {
		due := began.Add(time.Duration(i) * time.Second / benchRate)
		for time.Now().Before(due) {
			<-tick.C
		}
		runRequest := func() {
			if err := openForBenchmark(b.Context(), client, url, key, i); err != nil {
				b.Error(err)
			}
			took[i] = time.Since(due)
		}
		open.Go(runRequest)
	}
	open.Wait()
	b.StopTimer()
	slices.Sort(took)
	at := func(part float64) float64 { return float64(took[int(part*float64(len(took)-1))].Microseconds()) / 1000 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// serveForBenchmark runs a service without media of anybody, and returns its address and a key.
func serveForBenchmark(b *testing.B) (url, key string) {
	b.Helper()
	key, hash, err := newAPIKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	cfg := config.Default()
	cfg.Listen, cfg.MetricsListen, cfg.DataDir = "127.0.0.1:0", "", b.TempDir()+"/data"
	cfg.Signaling.Limits.Consultations = 1_000_000
	cfg.Signaling.APIKeys = []config.APIKey{{ID: "bench", Hash: hash, Tenant: "bench", Scopes: config.Scopes()}}
	s := service{world: testWorld(io.Discard, io.Discard), cfg: cfg, log: slog.New(slog.DiscardHandler)}
	s.clock, s.rand = time.Now, rand.Reader
	registry := prometheus.NewRegistry()
	if err := s.open(b.Context(), registry); err != nil {
		b.Fatal(err)
	}
	d, err := s.deps(registry)
	if err != nil {
		b.Fatal(err)
	}
	running, err := assemble(s.cfg, d)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := running.stop(); err != nil {
			b.Error(err)
		}
		if err := s.close(nil); err != nil {
			b.Error(err)
		}
	})
	return "http://" + d.sockets.addrPort().String(), key
}

func openForBenchmark(ctx context.Context, client *http.Client, url, key string, n int) error {
	body := fmt.Sprintf(`{"external_id":"%d","participants":[{"role":"clinician","ref":"a","display":"Dr Lee"},`+
		`{"role":"patient","ref":"b","display":"Sam Novak"},{"role":"interpreter","ref":"c","display":"Ana Silva"}]}`, n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/consultations", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s, %w", resp.Status, answer, err)
	}
	return nil
}
