package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/bench/linkem"
	"github.com/bedside-video/bedside/cmd/internal/command"
)

// runArgs runs a command line and returns exit code, standard output and standard error.
func runArgs(t *testing.T, ctx context.Context, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(ctx, world{in: strings.NewReader(""), out: &out, errs: &errs}, args)
	return code, out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string // in standard output
		errs string // in standard error
	}{
		{"help", []string{"--help"}, command.ExitFine, "bedside-bench [command]", ""},
		{"help of link", []string{"link", "--help"}, command.ExitFine, "bedside-bench link --up rate=1mbit", ""},
		{"version", []string{"version"}, command.ExitFine, "bedside-bench ", ""},
		{"unknown command", []string{"lnik"}, command.ExitUsage, "", `unknown command "lnik"`},
		{"unknown flag", []string{"link", "--upp", "x"}, command.ExitUsage, "", "unknown flag: --upp"},
		{"no command", []string{"link"}, command.ExitUsage, "", "no command: write it behind --"},
		{"wrong direction", []string{"link", "--up", "speed=1mbit", "--", "true"}, command.ExitUsage, "", `--up: link: "speed=1mbit": unknown setting`},
		{"the other", []string{"link", "--down", "loss=2", "--", "true"}, command.ExitUsage, "", `--down: link: "loss=2": loss 2: not a probability`},
		{"control and a command", []string{"link", "--control", "--", "true"}, command.ExitUsage, "", "--control takes no command"},
		{"number", []string{"link", "--number", "256", "--", "true"}, command.ExitUsage, "", `invalid argument "256"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := runArgs(t, t.Context(), c.args...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
				t.Errorf("exit %d\n%s\n%s\nwant %d, %q, %q", code, out, errs, c.code, c.out, c.errs)
			}
		})
	}
}

// needTunnel skips where there can be none, and returns the flag that keeps out of the way of others.
func needTunnel(t *testing.T) string {
	t.Helper()
	for try := range 50 { // that of a run that was killed is still taken
		number := 200 + (os.Getpid()+try)%50
		tunnel, err := linkem.OpenTunnel(t.Context(), linkem.TunnelConfig{Number: uint8(number)})
		switch {
		case err == nil:
			if err := tunnel.Close(); err != nil {
				t.Fatal(err)
			}
			return "--number=" + strconv.Itoa(number)
		case errors.Is(err, linkem.ErrUnavailable):
			t.Skip("a tunnel needs Linux, root and /dev/net/tun: ", err)
		case !strings.Contains(err.Error(), "File exists"):
			t.Fatal(err)
		}
	}
	t.Fatal("fifty numbers are taken")
	return ""
}

func TestLink(t *testing.T) {
	number := needTunnel(t)
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string
		errs string
	}{
		{"its own network", []string{"ip", "-o", "-4", "route"}, command.ExitFine, "default dev link0", `{"up":{"in":0,`},
		{"a command that fails", []string{"sh", "-c", "echo out; exit 7"}, command.ExitFailed, "out", "link: sh: exit status 7"},
		{"no such command", []string{"no-such-command"}, command.ExitFailed, "", "no-such-command"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := runArgs(t, t.Context(), append([]string{"link", number}, c.args...)...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
				t.Errorf("exit %d\n%s\n%s\nwant %d, %q, %q", code, out, errs, c.code, c.out, c.errs)
			}
		})
	}
}

func TestLinkControlled(t *testing.T) {
	number := needTunnel(t)
	var out, errs bytes.Buffer
	w := world{in: strings.NewReader("both rate=1mbit\nreport\n"), out: &out, errs: &errs}
	if code := run(t.Context(), w, []string{"link", number, "--control"}); code != command.ExitFine {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 4 || !strings.HasPrefix(lines[0], `{"namespace":"bedside-link-`) || !strings.Contains(lines[2], `"late":{"looked":`) {
		t.Errorf("it said %s", out.String())
	}
}

func TestLinkInterrupted(t *testing.T) {
	number := needTunnel(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started := writer(func(string) { cancel() })
	var errs bytes.Buffer
	args := []string{"link", number, "--", "sh", "-c", "echo ready; exec sleep 60"}
	if code := run(ctx, world{in: strings.NewReader(""), out: started, errs: &errs}, args); code != command.ExitFailed {
		t.Errorf("exit %d, want %d: %s", code, command.ExitFailed, errs.String())
	}
	for _, want := range []string{`{"up":{"in":0,`, "link: sh: signal: terminated"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("no %s in %s", want, errs.String())
		}
	}
}

// writer is a function of what is written.
type writer func(string)

func (w writer) Write(b []byte) (int, error) {
	w(string(b))
	return len(b), nil
}

func TestPing(t *testing.T) {
	number := needTunnel(t)
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("no ping: ", err)
	}
	code, out, errs := runArgs(t, t.Context(), "link", number, "--up", "delay=20ms", "--down", "delay=20ms", "--",
		"ping", "-q", "-c", "10", "-i", "0.05", "10.88."+strings.TrimPrefix(number, "--number=")+".1")
	if code != command.ExitFine || !strings.Contains(errs, `"up":{"in":10,"in_bytes":840,"out":10,"out_bytes":840,"lost":0,"dropped":0,`) {
		t.Fatalf("exit %d\n%s\n%s", code, out, errs)
	}
	_, times, ok := strings.Cut(out, "min/avg/max/mdev = ")
	if least, err := strconv.ParseFloat(strings.Split(times, "/")[0], 64); !ok || err != nil || least < 40 {
		t.Errorf("shortest round trip %v ms, %v; want at least 40: %s", least, err, out)
	}
	t.Logf("figure: bedside-bench link, 20 ms each way: ping min/avg/max/mdev %s", strings.TrimSpace(times))
}
