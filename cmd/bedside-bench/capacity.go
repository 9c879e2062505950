package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/bench/load"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/cmd/internal/command"
)

// capacitySchema names the form of capacity's document.
const capacitySchema = "bedside-bench-capacity/1"

// capacityFlags are the flags of capacity.
type capacityFlags struct {
	targetFlags
	least, most int
	of          string
	json        string
	verify      float64
}

// capacityReport is the document of a search.
type capacityReport struct {
	Schema   string         `json:"schema"`
	Scenario string         `json:"scenario"`
	Of       string         `json:"of"`
	Run      result.Run     `json:"run"`     // of the first step
	Largest  int            `json:"largest"` // 0 for none
	Limited  int            `json:"generator_limit,omitempty"`
	Says     string         `json:"says"`
	Steps    []capacityStep `json:"steps"` // in the order in which they ran
}

// capacityStep is one run of a search.
type capacityStep struct {
	Rooms        int                `json:"rooms"`
	Participants int                `json:"participants"`
	Verdict      result.Verdict     `json:"verdict"`
	Reasons      []string           `json:"reasons"`
	Measurements map[string]float64 `json:"measurements"`
	Server       result.Server      `json:"server"`
	Generator    result.Generator   `json:"generator"`
}

func capacityCommand(w world, args []string) *cobra.Command {
	var f capacityFlags
	c := &cobra.Command{
		Use:   "capacity scenario.yaml|name --min N --max M",
		Short: "Find the largest number of rooms that meets a scenario's objectives",
		Long: `Plays a scenario with more and more rooms, doubling from --min, then bisecting, and says with how many it
still meets its objectives. A run that does not pass is repeated before it counts. When the generator was the
limit, the search ends. With --local every run has a server of its own.

It exits with 0 when the largest number is found, with 1 when not even --min met the objectives, the
generator was the limit, or something failed, and with 2 for a wrong scenario or wrong flags.`,
		Example: `  bedside-bench capacity consult --local --min 1 --max 200 --server-cpus 0 --own-cpus 1`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, names []string) error { return f.run(c.Context(), w, names[0], args) },
	}
	f.add(c)
	c.Flags().IntVar(&f.least, "min", 1, "rooms to begin with")
	c.Flags().IntVar(&f.most, "max", 0, "rooms to end with")
	c.Flags().StringVar(&f.of, "of", "rooms", "what there is more and more of: rooms")
	c.Flags().StringVar(&f.json, "json", "", "file for the result")
	addVerify(c, &f.verify)
	return c
}

// check finds what makes no sense.
func (f *capacityFlags) check(s scenario.Scenario) error {
	switch {
	case f.of != "rooms":
		return fmt.Errorf("--of: %q: only rooms can be searched for", f.of)
	case f.least < 1 || f.most < f.least:
		return errors.New("--min and --max: 1 <= min <= max")
	case f.verify != unsaid && (f.verify < 0 || f.verify > 1):
		return errors.New("--verify: a share is between 0 and 1")
	case len(s.Objectives) == 0:
		return errors.New("the scenario has no objectives: any load would meet them")
	}
	return f.targetFlags.check()
}

// run carries the command out.
func (f *capacityFlags) run(ctx context.Context, w world, name string, args []string) error {
	s, err := readScenario(name)
	if err != nil {
		return err
	}
	if err := f.check(s); err != nil {
		return err
	}
	for _, n := range []int{f.least, f.most} { // before an hour has gone
		if _, err := s.WithRooms(name, n); err != nil {
			return err
		}
	}
	file, err := createFiles(f.json)
	if err != nil {
		return err
	}
	out := capacityReport{Schema: capacitySchema, Scenario: s.Name, Of: f.of}
	search := load.NewSearch(f.least, f.most)
	for n, ok := search.Next(); ok; n, ok = search.Next() {
		var r result.Result
		if r, err = f.step(ctx, w, s, n, args); err != nil {
			break
		}
		search.Record(out.add(n, r))
		_, _ = fmt.Fprintf(w.out, "%d rooms: %s\n", n, inShort(r))
	}
	if len(out.Steps) == 0 {
		return errors.Join(err, file.remove())
	}
	out.Largest, out.Limited, out.Says = search.Largest(), search.Limited(), search.String()
	if err != nil {
		out.Says += ", then the search ended: " + err.Error()
	}
	_, _ = fmt.Fprintf(w.out, "\n%s: %s\n", s.Name, out.Says)
	err = errors.Join(err, file.write(out.write))
	switch {
	case err != nil:
		return command.Failed(err)
	case out.Limited > 0 || out.Largest == 0:
		return command.Failed(errors.New(out.Says))
	}
	return nil
}

// step is one run of the search.
func (f *capacityFlags) step(ctx context.Context, w world, s scenario.Scenario, rooms int, args []string) (result.Result, error) {
	s, err := s.WithRooms(s.Name, rooms)
	if err != nil {
		return result.Result{}, err
	}
	at, err := f.open(ctx, args)
	if err != nil {
		return result.Result{}, err
	}
	at.cfg.Verify = verifyShare(f.verify, s)
	r, err := playOnce(ctx, w, at, s)
	if err := errors.Join(err, at.stop()); err != nil {
		return result.Result{}, command.Failed(err)
	}
	if r.Interrupted {
		return result.Result{}, command.Failed(errors.New("interrupted"))
	}
	return r, nil
}

// add notes a run and says how it went.
func (c *capacityReport) add(rooms int, r result.Result) load.Outcome {
	if len(c.Steps) == 0 {
		c.Run = r.Run
	}
	c.Steps = append(c.Steps, capacityStep{
		Rooms: rooms, Participants: r.Scenario.Participants, Verdict: r.Verdict, Reasons: r.Reasons,
		Measurements: r.Measurements, Server: r.Server, Generator: r.Generator,
	})
	switch r.Verdict {
	case result.Pass:
		return load.Passed
	case result.Invalid:
		return load.Unsound
	}
	return load.Failed
}

func (c *capacityReport) write(to io.Writer) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

// inShort is a run in one line.
func inShort(r result.Result) string {
	if r.Verdict != result.Pass {
		return reason(r)
	}
	return fmt.Sprintf("pass, delay p99 %v, join p95 %v, server %v a packet", short(r.Delay.P99), short(r.Joins.Took.P95), short(r.Server.CPUPacket))
}
