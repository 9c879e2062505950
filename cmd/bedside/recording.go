package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/cmd/internal/command"
	"github.com/bedside-video/bedside/recording"
)

// recordingsDir is where recordings are in the data directory.
const recordingsDir = "recordings"

func recordingCommand(w world) *cobra.Command {
	group := command.Group("recording", "List, open, check and erase recordings, where the hospital's keys are")
	group.Long = `Work on a server's recordings, or on those in a directory, where the hospital's keys are: decrypted is here, never on
the server. ID is as list prints it, or last for the newest. What is read from a server is in its audit log; what is read from a directory is in none.`
	group.AddCommand(recordingListCommand(w), recordingShowCommand(w), recordingOpenCommand(w), recordingVerifyCommand(w),
		recordingEraseCommand(w), recordingRewrapCommand(w), recordingKeyCommand(w))
	return group
}

func recordingListCommand(w world) *cobra.Command {
	var p shelf
	var consultation string
	c := &cobra.Command{Use: "list", Short: "List the recordings", Args: cobra.NoArgs}
	p.flags(c, false)
	c.Flags().StringVar(&consultation, "consultation", "", "only recordings of this consultation")
	c.RunE = does(func(ctx context.Context) error {
		a, err := p.place(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = a.Close() }() // nothing is written through it
		ids, err := a.IDs()
		if err != nil {
			return err
		}
		return listRecordings(w, a, ids, consultation)
	})
	return c
}

func listRecordings(w world, a place, ids []string, consultation string) error {
	var failed error
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "RECORDING\tBEGAN\tLENGTH\tPARTS\tMB\tSTATE\tCONSULTATION")
	for _, id := range ids {
		m, err := manifest(a, id)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", id, err))
			continue
		}
		if consultation != "" && m.Consultation != consultation {
			continue
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.1f\t%s\t%s\n", m.ID, m.Created.Format(time.RFC3339), length(m), len(m.Parts), float64(m.Bytes)/1e6, m.State, m.Consultation)
	}
	return errors.Join(t.Flush(), failed)
}

func length(m recording.Manifest) string {
	if m.Ended.IsZero() || m.State == recording.Erased {
		return "-"
	}
	return m.Ended.Sub(m.Created).Round(time.Second).String()
}

func manifest(a place, id string) (recording.Manifest, error) {
	r, err := a.open(id)
	if err != nil {
		return recording.Manifest{}, err
	}
	b, err := r.Manifest()
	if err = errors.Join(err, r.Close()); err != nil {
		return recording.Manifest{}, err
	}
	return recording.ParseManifest(b)
}

func recordingShowCommand(w world) *cobra.Command {
	var p shelf
	c := &cobra.Command{Use: "show ID", Short: "Print a recording's manifest", Args: cobra.ExactArgs(1)}
	p.flags(c, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		return does(func(ctx context.Context) error {
			return p.with(ctx, args[0], func(r kept) error {
				b, err := r.Manifest()
				if err != nil {
					return err
				}
				_, err = w.out.Write(b)
				return err
			})
		})(c, args)
	}
	return c
}

func recordingVerifyCommand(w world) *cobra.Command {
	var p shelf
	var key string
	c := &cobra.Command{
		Use:   "verify ID",
		Short: "Check a recording, and name what is not as it was written",
		Long: `Check a recording's signature and the SHA-256 of its parts, and with --identity each chunk: what was changed,
dropped, swapped, duplicated or cut off is named. It exits with 0 if nothing is wrong.`,
		Args: cobra.ExactArgs(1),
	}
	p.flags(c, true)
	c.Flags().StringVar(&key, "key", "", "the server's public `key` that was kept elsewhere, base64 (default: what the manifest names)")
	c.RunE = func(c *cobra.Command, args []string) error {
		node, err := base64.StdEncoding.DecodeString(key)
		if err != nil || key != "" && len(node) != 32 {
			return errors.New("--key: not an Ed25519 public key in base64")
		}
		ids, err := p.keys()
		if err != nil {
			return err
		}
		check := recording.Check{Identities: ids}
		if key != "" {
			check.NodeKey = node
		}
		return does(func(ctx context.Context) error {
			return p.with(ctx, args[0], func(r kept) error { return verifyRecording(ctx, w, r, check) })
		})(c, args)
	}
	return c
}

func verifyRecording(ctx context.Context, w world, r kept, check recording.Check) error {
	bar := newBar(w, r, 1)
	check.Read = bar.add
	m, found, err := recording.Verify(ctx, r, check)
	bar.end()
	if err != nil {
		return err
	}
	for _, f := range found {
		_, _ = fmt.Fprintln(w.out, f)
	}
	if len(found) > 0 {
		return fmt.Errorf("%s: %d things are wrong", m.ID, len(found))
	}
	text := fmt.Sprintf("%s: nothing is wrong\n%d parts, %s, %s\n", m.ID, len(m.Parts), length(m), m.State)
	if len(check.Identities) == 0 {
		text += "without --identity, only the hashes of the sealed files were checked\n"
	}
	if check.NodeKey == nil {
		text += "without --key, whoever replaces the recording can sign it anew\n"
	}
	_, err = fmt.Fprint(w.out, text)
	return err
}

