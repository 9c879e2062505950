package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/bench/compare"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/cmd/internal/command"
)

func compareCommand(w world) *cobra.Command {
	return &cobra.Command{
		Use:   "compare BEFORE.json... --with AFTER.json... [--json]",
		Short: "Say what changed between repeated runs, beyond noise",
		Long: `Compares the results of repeated runs of one load: medians, ranges, and whether the
difference is more than what differs from run to run. From four runs of each side on, an
exact rank test decides (p < 0.05); with two or three, the ranges must not touch.`,
		Example: "  bedside-bench compare old-*.json --with new-*.json",
		// Each side takes any number of files, which flags of cobra cannot.
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			side, asJSON := 0, false
			var files [2][]string
			for _, a := range args {
				switch {
				case a == "-h" || a == "--help":
					return c.Help()
				case a == "--with":
					side = 1
				case a == "--json":
					asJSON = true
				case strings.HasPrefix(a, "-"):
					return fmt.Errorf("compare: unknown flag %s", a)
				default:
					files[side] = append(files[side], a)
				}
			}
			if len(files[0]) == 0 || len(files[1]) == 0 {
				return errors.New("compare: name the results before, then --with and those after")
			}
			return compareFiles(w, files[0], files[1], asJSON)
		},
	}
}

func compareFiles(w world, before, after []string, asJSON bool) error {
	a, err := readResults(before)
	if err != nil {
		return err
	}
	b, err := readResults(after)
	if err != nil {
		return err
	}
	c, err := compare.Compare(a, b)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if asJSON {
		e := json.NewEncoder(w.out)
		e.SetIndent("", "  ")
		err = e.Encode(c)
	} else {
		err = c.WriteTable(w.out)
	}
	if err != nil {
		return command.Failed(err)
	}
	return nil
}

func readResults(names []string) ([]result.Result, error) {
	var out []result.Result
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("compare: %w", err)
		}
		r, err := result.Read(f)
		_ = f.Close() // it was only read
		if err != nil {
			return nil, fmt.Errorf("compare: %s: %w", name, err)
		}
		out = append(out, r)
	}
	return out, nil
}
