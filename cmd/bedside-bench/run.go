package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/load"
	"github.com/bedside-video/bedside/bench/report"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/cmd/internal/command"
)

// runFlags are the flags of run.
type runFlags struct {
	targetFlags
	json   string
	html   string
	verify float64
	seed   uint64
	seeded bool
}

func runCommand(w world, args []string) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run scenario.yaml|name",
		Short: "Play a scenario against a server and say whether it met its objectives",
		Long: `Plays a scenario (a file, or the name of a shipped one) against a server, and says whether its objectives
were met. Rooms are opened by the API, and cancelled at the end, also after Ctrl+C.

It exits with 0 when all objectives were met, with 1 when one was missed, when the run is invalid because
this program itself was the limit, or when it failed, and with 2 for a wrong scenario or wrong flags.`,
		Example: `  bedside-bench run consult --local --html report.html
  BEDSIDE_API_KEY=… bedside-bench run care-team.yaml --url https://video.hospital.example --json result.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, names []string) error {
			f.seeded = c.Flags().Changed("seed")
			return f.run(c.Context(), w, names[0], args)
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.json, "json", "", "file for the result (bench/result/format.md)")
	c.Flags().StringVar(&f.html, "html", "", "file for the report, a page that opens offline")
	addVerify(c, &f.verify)
	c.Flags().Uint64Var(&f.seed, "seed", 0, "everything that is drawn comes from it (default: the scenario's)")
	return c
}

// run carries the command out.
func (f *runFlags) run(ctx context.Context, w world, name string, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.verify != unsaid && (f.verify < 0 || f.verify > 1) {
		return errors.New("--verify: a share is between 0 and 1")
	}
	s, err := readScenario(name)
	if err != nil {
		return err
	}
	if f.seeded {
		s.Seed = f.seed
	}
	files, err := createFiles(f.json, f.html)
	if err != nil {
		return err
	}
	at, err := f.open(ctx, args)
	if err != nil {
		return errors.Join(err, files.remove())
	}
	at.cfg.Verify = verifyShare(f.verify, s)
	got, err := playOnce(ctx, w, at, s)
	err = errors.Join(err, at.stop())
	if got.Schema == "" {
		return command.Failed(errors.Join(err, files.remove()))
	}
	err = errors.Join(err, files.write(func(to io.Writer) error { return got.Write(to) }, func(to io.Writer) error { return report.Write(to, got) }))
	summarise(w.out, got, files.names())
	switch {
	case err != nil:
		return command.Failed(err)
	case got.Verdict != result.Pass:
		return command.Failed(errors.New(reason(got)))
	}
	return nil
}

// unsaid is the value of a share that nobody has given.
const unsaid = -1

func addVerify(c *cobra.Command, share *float64) {
	c.Flags().Float64Var(share, "verify", unsaid, "share of the people who decrypt and check every packet, 0 to 1 (default: all of up to 24, else 0.1)")
	c.Flags().Lookup("verify").DefValue = "0" // of which help does not speak
}

// verifyShare is how many people check every packet: all where that costs little.
func verifyShare(asked float64, s scenario.Scenario) float64 {
	switch {
	case asked != unsaid:
		return asked
	case len(scenario.Expand(s).People) <= 24:
		return 1
	}
	return 0.1
}

// playOnce plays a scenario once, with progress on the way.
func playOnce(ctx context.Context, w world, at site, s scenario.Scenario) (result.Result, error) {
	cfg := at.cfg
	cfg.Scenario, cfg.Stack = s, bench.Lean
	cfg.Log = slog.New(slog.NewTextHandler(w.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	if cfg.Target, err = at.newTarget(); err != nil {
		return result.Result{}, err
	}
	p := newProgress(w.errs, s.Name)
	cfg.Progress = p.show
	defer p.end()
	return load.Run(ctx, cfg)
}
