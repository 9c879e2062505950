package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a running `bedside demo`.
type server struct {
	t       *testing.T
	url     string // of pages and API, on this machine
	lan     string // the same for other machines; "" where there is no network
	key     string
	metrics string // URL
	process *exec.Cmd
	client  *http.Client // nil: http.DefaultClient
	log     safeBuffer   // all that it has logged, at the most talkative level
	exited  chan error
}

// safeBuffer is a buffer that a process writes to while the test reads it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// binaries is where command builds; TestMain makes and removes it.
var binaries string

func TestMain(m *testing.M) {
	if text := os.Getenv(linkEnv); text != "" {
		if err := beLink(text); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	var err error
	if binaries, err = os.MkdirTemp("", "bedside-browser-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(binaries)
	os.Exit(code)
}

// command builds the command, once for all tests, and returns where it is.
var command = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(binaries, "bedside")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/bedside-video/bedside/cmd/bedside").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
})

// startServer starts the command's demo on ports of their own, with more flags.
func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	binary, err := command()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, exited: make(chan error, 1)}
	args := append([]string{"demo", "--listen", ":0", "--metrics-listen", "127.0.0.1:0", "--log-level", "debug"}, flags...)
	s.process = exec.Command(binary, args...)
	s.process.Stderr = &s.log
	out, err := s.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	welcome := make(chan struct{})
	go func() {
		defer close(read)
		s.readWelcome(out, welcome)
		_, _ = io.Copy(io.Discard, out)
		s.exited <- s.process.Wait()
	}()
	t.Cleanup(func() {
		_ = s.process.Process.Signal(syscall.SIGTERM)
		<-read
		if t.Failed() {
			t.Logf("the server logged:\n%s", s.log.String())
		}
	})
	select {
	case <-welcome:
	case <-time.After(patience):
		t.Fatalf("no links within %v; the server logged:\n%s", patience, s.log.String())
	}
	if s.url == "" || s.key == "" || s.metrics == "" {
		t.Fatalf("the demo ended without a welcome; it logged:\n%s", s.log.String())
	}
	t.Logf("figure: links printed %v after the start", time.Since(started).Round(time.Millisecond))
	return s
}

// readWelcome reads what the demo prints until it has everything; done is closed then, or at the end.
func (s *server) readWelcome(out io.Reader, done chan<- struct{}) {
	defer close(done)
	link := regexp.MustCompile(`^\s+clinician\s+(https?://\S+)/j/#\S+$`)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		if m := link.FindStringSubmatch(line); m != nil && s.url == "" {
			s.url = m[1]
		} else if m != nil {
			s.lan = m[1]
		}
		if key, ok := strings.CutPrefix(line, "API key"); ok {
			s.key = strings.TrimSpace(key)
		}
		if url, ok := strings.CutPrefix(line, "Metrics"); ok {
			s.metrics = strings.TrimSpace(url)
			return
		}
	}
}

// stop asks the server to end and returns how.
func (s *server) stop() error {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.exited:
		return err
	case <-time.After(patience):
		return fmt.Errorf("still running %v after SIGTERM", patience)
	}
}

// invited is one participant of a consultation.
type invited struct {
	ID      string `json:"id"`
	Role    string `json:"role"`
	JoinURL string `json:"join_url"`
}

// invitation is the secret part of the link.
func (i invited) invitation() string {
	_, secret, _ := strings.Cut(i.JoinURL, "#")
	return secret
}

// open opens a consultation with the given roles, in which everybody sends video in codec.
func (s *server) open(externalID, codec string, display func(role string) string, roles ...string) []invited {
	s.t.Helper()
	type participant struct {
		Ref     string `json:"ref"`
		Role    string `json:"role"`
		Display string `json:"display"`
	}
	body := struct {
		ExternalID   string        `json:"external_id"`
		VideoCodec   string        `json:"video_codec"`
		Participants []participant `json:"participants"`
	}{ExternalID: externalID, VideoCodec: codec}
	for _, r := range roles {
		body.Participants = append(body.Participants, participant{Ref: "ref-" + r, Role: r, Display: display(r)})
	}
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, status := s.request(http.MethodPost, s.url+"/v1/consultations", b)
	if status != http.StatusCreated {
		s.t.Fatalf("open a consultation: %d %s", status, answer)
	}
	var opened struct {
		Participants []invited `json:"participants"`
	}
	if err := json.Unmarshal(answer, &opened); err != nil {
		s.t.Fatal(err)
	}
	return opened.Participants
}

func (s *server) request(method, url string, body []byte) ([]byte, int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.key)
	client := s.client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer, resp.StatusCode
}

// metricsText is what a scrape returns.
func (s *server) metricsText() string {
	text, status := s.request(http.MethodGet, s.metrics, nil)
	if status != http.StatusOK {
		s.t.Fatalf("metrics: status %d", status)
	}
	return string(text)
}

// metric sums up the samples of one name, all labels together, or of those with the given labels.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	total, found := 0.0, false
	for line := range strings.Lines(s.metricsText()) {
		sample, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if sample != name && !strings.HasPrefix(sample, name+"{") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			s.t.Fatalf("metric %s: %v", name, err)
		}
		total, found = total+v, true
	}
	if !found {
		s.t.Fatalf("no metric %s", name)
	}
	return total
}

// untilMetric waits until the metric fulfils a condition.
func (s *server) untilMetric(name, what string, holds func(float64) bool) float64 {
	s.t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		v := s.metric(name)
		if holds(v) {
			return v
		}
		select {
		case <-end:
			s.t.Fatalf("%s is %v, want %s", name, v, what)
		case <-tick.C:
		}
	}
}
