package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/cmd/internal/command"
	"github.com/bedside-video/bedside/signaling/audit"
)

func auditCommand(w world) *cobra.Command {
	group := command.Group("audit", "Check and read the audit log")
	group.AddCommand(auditVerifyCommand(w), auditExportCommand(w), auditKeyCommand(w))
	return group
}

// auditPlace says which log, and what to believe of it.
type auditPlace struct {
	dir, dataDir, checkpoint string
	keys                     []string
}

func (p *auditPlace) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.dir, "dir", "", "the directory of the log, or a copy of it")
	c.Flags().StringVar(&p.dataDir, "data-dir", "", "the data_dir of the server, instead of --dir")
	c.Flags().StringVar(&p.checkpoint, "checkpoint", "", "a file `checkpoint` that was copied from the log earlier: finds an older copy of the log put in its place")
	c.Flags().StringSliceVar(&p.keys, "key", nil, "a line of the log's key.pub that was kept elsewhere (default: what is beside the log)")
	c.MarkFlagsMutuallyExclusive("dir", "data-dir")
	c.MarkFlagsOneRequired("dir", "data-dir")
}

// auditLog is the log that the flags name, with what they say about it read in.
type auditLog struct {
	dir     string
	keys    []string
	trusted []byte
}

func (p *auditPlace) read() (auditLog, error) {
	l := auditLog{dir: p.dir, keys: p.keys}
	if p.dataDir != "" {
		l.dir = filepath.Join(p.dataDir, auditDir)
	}
	var err error
	if p.checkpoint != "" {
		if l.trusted, err = os.ReadFile(p.checkpoint); err != nil {
			return l, fmt.Errorf("trusted checkpoint: %w", err)
		}
		if len(l.trusted) == 0 {
			return l, fmt.Errorf("trusted checkpoint: %s is empty", p.checkpoint)
		}
	}
	if len(l.keys) == 0 {
		if l.keys, err = audit.VerifierKeys(l.dir); err != nil {
			return l, fmt.Errorf("%w; --key gives it", err)
		}
	}
	return l, nil
}

// with reads what the flags name, for which mistakes are usage, and then does something with it.
func (p *auditPlace) with(f func(context.Context, auditLog) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		l, err := p.read()
		if err != nil {
			return err
		}
		return does(func(ctx context.Context) error { return f(ctx, l) })(c, args)
	}
}

func auditVerifyCommand(w world) *cobra.Command {
	var p auditPlace
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check every record, tile and signature, and name the first record that is wrong",
		Long: `Check every record, tile and signature of an audit log, which may be in use or a copy, and name the
first record that is wrong. It exits with 0 if nothing is.

Only a checkpoint and a key that were kept on another machine show that all of a log was replaced.`,
		Args: cobra.NoArgs,
	}
	p.flags(c)
	c.RunE = p.with(func(ctx context.Context, l auditLog) error { return verifyAudit(ctx, w, l, len(p.keys) > 0) })
	return c
}

func verifyAudit(ctx context.Context, w world, l auditLog, ownKeys bool) error {
	r, err := audit.Verify(ctx, l.dir, l.keys, l.trusted)
	if err != nil {
		return err
	}
	span := "no records"
	if r.Size > 0 {
		span = fmt.Sprintf("%d records from %s to %s", r.Size, r.First.Format(time.RFC3339), r.Last.Format(time.RFC3339))
	}
	text := fmt.Sprintf("%s: nothing is wrong\n%s\nroot %s\n", r.Origin, span, r.Root)
	if r.Signed < r.Size {
		text += fmt.Sprintf("%d of them are not covered by a checkpoint yet and were checked by the journal\n", r.Size-r.Signed)
	}
	if r.Torn > 0 {
		text += fmt.Sprintf("%d bytes at the end are of a write that did not finish: nothing was done because of it\n", r.Torn)
	}
	if len(l.trusted) == 0 {
		text += "without --checkpoint, an older copy of the whole log looks the same\n"
	}
	if !ownKeys {
		text += "without --key, the key is the one beside the log, which whoever replaces the log can replace\n"
	}
	_, err = fmt.Fprint(w.out, text)
	return err
}

func auditKeyCommand(w world) *cobra.Command {
	var dataDir string
	c := &cobra.Command{
		Use:   "new-key",
		Short: "Replace the key that signs the log; the server uses it from its next start",
		Args:  cobra.NoArgs,
		RunE: does(func(context.Context) error {
			k, err := audit.RotateKey(filepath.Join(dataDir, keysDir, auditKeyFile))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(w.out, "%s\n", k.VerifierKeys()[0])
			return err
		}),
	}
	c.Flags().StringVar(&dataDir, "data-dir", "", "the data_dir of the server")
	if err := c.MarkFlagRequired("data-dir"); err != nil {
		panic("audit: " + err.Error())
	}
	return c
}
