package servetest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	apiKey = "bedside_process_test"
	// publicURL stays while the port changes: it is the issuer of the tokens.
	publicURL = "http://localhost:1"
	// Of what comes at once on a machine that has nothing else to do.
	startTimeout = time.Minute
	stopTimeout  = time.Minute
)

// binary is the command, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "servetest-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "bedside")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/bedside-video/bedside/cmd/bedside").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// home is where a server lives: its data directory and its configuration survive its processes.
type home struct{ dir string }

func newHome(t *testing.T) home { return home{t.TempDir()} }

func (h home) data(name ...string) string {
	return filepath.Join(append([]string{h.dir, "data"}, name...)...)
}

// configure writes the configuration; more is YAML for its end.
func (h home) configure(t *testing.T, more string) {
	t.Helper()
	sum := sha256.Sum256([]byte(apiKey))
	text := fmt.Sprintf(`
listen: 127.0.0.1:0
metrics_listen: ""
public_url: %s
data_dir: %s
log: {format: json}
signaling:
  api_keys: [{id: test, tenant: clinic, scopes: [consultations, audit], hash: %s}]
  limits: {consultations: 100000, sessions_per_ip: 10000, joins_per_second: 10000}
%s`, publicURL, h.data(), hex.EncodeToString(sum[:]), more)
	if err := os.WriteFile(filepath.Join(h.dir, "bedside.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// process is one run of `bedside serve`.
type process struct {
	command *exec.Cmd
	log     *journal
	url     string
	exited  chan struct{} // closed when it has
	tookMS  int64         // until it listened
}

// run starts a process; it may end at once.
func (h home) run(t *testing.T, environ ...string) *process {
	t.Helper()
	p := &process{log: newJournal(), exited: make(chan struct{})}
	p.command = exec.Command(binary, "serve", "--config", filepath.Join(h.dir, "bedside.yaml"))
	p.command.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "BEDSIDE_") || strings.HasPrefix(v, "NOTIFY_SOCKET=")
	}), append([]string{"BEDSIDE_AUDIT_MIN_FREE_PERCENT=0"}, environ...)...) // how full the disk of the tests is says nothing
	p.command.Stderr = p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	runWait := func() { _ = p.command.Wait(); close(p.exited) }
	go runWait()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("process %d logged:\n%s", p.command.Process.Pid, p.log.tail())
		}
	})
	return p
}

// start starts a process and returns when it serves.
func (h home) start(t *testing.T, environ ...string) *process {
	t.Helper()
	began := time.Now()
	p := h.run(t, environ...)
	line, ok := p.log.line(startTimeout, p.exited, "serving")
	if !ok {
		t.Fatalf("does not serve:\n%s", p.log.tail())
	}
	p.tookMS = time.Since(began).Milliseconds()
	scheme := "http"
	if tls, _ := line["tls"].(bool); tls {
		scheme = "https"
	}
	p.url = fmt.Sprintf("%s://%v", scheme, line["listen"])
	return p
}

// kill ends the process without a farewell and waits for it.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.exited
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait returns how the process ended.
func (p *process) wait(t *testing.T) syscall.WaitStatus {
	t.Helper()
	select {
	case <-p.exited:
		return p.command.ProcessState.Sys().(syscall.WaitStatus)
	case <-time.After(stopTimeout):
		t.Fatalf("still running after %v:\n%s", stopTimeout, p.log.tail())
		return 0
	}
}

// stop ends the process as a service manager does, and expects it to be content.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if status := p.wait(t); !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("ended with %v", p.command.ProcessState)
	}
}

// journal is what a process logs, as it comes.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // holds one: there is more to read
}

func newJournal() *journal { return &journal{more: make(chan struct{}, 1)} }

// Write implements io.Writer.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case j.more <- struct{}{}:
	default:
	}
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// tail is the end of it.
func (j *journal) tail() string {
	text := j.String()
	return text[max(0, len(text)-4000):]
}

// line waits for a line with a message.
func (j *journal) line(patience time.Duration, exited <-chan struct{}, message string) (map[string]any, bool) {
	end := time.After(patience)
	for over := false; ; {
		for text := range strings.Lines(j.String()) {
			var fields map[string]any
			if json.Unmarshal([]byte(text), &fields) == nil && fields["msg"] == message {
				return fields, true
			}
		}
		if over {
			return nil, false
		}
		select {
		case <-j.more:
		case <-exited:
			over = true // once more: the last words may have come meanwhile
		case <-end:
			over = true
		}
	}
}

// request asks the API, and returns the status and the answer.
func (p *process) request(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, sent)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+apiKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, errors.Join(err, resp.Body.Close())
}

// fetch is request for what must work.
func (p *process) fetch(t *testing.T, method, path string, body, into any, want int) {
	t.Helper()
	status, answer, err := p.request(t.Context(), method, path, body)
	if err == nil && into != nil && status == want {
		err = json.Unmarshal(answer, into)
	}
	if err != nil || status != want {
		t.Fatalf("%s %s: %d, %v, want %d: %s", method, path, status, err, want, answer)
	}
}

// lastLine is that which was logged last.
func (j *journal) lastLine() string {
	lines := strings.Split(strings.TrimSpace(j.String()), "\n")
	return lines[len(lines)-1]
}
