// Command bedside is the server and the tools that go with it.
//
// It exits with 0 when all is well, 1 when what was asked for failed, and 2 when it was asked for in
// a way that makes no sense: an unknown flag, a wrong configuration.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2
)

// world is what a command sees of its surroundings; tests bring their own.
type world struct {
	out   io.Writer // what was asked for
	errs  io.Writer // logs and errors
	clock func() time.Time
	rand  io.Reader // cryptographic
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default handling is back: a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	w := world{out: os.Stdout, errs: os.Stderr, clock: time.Now, rand: rand.Reader}
	os.Exit(run(ctx, w, os.Args[1:]))
}

// run carries out one command line until it is done or ctx ends, and returns the exit code.
func run(ctx context.Context, w world, args []string) int {
	root := &cobra.Command{
		Use:           "bedside",
		Short:         "A self-hosted media server for clinical video",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          help,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(auditCommand(w), checkCommand(w), demoCommand(w), keysCommand(w), recordingCommand(w), serveCommand(w), turnCommand(w), versionCommand(w))
	root.SetArgs(args)
	root.SetOut(w.out)
	root.SetErr(w.errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitFine
	}
	_, _ = fmt.Fprintf(w.errs, "bedside: %v\n", err)
	var f failure
	if errors.As(err, &f) {
		return exitFailed
	}
	_, _ = fmt.Fprintln(w.errs, "bedside: see bedside help")
	return exitUsage
}

// help is what a command does that is only a group of others: without it, cobra would take a
// mistyped name for no name at all and exit with 0.
func help(c *cobra.Command, _ []string) error { return c.Help() }

// failure marks errors of carrying out a command, as against errors in how it was given.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// does turns a function into what cobra runs, with its errors marked as failures.
func does(f func(ctx context.Context) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error {
		if err := f(c.Context()); err != nil {
			return failure{err}
		}
		return nil
	}
}
