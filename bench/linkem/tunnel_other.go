//go:build !linux

package linkem

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

func (t *Tunnel) open(context.Context, string, string) (client, server *os.File, err error) {
	return nil, nil, fmt.Errorf("%w: only Linux has network namespaces", ErrUnavailable)
}

func (t *Tunnel) remove() error { return nil }

// Command returns a command that runs in the client's namespace.
func (t *Tunnel) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, name, args...)
}
