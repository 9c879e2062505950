// Command bedside-bench measures servers under load and behind bad networks.
//
// It exits with 0 when all is well, 1 when what was run failed, and 2 when it was asked for in a way
// that makes no sense.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes, as bedside's.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2
)

// world is what a command sees of its surroundings; tests bring their own.
type world struct {
	in   io.Reader
	out  io.Writer // what was asked for
	errs io.Writer // the rest
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default handling is back: a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, world{in: os.Stdin, out: os.Stdout, errs: os.Stderr}, os.Args[1:]))
}

// run carries out one command line until it is done or ctx ends, and returns the exit code.
func run(ctx context.Context, w world, args []string) int {
	root := &cobra.Command{
		Use:           "bedside-bench",
		Short:         "Measures for a media server for clinical video",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		// Without it, cobra would take a mistyped name for no name at all and exit with 0.
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(runCommand(w, args), capacityCommand(w, args), linkCommand(w), compareCommand(w), versionCommand(w))
	root.SetArgs(args)
	root.SetOut(w.out)
	root.SetErr(w.errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitFine
	}
	_, _ = fmt.Fprintf(w.errs, "bedside-bench: %v\n", err)
	var f failure
	if errors.As(err, &f) {
		return exitFailed
	}
	_, _ = fmt.Fprintln(w.errs, "bedside-bench: see bedside-bench help")
	return exitUsage
}

// failure marks errors of carrying out a command, as against errors in how it was given.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func versionCommand(w world) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := fmt.Fprintf(w.out, "bedside-bench %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
				return failure{err}
			}
			return nil
		},
	}
}

// version is that of this build.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
