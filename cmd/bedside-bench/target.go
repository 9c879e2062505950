package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/bench/load"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/cmd/internal/command"
)

// keyVariable holds the API key where no file does.
const keyVariable = "BEDSIDE_API_KEY"

// Kinds of servers.
const (
	kindBedside = "bedside"
	kindWHIP    = "whip"
)

// targetFlags say what is measured, and where.
type targetFlags struct {
	kind                  string
	url, keyFile, metrics string
	pid                   int
	insecure, local, gcm  bool
	record                bool
	bedside               string
	serverCPUs, ownCPUs   string
}

func (f *targetFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.kind, "target", kindBedside, "what the server is: bedside, or whip for one of bench/yardstick, with WHIP and WHEP alone")
	c.Flags().IntVar(&f.pid, "server-pid", 0, "the server's process on this machine, where there is no --metrics-url")
	c.Flags().StringVar(&f.url, "url", "", "of the server, such as https://video.hospital.example")
	c.Flags().StringVar(&f.keyFile, "api-key-file", "", "file with an API key of the scope consultations (without it: "+keyVariable+")")
	c.Flags().StringVar(&f.metrics, "metrics-url", "", "of the server's /metrics, such as http://127.0.0.1:9443/metrics")
	c.Flags().BoolVar(&f.insecure, "insecure-skip-verify", false, "accept any certificate")
	c.Flags().BoolVar(&f.gcm, "gcm", false, "offer AES-128-GCM alone, to compare servers that encrypt alike")
	c.Flags().BoolVar(&f.local, "local", false, "start a server on this machine for the run")
	c.Flags().BoolVar(&f.record, "record", false, "have every room recorded: a clinician asks, everybody agrees; with --url the server must be able to")
	c.Flags().StringVar(&f.bedside, "bedside", "", "the server for --local (default: beside this program, or built from the source tree)")
	c.Flags().StringVar(&f.serverCPUs, "server-cpus", "", "CPUs of the server of --local, such as 0 or 0,2-3 (Linux)")
	c.Flags().StringVar(&f.ownCPUs, "own-cpus", "", "CPUs of this program (Linux)")
}

// check finds what makes no sense.
func (f *targetFlags) check() error {
	if f.kind != kindBedside && f.kind != kindWHIP {
		return fmt.Errorf("--target: %q is neither %s nor %s", f.kind, kindBedside, kindWHIP)
	}
	if f.kind == kindWHIP && (f.local || f.keyFile != "" || f.metrics != "") {
		return errors.New("--target whip goes with --url and --server-pid: leave --local, --api-key-file and --metrics-url out")
	}
	if f.kind == kindWHIP && f.record {
		return errors.New("--record: a server with WHIP and WHEP alone records nobody")
	}
	if f.record && !f.local && f.metrics == "" {
		return errors.New("--record needs --metrics-url: what is recorded is seen there")
	}
	if f.pid < 0 || f.pid > 0 && (f.local || f.metrics != "") {
		return errors.New("--server-pid is for a server that is not --local and has no --metrics-url")
	}
	if f.local == (f.url != "") {
		return errors.New("say what to measure: either --local or --url")
	}
	if f.local && (f.keyFile != "" || f.metrics != "" || f.insecure) {
		return errors.New("--local has a key, metrics and no certificate of its own: leave --api-key-file, --metrics-url and --insecure-skip-verify out")
	}
	if !f.local && (f.bedside != "" || f.serverCPUs != "") {
		return errors.New("--bedside and --server-cpus are for --local")
	}
	if _, err := parseCPUs(f.serverCPUs); err != nil {
		return fmt.Errorf("--server-cpus: %w", err)
	}
	if _, err := parseCPUs(f.ownCPUs); err != nil {
		return fmt.Errorf("--own-cpus: %w", err)
	}
	return nil
}

// site is the server that is measured, ready.
type site struct {
	cfg  load.Config // Target is for newTarget to make
	base string
	key  string
	stop func() error
}

