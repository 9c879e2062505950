package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/yardstick/shapes"
)

const (
	stopTime = 10 * time.Second // of a server, before it is killed
	// participants is what shape b needs of a Bedside, which admits 20 to a room by itself.
	participants = "BEDSIDE_SIGNALING_LIMITS_PARTICIPANTS=200"
)

// bed is where the measuring is done: the programs, and who runs where.
type bed struct {
	dir                string // of the programs and the scenarios
	serverCPU, loadCPU string
}

// build builds the programs from the source tree.
func build(ctx context.Context, dir string, o options) (bed, error) {
	b := bed{dir: dir, serverCPU: o.serverCPU, loadCPU: o.loadCPU}
	for name, pkg := range map[string]string{"bedside": "./cmd/bedside", "bedside-bench": "./cmd/bedside-bench", "serve": "./bench/yardstick/serve"} {
		c := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), pkg)
		if out, err := c.CombinedOutput(); err != nil {
			return bed{}, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	for _, name := range shapes.Names() {
		file, err := shapes.File(name)
		if err != nil {
			return bed{}, err
		}
		if err := os.WriteFile(b.scenario(name), file, 0o644); err != nil {
			return bed{}, err
		}
	}
	return b, nil
}

func (b bed) scenario(shape string) string { return filepath.Join(b.dir, shape+".yaml") }

// program is a program of the bed on a processor.
func (b bed) program(ctx context.Context, cpu, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "taskset", append([]string{"-c", cpu, filepath.Join(b.dir, name)}, args...)...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = stopTime
	return c
}

// measure lets a server carry a shape, and keeps the result.
func (b bed) measure(ctx context.Context, server, shape, file string) (result.Result, error) {
	target, stop, err := b.target(ctx, server)
	if err != nil {
		return result.Result{}, err
	}
	err = b.load(ctx, append([]string{"run", b.scenario(shape), "--gcm", "--json", file}, target...)...)
	if err := errors.Join(err, stop()); err != nil {
		return result.Result{}, err
	}
	return readResult(file)
}

// load runs bedside-bench. Exit code 1, for an objective missed, is a result, too.
func (b bed) load(ctx context.Context, args ...string) error {
	c := b.program(ctx, b.loadCPU, "bedside-bench", args...)
	c.Env = append(os.Environ(), participants)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) && exit.ExitCode() == 1 && ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("bedside-bench %s: %w\n%s", strings.Join(args, " "), err, out)
}

// target starts a server and returns how bedside-bench finds it. A Bedside is started by bedside-bench.
func (b bed) target(ctx context.Context, server string) (flags []string, stop func() error, err error) {
	if server == bedside || server == recording {
		flags := []string{"--local", "--bedside", filepath.Join(b.dir, "bedside"), "--server-cpus", b.serverCPU, "--own-cpus", b.loadCPU}
		if server == recording {
			flags = append(flags, "--record")
		}
		return flags, func() error { return nil }, nil
	}
	running, cancel := context.WithCancel(ctx)
	c := b.program(running, b.serverCPU, "serve", server)
	c.Stderr = os.Stderr
	pipe, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("start %s: %w", server, err)
	}
	stop = func() error {
		cancel()
		var exit *exec.ExitError
		if err := c.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.As(err, &exit) {
			return fmt.Errorf("stop %s: %w", server, err)
		}
		return nil
	}
	// taskset becomes the server: the process is the same.
	url, err := bufio.NewReader(io.LimitReader(pipe, 1000)).ReadString('\n')
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start %s: %w", server, err), stop())
	}
	return []string{"--target", "whip", "--url", strings.TrimSpace(url), "--server-pid", strconv.Itoa(c.Process.Pid)}, stop, nil
}
