// Rounds measures Bedside beside plain pion and the floor (bench/yardstick): the same load from the same
// clients, each server alone on one core and the load on another, in turn, several times over. Linux
// with taskset (util-linux) and the source tree are needed.
//
//	go run ./bench/yardstick/rounds -rounds 5 -shapes a,b,c,d
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/yardstick/shapes"
)

// options are the flags.
type options struct {
	rounds          int
	shapes, servers []string
	dir             string // results go here
	serverCPU       string
	loadCPU         string
	knee            int
	awake           bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "rounds:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	var which, servers string
	f := flag.NewFlagSet("rounds", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "rounds; every server comes up once in each")
	f.StringVar(&which, "shapes", "a,b,c,d", "loads, of bench/yardstick/shapes: a to g")
	f.StringVar(&servers, "servers", strings.Join(candidates(), ","), "servers")
	f.StringVar(&o.dir, "out", "", "directory for the result of every run (a temporary one if not said)")
	f.StringVar(&o.serverCPU, "server-cpu", "0", "the servers' processor, as taskset has it")
	f.StringVar(&o.loadCPU, "load-cpu", "1", "the load's")
	f.IntVar(&o.knee, "knee", 0, "instead: the largest number of rooms of shape a, up to this one, with p99 <= 50 ms and loss <= 0.1 %")
	f.BoolVar(&o.awake, "awake", true, "have both processors spin at idle priority, so that a virtual machine keeps them")
	if err := f.Parse(args); err != nil {
		return options{}, err
	}
	o.shapes, o.servers = strings.Split(which, ","), strings.Split(servers, ",")
	for _, s := range o.shapes {
		if !slices.Contains(shapes.Names(), s) {
			return options{}, fmt.Errorf("no shape %q, only %v", s, shapes.Names())
		}
	}
	for _, s := range o.servers {
		if !slices.Contains(candidates(), s) {
			return options{}, fmt.Errorf("no server %q, only %v", s, candidates())
		}
	}
	if o.rounds < 1 || o.knee != 0 && o.knee < kneeFrom || f.NArg() > 0 {
		return options{}, fmt.Errorf("at least one round, a knee of %d or more, and no arguments", kneeFrom)
	}
	return o, nil
}

// The servers that can be measured, beside the floor.
const (
	bedside = "bedside"
	// recording is Bedside with everybody recorded, to files on the disk of the system's temporary directory.
	recording = "bedside-recording"
	yardstick = "plainpion"
)

func candidates() []string { return []string{bedside, recording, yardstick, "floor"} }

// carries tells whether a server is measured under a shape: what recording costs is asked of shape a alone.
func carries(server, shape string) bool { return server != recording || shape == "a" }

func run(ctx context.Context, o options, out, progress io.Writer) error {
	scratch, err := os.MkdirTemp("", "rounds-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if o.dir == "" {
		o.dir = filepath.Join(scratch, "results")
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	b, err := build(ctx, scratch, o)
	if err != nil {
		return err
	}
	if o.awake {
		stop, err := keepAwake(ctx, o.serverCPU, o.loadCPU)
		if err != nil {
			return err
		}
		defer stop()
	}
	if o.knee > 0 {
		return b.knees(ctx, o, out, progress)
	}
	rows := make(map[[2]string]*row)
	for n := range o.rounds {
		for _, shape := range o.shapes {
			for i := range o.servers {
				// Another one begins in each round.
				server := o.servers[(i+n)%len(o.servers)]
				if !carries(server, shape) {
					continue
				}
				fmt.Fprintf(progress, "round %d of %d: shape %s, %s\n", n+1, o.rounds, shape, server)
				r, err := b.measure(ctx, server, shape, filepath.Join(o.dir, fmt.Sprintf("%s-%s-%d.json", shape, server, n+1)))
				if err != nil {
					return fmt.Errorf("round %d, shape %s, %s: %w", n+1, shape, server, err)
				}
				key := [2]string{shape, server}
				if rows[key] == nil {
					rows[key] = &row{shape: shape, server: server}
				}
				rows[key].rounds = append(rows[key].rounds, read(r))
			}
		}
	}
	var all []row
	for _, shape := range o.shapes {
		for _, server := range o.servers {
			if r := rows[[2]string{shape, server}]; r != nil {
				all = append(all, *r)
			}
		}
	}
	return table(out, all)
}

// readResult reads what a run has written.
func readResult(file string) (result.Result, error) {
	f, err := os.Open(file)
	if err != nil {
		return result.Result{}, err
	}
	defer f.Close()
	return result.Read(f)
}
