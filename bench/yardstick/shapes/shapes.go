// Package shapes holds the loads that servers are compared under. Each is a scenario
// (bench/scenario/format.md) whose traffic is exact: VP8 at 1.2 Mbit/s, 30 frames a second of five
// packets of 1000 bytes, and 50 audio packets of 80 bytes a second.
package shapes

import (
	"embed"
	"fmt"
)

//go:embed *.yaml
var files embed.FS

// Names are the shapes in their order.
func Names() []string { return []string{"a", "b", "c", "d", "e", "f", "g"} }

// File returns a shape's scenario file.
func File(name string) ([]byte, error) {
	b, err := files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("shapes: no shape %q", name)
	}
	return b, nil
}
