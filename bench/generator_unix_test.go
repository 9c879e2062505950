//go:build unix

package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/lean"
)

// shape is a load in which servers are compared.
type shape struct {
	name      string
	rooms     int
	senders   int // in a room
	receivers int // in a room, who send nothing
}

func shapes() []shape {
	return []shape{
		{name: "10x4", rooms: 10, senders: 4},
		{name: "1to100", rooms: 1, senders: 1, receivers: 100},
	}
}

// BenchmarkGenerator is what clients cost that keep up a load against `bedside serve` in a process of its
// own: VP8 at 30 frames a second in 5 packets of 1000 bytes, and 50 audio packets of 80 bytes. An
// iteration is a second. It reports the CPU time of this process, kernel and all.
//
//	go test ./bench -run xxx -bench Generator -benchtime 10x
func BenchmarkGenerator(b *testing.B) {
	for _, s := range shapes() {
		for _, kind := range []struct {
			name   string
			stack  bench.Stack
			verify bool
		}{{"lean", bench.Lean, false}, {"lean-verify", bench.Lean, true}, {"pion", bench.Pion, true}} {
			b.Run(s.name+"/"+kind.name, func(b *testing.B) { benchGenerator(b, s, kind.stack, kind.verify) })
		}
	}
}

func benchGenerator(b *testing.B, s shape, stack bench.Stack, verify bool) {
	url := startServer(b)
	certificate, err := lean.NewCertificate()
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	clients := joinAll(ctx, b, s, bench.Config{
		BaseURL: url, HTTP: &http.Client{Timeout: 30 * time.Second}, Loopback: true, Stack: stack, Verify: verify, Certificate: certificate,
	})
	defer closeAll(clients)
	wait(b, 2*time.Second) // key frames, and the server's first estimates of bandwidth
	var late hist.Histogram
	for _, c := range clients {
		c.Lateness(&late)
		c.Mark()
	}
	late = hist.Histogram{}
	traffic, cpu, begun := total(clients), processCPU(b), time.Now()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for b.Loop() {
		wait(b, time.Second)
	}
	elapsed := time.Since(begun).Seconds()
	used := processCPU(b) - cpu
	runtime.ReadMemStats(&after)
	got := total(clients)
	sent, received := float64(got.SentPackets-traffic.SentPackets), float64(got.ReceivedPackets-traffic.ReceivedPackets)
	var lost uint64
	for _, c := range clients {
		c.Lateness(&late)
		for _, slot := range c.Report().Slots {
			lost += slot.Lost
		}
	}
	b.ReportMetric(float64(used.Nanoseconds())/(sent+received), "ns/packet")
	b.ReportMetric(100*used.Seconds()/elapsed, "%core")
	b.ReportMetric(sent/elapsed, "sent/s")
	b.ReportMetric(received/elapsed, "received/s")
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(late.Quantile(0.99).Microseconds()), "late-p99-us")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/(sent+received), "allocs/packet")
	b.ReportMetric(0, "ns/op")
}

// joinAll opens the rooms and lets everybody in.
func joinAll(ctx context.Context, b *testing.B, s shape, cfg bench.Config) []*bench.Client {
	b.Helper()
	var clients []*bench.Client
	for room := range s.rooms {
		for i, invitation := range invite(ctx, b, cfg.BaseURL, fmt.Sprintf("room-%d", room), s.senders+s.receivers) {
			one := cfg
			one.Invitation, one.Seed = invitation, uint64(len(clients)+1)
			if i < s.senders {
				camera := bench.Camera()
				camera.FPS, camera.Constant = 30, true
				one.Media = bench.Media{Camera: camera, Mic: &bench.Audio{Bitrate: 32_000, Level: 30}}
			}
			clients = append(clients, bench.New(one))
		}
	}
	var wg sync.WaitGroup
	gate := make(chan struct{}, 4) // at a time
	for _, c := range clients {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			if err := c.Join(ctx); err != nil {
				b.Error(err)
			} else if err := c.Connected(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		closeAll(clients)
		b.FailNow()
	}
	return clients
}

func closeAll(clients []*bench.Client) {
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(c.Close)
	}
	wg.Wait()
}

func total(clients []*bench.Client) bench.Traffic {
	var sum bench.Traffic
	for _, c := range clients {
		t := c.Traffic()
		sum.SentPackets += t.SentPackets
		sum.ReceivedPackets += t.ReceivedPackets
	}
	return sum
}

func wait(b *testing.B, d time.Duration) {
	select {
	case <-time.After(d):
	case <-b.Context().Done():
	}
}

// processCPU is the CPU time of this process so far.
func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// startServer runs `bedside serve` with high limits and returns its address.
func startServer(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	binary, file := filepath.Join(dir, "bedside"), filepath.Join(dir, "bedside.yaml")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/bedside").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	sum := sha256.Sum256([]byte(apiKey))
	text := fmt.Sprintf(`listen: 127.0.0.1:0
metrics_listen: ""
public_url: http://localhost
data_dir: %q
drain_timeout: 0s
log: {format: json}
media: {advertise: [127.0.0.1]}
signaling:
  api_keys: [{id: bench, tenant: bench, scopes: [consultations], hash: %s}]
  limits: {sessions_per_ip: 1000, joins_per_second: 1000, participants: 200}
`, filepath.Join(dir, "data"), hex.EncodeToString(sum[:]))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	p := exec.Command(binary, "serve", "--config", file)
	out, err := p.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	b.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGTERM)
		for lines.Scan() { // nobody else reads what it says at the end
		}
		_ = p.Wait()
	})
	for lines.Scan() {
		var line struct{ Msg, Listen string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			return "http://" + line.Listen
		}
	}
	b.Fatal("the server ended before it served")
	return ""
}

const apiKey = "key-of-a-benchmark-0123456789abcdef"

// invite opens a consultation of n clinicians, who need nobody to let them in.
func invite(ctx context.Context, b *testing.B, url, id string, n int) []string {
	b.Helper()
	type participant struct {
		Ref  string `json:"ref"`
		Role string `json:"role"`
	}
	request := struct {
		ExternalID      string        `json:"external_id"`
		MaxParticipants int           `json:"max_participants"`
		Participants    []participant `json:"participants"`
	}{ExternalID: id, MaxParticipants: max(n, 2)}
	for i := range n {
		request.Participants = append(request.Participants, participant{fmt.Sprintf("p%d", i), "clinician"})
	}
	body, err := json.Marshal(request)
	if err != nil {
		b.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/consultations", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+apiKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		b.Fatalf("open a consultation: %d %s %v", resp.StatusCode, answer, err)
	}
	var opened struct {
		Participants []struct {
			JoinURL string `json:"join_url"`
		} `json:"participants"`
	}
	if err := json.Unmarshal(answer, &opened); err != nil {
		b.Fatal(err)
	}
	var out []string
	for _, p := range opened.Participants {
		_, secret, _ := strings.Cut(p.JoinURL, "#")
		out = append(out, secret)
	}
	return out
}
