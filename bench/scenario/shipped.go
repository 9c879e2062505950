package scenario

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed scenarios/*.yaml
var files embed.FS

// Shipped returns the names of the scenarios that come with the program.
func Shipped() []string {
	entries, _ := files.ReadDir("scenarios") // embedded: it is there
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return out
}

// Source returns a shipped scenario as it is written, to be parsed or copied.
func Source(name string) ([]byte, error) {
	data, err := files.ReadFile("scenarios/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("scenario: none is called %s: there are %s", quote(name), strings.Join(Shipped(), ", "))
	}
	return data, nil
}
