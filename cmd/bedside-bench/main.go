// Command bedside-bench measures servers under load and behind bad networks.
//
// It exits with 0 when all is well, 1 when what was run failed, and 2 when it was asked for in a way
// that makes no sense.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/cmd/internal/command"
)

// world is what a command sees of its surroundings; tests bring their own.
type world struct {
	in   io.Reader
	out  io.Writer // what was asked for
	errs io.Writer // the rest
}

func main() {
	os.Exit(run(command.Context(), world{in: os.Stdin, out: os.Stdout, errs: os.Stderr}, os.Args[1:]))
}

// run carries out one command line until it is done or ctx ends, and returns the exit code.
func run(ctx context.Context, w world, args []string) int {
	root := command.Root("bedside-bench", "Measures for a media server for clinical video")
	root.AddCommand(runCommand(w, args), capacityCommand(w, args), linkCommand(w), compareCommand(w), versionCommand(w))
	return command.Run(ctx, root, args, w.out, w.errs)
}

func versionCommand(w world) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := fmt.Fprintf(w.out, "bedside-bench %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
				return command.Failed(err)
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
