package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/bench/linkem"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/cmd/internal/command"
)

const (
	graceful  = 5 * time.Second // what a command has to end after a signal, before it is killed
	drainTime = 2 * time.Second // what the last packets have to arrive
)

// linkFlags are the flags of link.
type linkFlags struct {
	up, down string
	seed     uint64
	number   uint8
	control  bool
	join     string
}

func linkCommand(w world) *cobra.Command {
	var f linkFlags
	c := &cobra.Command{
		Use:   "link [flags] -- command [argument…]",
		Short: "Run a command behind an emulated link (Linux, root)",
		Long: `Runs a command in a network namespace of its own, behind an emulated link to this machine, which it
reaches at 10.88.N.1 (N is --number). When the command ends, what happened on the link is printed as one
line of JSON to standard error.

A direction is described by settings with commas between them:
  rate=1.5mbit               what the bottleneck carries (bit, kbit, mbit, gbit)
  rate=2mbit:10s/300kbit:5s  a rate that changes, again and again; 0bit is an outage
  queue=150ms                drop-tail queue, as time at the highest rate (200ms if not said)
  delay=40ms                 one way
  jitter=8ms                 standard deviation of the delay
  reorder                    jitter may let packets overtake
  loss=2%                    lost at random
  burst=4                    … in runs of so many packets on average
  dup=0.1%                   duplicated

With --control there is no command: the link stays until its standard input ends, and is told there what to be,
a line each: "both rate=1mbit,delay=40ms", "up loss=2%", "down", "report". It answers with lines of JSON, first
where it is, then what has happened. On a busy machine give it, and nothing else, a priority of its own:
chrt -f 20 bedside-bench link --control.`,
		Example: `  bedside-bench link --up rate=1mbit,delay=40ms,loss=2%,burst=4 --down rate=2mbit,delay=40ms -- ping -c 5 10.88.0.1`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && !f.control:
				return errors.New("link: no command: write it behind --")
			case len(args) > 0 && f.control:
				return errors.New("link: --control takes no command")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runBehindLink(c.Context(), w, f, args) },
	}
	c.Flags().SetInterspersed(false) // flags behind the command's name are the command's
	c.Flags().StringVar(&f.up, "up", "", "the link from the command to this machine; empty: perfect")
	c.Flags().StringVar(&f.down, "down", "", "the link from this machine to the command; empty: perfect")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "the same seed draws the same fates")
	c.Flags().Uint8Var(&f.number, "number", 0, "of the link, if there are several at once")
	c.Flags().BoolVar(&f.control, "control", false, "run no command, but take changes from standard input")
	c.Flags().StringVar(&f.join, "join", "", "a network namespace that has a link already, to put behind this one, too")
	return c
}

// runBehindLink runs a command behind a link and reports.
func runBehindLink(ctx context.Context, w world, f linkFlags, args []string) (err error) {
	cfg := linkem.TunnelConfig{Number: f.number, Seed: f.seed, Namespace: f.join}
	if cfg.Up, err = link.Parse(f.up); err != nil {
		return fmt.Errorf("--up: %w", err)
	}
	if cfg.Down, err = link.Parse(f.down); err != nil {
		return fmt.Errorf("--down: %w", err)
	}
	tunnel, err := linkem.OpenTunnel(ctx, cfg)
	if err != nil {
		return command.Failed(err)
	}
	if f.control {
		err := controlled(ctx, w, tunnel)
		if err := errors.Join(err, tunnel.Close()); err != nil {
			return command.Failed(err)
		}
		return nil
	}
	cmd := tunnel.Command(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = w.in, w.out, w.errs
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = graceful
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("link: %s: %w", args[0], err)
	}
	drain, cancel := context.WithTimeout(ctx, drainTime)
	tunnel.Drain(drain)
	cancel()
	line, jsonErr := json.Marshal(tunnel.Report())
	if jsonErr == nil {
		_, jsonErr = fmt.Fprintf(w.errs, "%s\n", line)
	}
	if err := errors.Join(err, jsonErr, tunnel.Close()); err != nil {
		return command.Failed(err)
	}
	return nil
}

// controlled keeps a link until standard input or ctx ends. Standard input cannot be interrupted: a read
// of it that nobody waits for any more ends with the process.
func controlled(ctx context.Context, w world, tunnel *linkem.Tunnel) error {
	done := make(chan error, 1)
	runControl := func() { done <- linkem.Control(tunnel, w.in, w.out) }
	go runControl()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return nil
	}
}
