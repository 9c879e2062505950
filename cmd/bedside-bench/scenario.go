package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/bedside-video/bedside/bench/scenario"
)

// readScenario reads a file, or a shipped scenario by its name. What is wrong with it has file, line and
// column.
func readScenario(name string) (scenario.Scenario, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if data, err = scenario.Source(name); err != nil {
			return scenario.Scenario{}, fmt.Errorf("there is no file %s, and no shipped scenario of that name: there are %s",
				name, strings.Join(scenario.Shipped(), ", "))
		}
		name += ".yaml"
	}
	if err != nil {
		return scenario.Scenario{}, err
	}
	return scenario.Parse(name, data)
}