// open makes the server ready: starts it, or finds out how to reach it.
func (f *targetFlags) open(ctx context.Context, args []string) (site, error) {
	var trust *tls.Config
	if f.insecure {
		trust = &tls.Config{InsecureSkipVerify: true} // asked for by name
	}
	s := site{cfg: load.Config{TLS: trust, HTTP: load.HTTPClient(trust), MetricsURL: f.metrics, PID: f.pid, GCM: f.gcm, Record: f.record}, stop: func() error { return nil }}
	s.cfg.Run = result.Run{Version: version(), Command: append([]string{"bedside-bench"}, args...), Machine: machine()}
	own, _ := parseCPUs(f.ownCPUs) // check has seen them
	if len(own) > 0 {
		if err := load.Pin(own); err != nil {
			return site{}, command.Failed(err)
		}
	}
	var err error
	if f.local {
		err = f.start(ctx, &s)
	} else {
		s.base = strings.TrimSuffix(f.url, "/")
		if f.kind == kindBedside {
			s.key, err = f.readKey()
		}
	}
	s.cfg.Run.Target.Kind, s.cfg.Run.Target.URL = f.kind, s.base
	if err == nil {
		_, err = s.newTarget() // to see that it can be made
	}
	return s, err
}

// start starts a server for the run.
func (f *targetFlags) start(ctx context.Context, s *site) error {
	binary, remove, err := load.FindBinary(ctx, f.bedside)
	if err != nil {
		return command.Failed(err)
	}
	s.key = "bedside_" + rand.Text()
	cpus, _ := parseCPUs(f.serverCPUs) // check has seen them
	start := load.StartLocal
	if f.record {
		start = load.StartLocalRecorder
	}
	local, err := start(ctx, binary, s.key, cpus)
	if err != nil {
		return command.Failed(errors.Join(err, remove()))
	}
	s.base, s.cfg.MetricsURL, s.cfg.PID = local.URL, local.MetricsURL, local.PID
	s.cfg.Run.Target.Version = local.Version
	s.stop = func() error { return errors.Join(local.Stop(), remove()) }
	return nil
}

// readKey reads the API key. It is shown nowhere.
func (f *targetFlags) readKey() (string, error) {
	if f.keyFile == "" {
		if key := os.Getenv(keyVariable); key != "" {
			return key, nil
		}
		return "", errors.New("an API key is needed: --api-key-file, or the environment variable " + keyVariable)
	}
	text, err := os.ReadFile(f.keyFile)
	if err != nil {
		return "", fmt.Errorf("--api-key-file: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsAny(key, " \r\n\t") {
		return "", fmt.Errorf("--api-key-file: %s does not hold one key and nothing else", f.keyFile)
	}
	return key, nil
}

// newTarget is the server for one run.
func (s site) newTarget() (load.Target, error) {
	name := make([]byte, 6)
	_, _ = rand.Read(name) // it never fails
	u, err := url.Parse(s.base)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("--url: %q is not the URL of a server, such as https://video.hospital.example", s.base)
	}
	if s.cfg.Run.Target.Kind == kindWHIP {
		return load.WHIP(s.base, "bench-"+hex.EncodeToString(name))
	}
	if s.cfg.Record {
		return load.BedsideRecording(s.base, s.key, "bench-"+hex.EncodeToString(name), s.cfg.HTTP)
	}
	return load.Bedside(s.base, s.key, "bench-"+hex.EncodeToString(name), s.cfg.HTTP)
}

// parseCPUs reads numbers and ranges with commas between them, as taskset -c does.
func parseCPUs(text string) ([]int, error) {
	if text == "" {
		return nil, nil
	}
	var out []int
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || a < 0 || b < a || b > 1023 {
			return nil, fmt.Errorf("%q is not a list of CPUs, such as 0 or 0,2-3", text)
		}
		for ; a <= b; a++ {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// machine describes where this program runs.
func machine() result.Machine {
	return result.Machine{OS: runtime.GOOS, Kernel: kernel(), CPU: processor(), CPUs: runtime.NumCPU(), Go: runtime.Version()}
}

// kernel is the version of Linux, "" elsewhere.
func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}

// processor is the name of the first processor, "" where nobody says.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
