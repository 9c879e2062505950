// Command bedside is the server and the tools that go with it.
//
// It exits with 0 when all is well, 1 when what was asked for failed, and 2 when it was asked for in
// a way that makes no sense: an unknown flag, a wrong configuration.
package main

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/cmd/internal/command"
)

// world is what a command sees of its surroundings; tests bring their own.
type world struct {
	out   io.Writer // what was asked for
	errs  io.Writer // logs and errors
	clock func() time.Time
	rand  io.Reader // cryptographic
}

func main() {
	w := world{out: os.Stdout, errs: os.Stderr, clock: time.Now, rand: rand.Reader}
	os.Exit(run(command.Context(), w, os.Args[1:]))
}

// run carries out one command line until it is done or ctx ends, and returns the exit code.
func run(ctx context.Context, w world, args []string) int {
	root := command.Root("bedside", "A self-hosted media server for clinical video")
	root.AddCommand(auditCommand(w), checkCommand(w), demoCommand(w), keysCommand(w), recordingCommand(w), serveCommand(w), turnCommand(w), versionCommand(w))
	return command.Run(ctx, root, args, w.out, w.errs)
}

// does turns a function into what cobra runs, with its errors marked as failures.
func does(f func(ctx context.Context) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error {
		return command.Failed(f(c.Context()))
	}
}
