package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

// release names the version where the go command cannot know it: in an unpacked archive, and in a
// linked working tree (golang.org/issue/58218). Only the linker sets it: make build VERSION=v1.2.3.
var release string

// build is what is known of how this binary was made. The go command records it in every checkout.
type build struct {
	Version  string    `json:"version"`  // of the module: a tag, or one made of the commit
	Revision string    `json:"revision"` // the commit, "unknown" outside a checkout
	Time     time.Time `json:"time,omitzero"`
	Modified bool      `json:"modified"` // the checkout had changes that no commit has
	Go       string    `json:"go"`
	Platform string    `json:"platform"`
	CGO      bool      `json:"cgo"` // linked with C: not the static binary of a release
}

const unknown = "unknown"

func versionCommand(w world) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version and how it was built",
		Args:  cobra.NoArgs,
		RunE: does(func(context.Context) error {
			b := thisBuild()
			if asJSON {
				return printJSON(w, b)
			}
			_, err := fmt.Fprint(w.out, b)
			return err
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printJSON(w world, v any) error {
	e := json.NewEncoder(w.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func thisBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return newBuild(info, release)
}

func newBuild(info *debug.BuildInfo, release string) build {
	b := build{
		Version: cmp.Or(release, info.Main.Version, unknown), Revision: unknown, Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time, _ = time.Parse(time.RFC3339, s.Value) // zero: not known
		case "vcs.modified":
			b.Modified = s.Value == "true"
		case "CGO_ENABLED":
			b.CGO = s.Value == "1"
		}
	}
	return b
}

// String has what a script wants in its first line and the rest below.
func (b build) String() string {
	text := fmt.Sprintf("bedside %s %s %s\nrevision %s", b.Version, b.Go, b.Platform, b.Revision)
	if !b.Time.IsZero() {
		text += " of " + b.Time.Format(time.RFC3339)
	}
	if b.Modified {
		text += ", with changes that are in no commit"
	}
	if b.CGO {
		return text + "\nlinked with C (CGO_ENABLED=1): needs this system's libc\n"
	}
	return text + "\nstatic (CGO_ENABLED=0)\n"
}

// metric is the constant 1 whose labels tell which build runs where: what changed when a figure did.
func (b build) metric() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "bedside_build_info", Help: "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": b.Go},
	})
	g.Set(1)
	return g
}
