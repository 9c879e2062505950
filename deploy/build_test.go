// Package deploy_test checks what administrators are given: the binary, the files in this directory
// and docs/operations.md. There are no files but tests.
package deploy_test

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

const root = ".."

// dist is where binary puts what `make build` makes, once.
var dist string

var binary = sync.OnceValues(func() (string, error) { return makeBuild(root, dist) })

func TestMain(m *testing.M) {
	var err error
	if dist, err = os.MkdirTemp("", "bedside-deploy-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dist)
	os.Exit(code)
}

// makeBuild runs `make build` in a checkout and returns the path of the binary.
func makeBuild(checkout, dist string, environ ...string) (string, error) {
	c := exec.Command("make", "-C", checkout, "build", "DIST="+dist)
	c.Env = append(os.Environ(), environ...)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return filepath.Join(dist, "bedside"), nil
}

func bedside(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A container from scratch has no dynamic linker, and an old distribution another libc.
func TestBinaryIsStatic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the binary of this system is not ELF")
	}
	f, err := elf.Open(bedside(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a %v segment: it needs a dynamic linker", p.Type)
		}
	}
	if libraries, err := f.ImportedLibraries(); err == nil && len(libraries) > 0 {
		t.Errorf("the binary needs %v", libraries)
	}
	if len(f.Progs) == 0 {
		t.Error("no segments: not a program")
	}
}

// Two copies of the sources, in directories of different names, yield the same bytes. SOAK=1 builds
// the second one from nothing.
func TestBuildIsReproducible(t *testing.T) {
	var sums []string
	for i, name := range []string{"a", "somewhere/else"} {
		checkout := filepath.Join(t.TempDir(), name)
		copySources(t, checkout)
		var environ []string
		if i == 1 && os.Getenv("SOAK") != "" {
			environ = append(environ, "GOCACHE="+filepath.Join(t.TempDir(), "cache"))
		}
		path, err := makeBuild(checkout, filepath.Join(t.TempDir(), "dist"), environ...)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(checkout)) {
			t.Errorf("the binary names the directory it was built in")
		}
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(content)))
		t.Logf("figure: the static binary has %.1f MB", float64(len(content))/1e6)
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds differ: %v", sums)
	}
}

func copySources(t *testing.T, to string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if name != "." && (strings.HasPrefix(name, ".") || slices.Contains([]string{"dist", "bin"}, name)) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
