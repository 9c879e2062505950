// Package command is what bedside and bedside-bench have in common as commands: how they begin, how they
// are told to end, and what they exit with.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// What a command exits with.
const (
	ExitFine   = 0
	ExitFailed = 1 // at what it was asked for
	ExitUsage  = 2 // it was asked for in a way that makes no sense
)

// Root is the command name, without its subcommands.
func Root(name, short string) *cobra.Command {
	root := Group(name, short)
	root.SilenceUsage = true
	root.SilenceErrors = true
	root.CompletionOptions.DisableDefaultCmd = true
	return root
}

// Group is a command that is only others' parent. It does show its help: with nothing to do, cobra
// would take a mistyped name for no name at all and exit with 0.
func Group(name, short string) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
}

// Run carries out one command line until it is done or ctx ends, and returns the exit code.
// Errors go to errs.
func Run(ctx context.Context, root *cobra.Command, args []string, out, errs io.Writer) int {
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitFine
	}
	_, _ = fmt.Fprintf(errs, "%s: %v\n", root.Name(), err)
	var f failure
	if errors.As(err, &f) {
		return ExitFailed
	}
	_, _ = fmt.Fprintf(errs, "%s: see %s help\n", root.Name(), root.Name())
	return ExitUsage
}

// failure marks errors of carrying out a command, as against errors in how it was given.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// Failed says that err is of carrying out the command, not of how it was given. Nil stays nil.
func Failed(err error) error {
	if err == nil {
		return nil
	}
	return failure{err}
}
