package signaling_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

// joiner is a server over TCP with one consultation whose clinician joins again and again.
type joiner struct {
	*testing.B
	url        string
	invitation string
	took       []time.Duration
}

func newJoiner(b *testing.B, log signaling.Audit) *joiner {
	cfg := config.Default().Signaling
	cfg.Limits.JoinsPerSecond = 10_000
	cfg.APIKeys = []config.APIKey{{ID: "one", Tenant: "tenant-1", Hash: sha256Hex(apiKey), Scopes: []string{"consultations"}}}
	s, err := signaling.New(cfg, signaling.Deps{
		Media: newFakeMedia(), Store: store.NewMap(10_000), Audit: log, PublicURL: publicURL,
		Clock: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	b.Cleanup(func() { _ = s.Close(); server.Close() })
	j := &joiner{B: b, url: server.URL}
	var c signaling.Consultation
	j.post("/v1/consultations", "{"+threePeople+"}", &c)
	_, j.invitation, _ = strings.Cut(c.Participants[0].JoinURL, "#")
	return j
}

func (j *joiner) post(path, body string, into any) {
	req, err := http.NewRequestWithContext(j.Context(), http.MethodPost, j.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		j.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+apiKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		j.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode >= 300 {
		j.Fatal(resp.Status, err)
	}
}

// join takes the whole way in once: invitation, token, WebSocket, joined.
func (j *joiner) join() {
	start := time.Now()
	var joining signaling.Joining
	j.post("/v1/join", `{"invitation":"`+j.invitation+`"}`, &joining)
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}}
	ws, _, err := d.DialContext(j.Context(), "ws"+strings.TrimPrefix(j.url, "http")+joining.Connect, nil)
	if err != nil {
		j.Fatal(err)
	}
	data, err := wire.EncodeClient(&wire.Join{Token: joining.Token}, 1)
	if err == nil {
		err = ws.WriteMessage(websocket.TextMessage, data)
	}
	if err == nil {
		_, data, err = ws.ReadMessage()
	}
	j.took = append(j.took, time.Since(start))
	if err != nil || !bytes.Contains(data, []byte(`"joined"`)) {
		j.Fatalf("%s %v", data, err)
	}
	_ = ws.Close()
}

func (j *joiner) percentile(p float64) float64 {
	slices.Sort(j.took)
	return float64(j.took[int(float64(len(j.took)-1)*p)].Microseconds()) / 1000
}

// BenchmarkJoin is what the audit log on disk adds to a join: the same server with a log on disk and
// with one in memory, by turns in one run.
func BenchmarkJoin(b *testing.B) {
	key, err := audit.NewKey("bench", rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	log, err := audit.Open(b.TempDir(), audit.Options{Node: "bench", Key: key, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	disk, memory := newJoiner(b, log), newJoiner(b, audit.NewMemory("bench", 1000))
	b.Cleanup(func() { _ = log.Close() }) // before its server, which only loses its last records
	for b.Loop() {
		disk.join()
		memory.join()
	}
	for _, q := range []struct {
		name string
		p    float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		b.ReportMetric(disk.percentile(q.p), "ms-"+q.name)
		b.ReportMetric(disk.percentile(q.p)-memory.percentile(q.p), "ms-added-"+q.name)
	}
}