func recordingOpenCommand(w world) *cobra.Command {
	var p shelf
	var out string
	c := &cobra.Command{
		Use:   "open ID",
		Short: "Decrypt a recording into one Matroska file with everybody's tracks",
		Args:  cobra.ExactArgs(1),
	}
	p.flags(c, true)
	c.Flags().StringVarP(&out, "out", "o", "", "the `file` to write, which must not exist (default: ID.mkv)")
	c.RunE = func(c *cobra.Command, args []string) error {
		ids, err := p.keys()
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return errors.New("--identity is needed: only the hospital's keys open a recording")
		}
		name := out
		if name == "" {
			name = filepath.Base(args[0]) + ".mkv"
		}
		return does(func(ctx context.Context) error {
			return p.with(ctx, args[0], func(r kept) error { return openRecording(ctx, w, r, ids, name) })
		})(c, args)
	}
	return c
}

func openRecording(ctx context.Context, w world, r kept, ids []age.Identity, name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	bar := newBar(w, r, 1)
	film := recording.Film{Identities: ids, Read: bar.add}
	found, err := film.Write(ctx, r, f)
	bar.end()
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	for _, x := range found {
		_, _ = fmt.Fprintln(w.errs, "bedside:", x)
	}
	_, err = fmt.Fprintf(w.out, "%s: not encrypted any more; delete it when it is not needed\n", name)
	if err == nil && len(found) > 0 {
		err = errors.New("the recording is not as it was written")
	}
	return err
}

func recordingEraseCommand(w world) *cobra.Command {
	var p shelf
	var reason string
	var yes bool
	c := &cobra.Command{
		Use:   "erase ID",
		Short: "Destroy a recording's key and media",
		Args:  cobra.ExactArgs(1),
	}
	p.flags(c, false)
	c.Flags().StringVar(&reason, "reason", "erased", "what the manifest that is left says")
	c.Flags().BoolVar(&yes, "yes", false, "really: it cannot be undone")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !yes {
			return errors.New("--yes is needed: without its key a recording cannot be opened by anybody")
		}
		return does(func(ctx context.Context) error {
			return p.with(ctx, args[0], func(r kept) error {
				if err := r.Shred(reason); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w.out, "%s: erased; copies of %s.key.age elsewhere still open it\n", args[0], args[0])
				return err
			})
		})(c, args)
	}
	return c
}

func recordingRewrapCommand(w world) *cobra.Command {
	var p shelf
	var to []string
	var forget bool
	c := &cobra.Command{
		Use:   "rewrap ID",
		Short: "Seal a recording's key to other recipients; the media stay as they are",
		Long: `Seal a recording's key to other recipients; the media stay as they are. The key that was there before is kept, and
opens the recording for those to whom it was sealed: a key that was replaced by mistake, or by somebody else, can be put
right by another rewrap. With --forget the former keys are destroyed, once the new one is known to be there.`,
		Args: cobra.ExactArgs(1),
	}
	p.flags(c, true)
	c.Flags().BoolVar(&forget, "forget", false, "destroy the former keys: whom only they let in cannot open the recording any more")
	c.Flags().StringArrayVar(&to, "to", nil, "a `recipient` (age1…), at least twice; all who shall open it, not only those who are new")
	c.RunE = func(c *cobra.Command, args []string) error {
		ids, err := p.keys()
		if err != nil {
			return err
		}
		return rewrap(w, &p, args[0], ids, to, forget)(c, args)
	}
	return c
}

func rewrap(w world, p *shelf, id string, ids []age.Identity, to []string, forget bool) func(*cobra.Command, []string) error {
	recipients, err := parseRecipients(to)
	if err != nil {
		return func(*cobra.Command, []string) error { return fmt.Errorf("--to: %w", err) }
	}
	return does(func(ctx context.Context) error {
		return p.with(ctx, id, func(r kept) error {
			wrapped, err := recording.Rewrap(r, recipients, ids...)
			if err != nil {
				return err
			}
			if err := replaceKey(r, wrapped, forget); err != nil {
				return err
			}
			former := "the former keys are kept; --forget destroys them"
			if forget {
				former = "the former keys are destroyed"
			}
			_, err = fmt.Fprintf(w.out, "%s: sealed to %s; %s\n", id, strings.Join(short(recipients.Fingerprints()), ", "), former)
			return err
		})
	})
}

// replaceKey replaces a key and reads it back before others are destroyed.
func replaceKey(r kept, wrapped []byte, forget bool) error {
	if err := r.PutKey(wrapped); err != nil {
		return err
	}
	stored, err := r.Key()
	if err != nil {
		return fmt.Errorf("the key was replaced, and cannot be read back: %w", err)
	}
	if !bytes.Equal(stored, wrapped) {
		return errors.New("the key that is there is not the one that was put there; the former ones are kept")
	}
	if forget {
		return r.ForgetKeys()
	}
	return nil
}

// short makes fingerprints readable.
func short(prints []string) []string {
	var all []string
	for _, p := range prints {
		all = append(all, p[:12])
	}
	return all
}
