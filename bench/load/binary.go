package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// module is that of this program, as go.mod names it.
const module = "module github.com/bedside-video/bedside"

// ErrNoBinary tells that no server could be found to start.
var ErrNoBinary = errors.New("load: no bedside to start: give its path with --bedside, put it beside this program, or run in the source tree, with Go installed")

// FindBinary returns the path of a Bedside to start: the one given, one beside this program, or one
// built from the source tree that the working directory is in. remove gives back what was made for it.
func FindBinary(ctx context.Context, given string) (path string, remove func() error, err error) {
	remove = func() error { return nil }
	if given != "" {
		if _, err := os.Stat(given); err != nil {
			return "", nil, fmt.Errorf("load: the server to start: %w", err)
		}
		path, err = filepath.Abs(given)
		return path, remove, err
	}
	name := "bedside"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, remove, nil
		}
	}
	root, err := sourceTree(ctx)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "bedside-build-")
	if err != nil {
		return "", nil, fmt.Errorf("load: build the server: %w", err)
	}
	remove = func() error { return os.RemoveAll(dir) }
	path = filepath.Join(dir, name)
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/bedside")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", nil, errors.Join(fmt.Errorf("load: build the server: %w\n%s", err, out), remove())
	}
	return path, remove, nil
}

// sourceTree finds the root of this module around the working directory.
func sourceTree(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", ErrNoBinary
	}
	file := string(bytes.TrimSpace(out))
	text, err := os.ReadFile(file)
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if err != nil || string(bytes.TrimSpace(first)) != module {
		return "", ErrNoBinary
	}
	return filepath.Dir(file), nil
}
