package sim

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/port"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
	"github.com/bedside-video/bedside/turn"
)

const (
	apiKey       = "bedside_simulated"
	storeEntries = 1000
	auditRecords = 10_000
	maxLog       = 16 << 20 // bytes; a run that logs more has lost its mind
	maxReply     = 1 << 20
)

// server is the whole server, assembled like the command's but on simulated sockets.
type server struct {
	port      *port.Port
	sfu       *sfu.Server
	signaling *signaling.Server
	relay     *turn.Relay // nil unless somebody uses it
	http      *http.Server
	log       journal
	metrics   *prometheus.Registry
	serving   sync.WaitGroup
}

// journal is a log in memory.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.text.Len() > maxLog {
		return 0, errors.New("sim: the log is full")
	}
	return j.text.Write(b)
}

// signalingConfig has one scheduling system, and keys that outlive the server.
func signalingConfig() config.Signaling {
	cfg := config.Default().Signaling
	sum := sha256.Sum256([]byte(apiKey))
	cfg.APIKeys = []config.APIKey{{
		ID: "scheduler", Hash: hex.EncodeToString(sum[:]), Tenant: "clinic", Scopes: []string{config.ScopeConsultations},
	}}
	key := config.NewSecret(base64.StdEncoding.EncodeToString(sum[:]))
	cfg.TokenKey, cfg.InvitationSecret = key, key
	return cfg
}

func (w *World) startServer() error {
	socket, err := w.host.Listen(mediaPort)
	if err != nil {
		return err
	}
	s := &server{metrics: prometheus.NewRegistry()}
	w.server = s
	log := slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if s.port, err = port.New(socket, port.Options{Metrics: s.metrics}); err != nil {
		return err
	}
	if s.sfu, err = sfu.New(config.Default().SFU, sfu.Deps{
		Port: s.port, Advertise: []netip.AddrPort{netip.AddrPortFrom(w.host.Addr(), mediaPort)},
		Clock: time.Now, Rand: rand.Reader, Log: log, Metrics: s.metrics, FirstEstimate: w.plan.FirstEstimate,
	}); err != nil {
		return err
	}
	relay, err := w.startRelay()
	if err != nil {
		return err
	}
	d := signaling.Deps{
		Relay: relay,
		Media: signaling.SFU(s.sfu), Store: w.store, Audit: audit.NewMemory("sim", auditRecords), PublicURL: baseURL,
		Clock: time.Now, Rand: rand.Reader, Log: log, Metrics: s.metrics,
	}
	if w.plan.Recording != "" {
		d.Recorder, d.Notice, d.Audit = &w.tapes, notice, slowAudit{audit.NewMemory("sim", auditRecords)}
	}
	if s.signaling, err = signaling.New(w.cfg, d); err != nil {
		return err
	}
	s.http = &http.Server{Handler: s.signaling.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	s.serving.Go(func() { s.runHTTP(w.listener) })
	return nil
}

func (s *server) runHTTP(l *Listener) { _ = s.http.Serve(l) }

// close stops the server in the order of a shutdown: sessions, rooms, the socket, HTTP.
func (s *server) close() {
	_ = s.signaling.Close()
	_ = s.sfu.Close()
	if s.relay != nil {
		_ = s.relay.Close()
	}
	_ = s.port.Close()
	_ = s.http.Close()
	s.serving.Wait()
}

// papers returns everything that the server has written down: log and metrics.
func (s *server) papers() string {
	var b strings.Builder
	s.log.mu.Lock()
	b.Write(s.log.text.Bytes())
	s.log.mu.Unlock()
	families, err := s.metrics.Gather()
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	for _, f := range families {
		fmt.Fprintln(&b, f.String())
	}
	return b.String()
}

// Metric returns the sum of a counter or gauge over all its labels, or of all that a histogram has
// observed; 0 for one that does not exist.
func (w *World) Metric(name string) float64 {
	families, _ := w.server.metrics.Gather()
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += value(m)
		}
	}
	return sum
}

func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
}

// invite creates the consultation over the API and makes everybody's client.
func (w *World) invite() error {
	type invited struct {
		Ref     string    `json:"ref"`
		Role    wire.Role `json:"role"`
		Display string    `json:"display"`
		Watch   bool      `json:"watch,omitempty"`
	}
	body := struct {
		MaxParticipants int       `json:"max_participants,omitempty"`
		Profile         string    `json:"profile,omitempty"`
		Group           bool      `json:"group"`
		Recording       string    `json:"recording,omitempty"`
		Participants    []invited `json:"participants"`
	}{MaxParticipants: w.plan.MaxParticipants, Profile: w.plan.Profile, Group: true, Recording: w.plan.Recording}
	for _, ref := range w.refs {
		p := w.people[ref]
		body.Participants = append(body.Participants, invited{Ref: refCanary(ref), Role: p.Role, Display: p.Display, Watch: p.Watch})
	}
	var created struct {
		ID           string `json:"id"`
		Participants []struct {
			ID      string `json:"id"`
			JoinURL string `json:"join_url"`
		} `json:"participants"`
	}
	if err := w.call(http.MethodPost, "/v1/consultations", body, &created); err != nil {
		return err
	}
	w.consultation = created.ID
	for i, one := range created.Participants {
		p := w.people[w.refs[i]]
		p.id = one.ID
		_, p.invitation, _ = strings.Cut(one.JoinURL, "#")
		p.client = w.newClient(p, i)
	}
	return nil
}

// Report reads how good everybody's connection is, as the scheduling system.
func (w *World) Report() (r signaling.QualityReport, err error) {
	err = w.call(http.MethodGet, "/v1/consultations/"+w.consultation+"/report", nil, &r)
	return r, err
}

// call calls the API as the scheduling system, from a machine of its own.
func (w *World) call(method, path string, body, reply any) error {
	scheduler := &person{host: w.scheduler}
	client := w.httpClient(scheduler)
	defer client.CloseIdleConnections()
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(w.ctx, method, baseURL+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("sim: %s %s: %s: %s", method, path, resp.Status, text)
	}
	return json.Unmarshal(text, reply)
}
