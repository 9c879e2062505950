package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	scrapeTimeout = 900 * time.Millisecond // less than the second until the next
	maxScrape     = 4 << 20                // bytes
)

// serverState is what the server says of itself at one instant.
type serverState struct {
	cpu        time.Duration
	rss        uint64
	goroutines int
	forwarded  uint64
	recording  recorderState
	violations map[string]uint64 // by invariant
	version    string
}

// recorderState is what the server says of its recordings.
type recorderState struct {
	open         int
	bytes, lost  uint64 // sealed bytes written, packets that are not in them
	failureCount uint64
}

// server observes the server from outside.
type server struct {
	metrics string // URL; "" for none
	pid     int    // when it runs on this machine; 0 for none
	http    *http.Client
}

// source names where the figures are from.
func (s server) source() string {
	switch {
	case s.metrics != "":
		return "metrics"
	case s.pid != 0:
		return "proc"
	}
	return ""
}

// look asks the server; false when it says nothing.
func (s server) look(ctx context.Context) (serverState, error) {
	switch s.source() {
	case "metrics":
		return s.scrape(ctx)
	case "proc":
		return readProc(s.pid)
	}
	return serverState{}, errors.New("load: nothing is known of the server: --metrics-url is not set")
}

func (s server) scrape(ctx context.Context) (serverState, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, nil)
	if err != nil {
		return serverState{}, fmt.Errorf("load: metrics: %w", err)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return serverState{}, fmt.Errorf("load: metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return serverState{}, fmt.Errorf("load: metrics: status %d", resp.StatusCode)
	}
	return parseMetrics(io.LimitReader(resp.Body, maxScrape))
}

// parseMetrics reads what matters of the Prometheus text format (version 0.0.4).
func parseMetrics(r io.Reader) (serverState, error) {
	s := serverState{violations: make(map[string]uint64)}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxScrape)
	known := false
	for lines.Scan() {
		name, labels, value, ok := parseSample(lines.Text())
		if !ok {
			continue
		}
		switch name {
		case "process_cpu_seconds_total":
			s.cpu, known = time.Duration(value*float64(time.Second)), true
		case "process_resident_memory_bytes":
			s.rss = uint64(value)
		case "go_goroutines":
			s.goroutines = int(value)
		case "bedside_rtp_decisions_total":
			if label(labels, "verdict") == "forwarded" {
				s.forwarded += uint64(value)
			}
		case "bedside_invariant_violations_total":
			s.violations[label(labels, "invariant")] += uint64(value)
		case "bedside_recordings":
			s.recording.open = int(value)
		case "bedside_recording_bytes_total":
			s.recording.bytes = uint64(value)
		case "bedside_recording_lost_packets_total":
			s.recording.lost = uint64(value)
		case "bedside_recording_failures_total":
			s.recording.failureCount += uint64(value)
		case "bedside_build_info":
			s.version = label(labels, "version")
		}
	}
	if err := lines.Err(); err != nil {
		return s, fmt.Errorf("load: metrics: %w", err)
	}
	if !known {
		return s, errors.New("load: metrics: this is not the page of a server: no process_cpu_seconds_total")
	}
	return s, nil
}

// parseSample splits a line such as name{label="value"} 1.
func parseSample(line string) (name, labels string, value float64, ok bool) {
	if line == "" || line[0] == '#' {
		return "", "", 0, false
	}
	name, rest, found := strings.Cut(line, "{")
	if found {
		i := strings.LastIndexByte(rest, '}')
		if i < 0 {
			return "", "", 0, false
		}
		labels, rest = rest[:i], rest[i+1:]
	} else if name, rest, found = strings.Cut(line, " "); !found {
		return "", "", 0, false
	}
	fields := strings.Fields(rest) // a time may follow
	if len(fields) == 0 {
		return "", "", 0, false
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	return name, labels, value, err == nil && value >= 0 && value < 1e18
}

// label returns the value of one label. None of ours has a quote in it.
func label(labels, name string) string {
	_, rest, found := strings.Cut(","+labels, ","+name+`="`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
