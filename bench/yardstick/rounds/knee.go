package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// kneeFrom is how many rooms the search begins with: half a minute each is long.
const kneeFrom = 4

// kneeObjectives are what a server keeps up to its knee.
const kneeObjectives = `objectives:
  p99_delay: 50ms
  loss: 0.1%
  join_failures: 0
`

// knees finds the largest number of rooms of shape a for each server.
func (b bed) knees(ctx context.Context, o options, out, progress io.Writer) error {
	shape, err := os.ReadFile(b.scenario("a"))
	if err != nil {
		return err
	}
	file := b.scenario("knee")
	if err := os.WriteFile(file, append(shape, kneeObjectives...), 0o644); err != nil {
		return err
	}
	for n := range o.rounds {
		for i := range o.servers {
			server := o.servers[(i+n)%len(o.servers)]
			if server == recording {
				continue
			}
			fmt.Fprintf(progress, "round %d of %d: knee, %s\n", n+1, o.rounds, server)
			if err := b.knee(ctx, server, file, n+1, o, out); err != nil {
				return fmt.Errorf("round %d, knee, %s: %w", n+1, server, err)
			}
		}
	}
	return nil
}

// knee passes on what bedside-bench capacity says of one server.
func (b bed) knee(ctx context.Context, server, file string, round int, o options, out io.Writer) error {
	target, stop, err := b.target(ctx, server)
	if err != nil {
		return err
	}
	args := append([]string{"capacity", file, "--gcm", "--of", "rooms", "--min", strconv.Itoa(kneeFrom), "--max", strconv.Itoa(o.knee),
		"--json", filepath.Join(o.dir, fmt.Sprintf("knee-%s-%d.json", server, round))}, target...)
	c := b.program(ctx, b.loadCPU, "bedside-bench", args...)
	c.Env = append(os.Environ(), participants)
	said, err := c.Output()
	// Exit code 1 says that the generator was the limit, or the fewest rooms too many: what it says tells.
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && ctx.Err() == nil {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("bedside-bench %s: %w", strings.Join(args, " "), err)
	}
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s, round %d:\n%s", server, round, said)
	return err
}
