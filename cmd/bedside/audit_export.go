package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/signaling/audit"
)

// auditFilter says which records are exported.
type auditFilter struct {
	after                uint64
	tenant, consultation string
	since, until         string // as given
	from, to             time.Time
}

func auditExportCommand(w world) *cobra.Command {
	var p auditPlace
	var f auditFilter
	c := &cobra.Command{
		Use:   "export",
		Short: "Print records, one JSON object a line",
		Long: `Print the records of an audit log, one JSON object a line and each as it is signed. The whole log is
checked on the way, also where nothing is printed: if anything is wrong, the exit code is 1 and what
was printed may not be all.`,
		Args: cobra.NoArgs,
	}
	p.flags(c)
	c.Flags().Uint64Var(&f.after, "after", 0, "leave out so many records at the beginning")
	c.Flags().StringVar(&f.tenant, "tenant", "", "only records of this tenant")
	c.Flags().StringVar(&f.consultation, "consultation", "", "only records of this consultation")
	c.Flags().StringVar(&f.since, "since", "", "only records of this time (RFC 3339) and later")
	c.Flags().StringVar(&f.until, "until", "", "only records before this time (RFC 3339)")
	run := p.with(func(ctx context.Context, l auditLog) error { return exportAudit(ctx, w, l, f) })
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.parse(); err != nil {
			return err
		}
		return run(c, args)
	}
	return c
}

func (f *auditFilter) parse() error {
	for _, t := range []struct {
		flag, text string
		time       *time.Time
	}{{"since", f.since, &f.from}, {"until", f.until, &f.to}} {
		if t.text == "" {
			continue
		}
		var err error
		if *t.time, err = time.Parse(time.RFC3339, t.text); err != nil {
			return fmt.Errorf("--%s: must look like 2026-11-22T09:00:00Z", t.flag)
		}
	}
	if !f.from.IsZero() && !f.to.IsZero() && !f.from.Before(f.to) {
		return errors.New("--until must be later than --since")
	}
	return nil
}

func (f *auditFilter) wants(r *audit.Record) bool {
	return r.Index >= f.after &&
		(f.tenant == "" || f.tenant == r.Tenant) &&
		(f.consultation == "" || f.consultation == r.Consultation) &&
		(f.from.IsZero() || !r.Time.Before(f.from)) &&
		(f.to.IsZero() || r.Time.Before(f.to))
}

func exportAudit(ctx context.Context, w world, l auditLog, f auditFilter) error {
	out := bufio.NewWriter(w.out)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	p := progress{w: w, shown: w.clock(), quiet: isTerminal(w.out)}
	_, err := audit.Scan(ctx, l.dir, l.keys, l.trusted, func(r audit.Record) error {
		p.read(r.Index + 1)
		if !f.wants(&r) {
			return nil
		}
		p.printed++
		return lines.Encode(r)
	})
	return errors.Join(err, out.Flush())
}

// progress tells a person who waits that something is going on.
type progress struct {
	w       world
	shown   time.Time // when it was told last
	quiet   bool
	printed uint64
}

// progressEvery is how often it is told; looking at the clock for each record would cost more.
const progressEvery = 2 * time.Second

func (p *progress) read(records uint64) {
	if p.quiet || records%4096 != 0 {
		return
	}
	if now := p.w.clock(); now.Sub(p.shown) >= progressEvery {
		p.shown = now
		_, _ = fmt.Fprintf(p.w.errs, "bedside: %d records read, %d printed\n", records, p.printed)
	}
}

// isTerminal tells whether what is printed appears before a person's eyes.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
