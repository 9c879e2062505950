package load

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
	"strings"
	"sync"
	"syscall"
	"time"

	"filippo.io/age"
)

const (
	startTimeout = 20 * time.Second
	// stopTimeout is more than a server takes that has told everybody (drain_timeout and 10 s).
	stopTimeout = 15 * time.Second
	readyPause  = 20 * time.Millisecond
	maxJournal  = 64 << 10 // bytes of what the server logs; the end is kept
	// localLimit is the highest that every limit may be set to: on a server of our own they are in the way.
	localLimit = 10_000
)

// Local is a Bedside of our own: a process, with a directory that goes away with it.
type Local struct {
	URL, MetricsURL string
	Version         string
	PID             int

	command *exec.Cmd
	dir     string
	journal *journal
	ended   chan struct{}
}

// StartLocal starts the binary with a configuration of its own on free ports of this machine, for one
// API key, and returns when it serves. cpus are those that it may run on; empty for all.
func StartLocal(ctx context.Context, binary, apiKey string, cpus []int) (*Local, error) {
	return startLocal(ctx, binary, apiKey, "", cpus)
}

// StartLocalRecorder starts a server that may record, to keys of which nobody has the secret half, into
// its directory.
func StartLocalRecorder(ctx context.Context, binary, apiKey string, cpus []int) (*Local, error) {
	var recipients []string
	for range 2 {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, fmt.Errorf("load: local server: %w", err)
		}
		recipients = append(recipients, id.Recipient().String())
	}
	// The disk is as full as it is.
	recording := fmt.Sprintf("recording: {enabled: true, recipients: [%s], min_free_percent: 0}\n", strings.Join(recipients, ", "))
	return startLocal(ctx, binary, apiKey, recording, cpus)
}

func startLocal(ctx context.Context, binary, apiKey, more string, cpus []int) (*Local, error) {
	dir, err := os.MkdirTemp("", "bedside-bench-")
	if err != nil {
		return nil, fmt.Errorf("load: local server: %w", err)
	}
	l := &Local{dir: dir, journal: newJournal(), ended: make(chan struct{})}
	file := filepath.Join(dir, "bedside.yaml")
	if err := os.WriteFile(file, append(localConfig(dir, apiKey), more...), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("load: local server: %w", err), os.RemoveAll(dir))
	}
	l.command = exec.Command(binary, "serve", "--config", file)
	l.command.Env = withoutOurs(os.Environ())
	l.command.Stderr = l.journal
	ownGroup(l.command) // Ctrl+C is for us; the server goes when we have said goodbye
	if err := startOn(l.command, cpus); err != nil {
		return nil, errors.Join(fmt.Errorf("load: start %s: %w", binary, err), os.RemoveAll(dir))
	}
	l.PID = l.command.Process.Pid
	runWait := func() { defer close(l.ended); _ = l.command.Wait() }
	go runWait()
	if err := l.await(ctx); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return l, nil
}

// withoutOurs leaves out what would change the configuration.
func withoutOurs(environ []string) []string {
	var out []string
	for _, v := range environ {
		if !strings.HasPrefix(v, "BEDSIDE_") && !strings.HasPrefix(v, "NOTIFY_SOCKET=") {
			out = append(out, v)
		}
	}
	return out
}

// localConfig is the configuration of a server for load: the default but for its limits, and for the free space that an
// audit log wants, as this one is thrown away.
func localConfig(dir, apiKey string) []byte {
	sum := sha256.Sum256([]byte(apiKey))
	return fmt.Appendf(nil, `listen: 127.0.0.1:0
metrics_listen: 127.0.0.1:0
public_url: http://localhost
data_dir: %q
drain_timeout: 0s
log: {level: info, format: json}
audit: {min_free_percent: 0}
media: {advertise: [127.0.0.1]}
signaling:
  api_keys: [{id: bench, tenant: bench, scopes: [consultations], hash: %s}]
  limits: {consultations: %[3]d, sessions: %[3]d, sessions_per_ip: %[3]d, connections_per_ip: %[3]d, joins_per_second: %[3]d, participants: 200}
`, filepath.Join(dir, "data"), hex.EncodeToString(sum[:]), localLimit)
}

// await waits until the server is ready.
func (l *Local) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	line, err := l.journal.await(ctx, l.ended, "serving")
	if err != nil {
		return fmt.Errorf("load: local server: %w: %s", err, l.journal.last())
	}
	l.URL, l.Version = "http://"+line.Listen, line.Version
	if line.Metrics != "" {
		l.MetricsURL = "http://" + line.Metrics + "/metrics"
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		if ready(ctx, c, l.URL) {
			return nil
		}
		select {
		case <-time.After(readyPause):
		case <-l.ended:
			return fmt.Errorf("load: local server ended: %s", l.journal.last())
		case <-ctx.Done():
			return fmt.Errorf("load: local server is not ready: %w", ctx.Err())
		}
	}
}

func ready(ctx context.Context, c *http.Client, base string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := c.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Stop ends the server in order, or by force where that takes too long, and removes its directory.
func (l *Local) Stop() error {
	_ = l.command.Process.Signal(syscall.SIGTERM)
	var err error
	select {
	case <-l.ended:
	case <-time.After(stopTimeout):
		_ = l.command.Process.Kill()
		<-l.ended
		err = fmt.Errorf("load: the local server did not stop within %v", stopTimeout)
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

// LogLines returns how many lines the server has logged.
func (l *Local) LogLines() int {
	l.journal.mu.Lock()
	defer l.journal.mu.Unlock()
	return l.journal.lines
}

// journal keeps the end of what a server logs.
type journal struct {
	mu    sync.Mutex
	text  []byte
	lines int           // ever written
	more  chan struct{} // holds one: there is more to read
}

func newJournal() *journal { return &journal{more: make(chan struct{}, 1)} }

// Write implements io.Writer.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, b...)
	j.lines += bytes.Count(b, []byte("\n"))
	if over := len(j.text) - maxJournal; over > 0 {
		j.text = append(j.text[:0], j.text[over:]...)
	}
	select {
	case j.more <- struct{}{}:
	default: // who looks sees everything
	}
	return len(b), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.text)
}

// last is the last line.
func (j *journal) last() string {
	text := bytes.TrimSpace([]byte(j.String()))
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// servingLine is what a server logs when it serves.
type servingLine struct{ Msg, Listen, Metrics, Version string }

// await waits for a line with a message.
func (j *journal) await(ctx context.Context, ended <-chan struct{}, message string) (servingLine, error) {
	for over := error(nil); ; {
		for text := range strings.Lines(j.String()) {
			var line servingLine
			if json.Unmarshal([]byte(text), &line) == nil && line.Msg == message {
				return line, nil
			}
		}
		if over != nil {
			return servingLine{}, over
		}
		select {
		case <-j.more:
		case <-ended:
			over = errors.New("it ended at once") // once more: the last words may have come meanwhile
		case <-ctx.Done():
			over = fmt.Errorf("it does not serve: %w", ctx.Err())
		}
	}
}
