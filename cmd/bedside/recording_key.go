package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/recording/seal"
)

// recordingKeyName is the command that makes one recording's key. The server runs it, so that the secret
// half is never in the memory of a process that lives on.
const recordingKeyName = "new-key"

// keyTimeout bounds how long it may take: some 30 ms are usual.
const keyTimeout = 10 * time.Second

func recordingKeyCommand(w world) *cobra.Command {
	return &cobra.Command{
		Use: recordingKeyName, Hidden: true, Args: cobra.NoArgs,
		Short: "Make one recording's key for the recipients on standard input",
		RunE: does(func(context.Context) error {
			lines, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
			if err != nil {
				return err
			}
			to, err := parseRecipients(strings.Fields(string(lines)))
			if err != nil {
				return err
			}
			k, err := seal.NewKey(to)
			if err != nil {
				return err
			}
			return json.NewEncoder(w.out).Encode(k)
		}),
	}
}

func parseRecipients(lines []string) (seal.Recipients, error) { return seal.ParseRecipients(lines) }

// newRecordingKey makes a recording's key in a process of its own: this program, whose file may have been
// replaced since.
func newRecordingKey(ctx context.Context, to seal.Recipients) (seal.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return seal.Key{}, fmt.Errorf("new key: %w", err)
	}
	if _, err := os.Stat("/proc/self/exe"); err == nil {
		self = "/proc/self/exe"
	}
	c := exec.CommandContext(ctx, self, "recording", recordingKeyName)
	c.Env = []string{} // nothing that it could leak
	c.Stdin = strings.NewReader(strings.Join(to.Lines(), "\n"))
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return seal.Key{}, fmt.Errorf("new key: %w: %.200s", err, errs.String())
	}
	var k seal.Key
	if err := json.Unmarshal(out.Bytes(), &k); err != nil {
		return seal.Key{}, fmt.Errorf("new key: %w", err)
	}
	return k, nil
}

func newRecipientCommand(w world) *cobra.Command {
	var out string
	var classic bool
	c := &cobra.Command{
		Use:   "new-recipient",
		Short: "Make a key pair of the hospital that opens recordings; run it on a machine that is not the server",
		Long: `Make a key pair that opens recordings. The secret half is written to a file that nobody else can read; it
belongs on the machine where recordings are opened, and in a safe. The public half goes into the server's configuration.
Two pairs are needed, kept by different people: with all of them lost, so is every recording.`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVarP(&out, "out", "o", "", "the `file` for the secret key, which must not exist")
	c.Flags().BoolVar(&classic, "classic", false, "X25519 without ML-KEM, for age before 1.3; all recipients must be of one kind")
	if err := c.MarkFlagRequired("out"); err != nil {
		panic("keys: " + err.Error())
	}
	c.RunE = does(func(context.Context) error { return newRecipient(w, out, classic) })
	return c
}

func newRecipient(w world, out string, classic bool) error {
	secret, public, err := newPair(classic)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "# created: %s\n# public key: %s\n%s\n", w.clock().UTC().Format(time.RFC3339), public, secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(out))
	}
	_, err = fmt.Fprintf(w.out, `Secret half: in %s. Never on the server. Copy it to the safe before anything is recorded.
Public half, for the server's configuration, beside that of a second pair:

recording:
  recipients:
    - %s

Fingerprint, which manifests name: %s
`, out, public, seal.Fingerprint(public))
	return err
}

func newPair(classic bool) (secret, public string, err error) {
	if classic {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			return "", "", err
		}
		return id.String(), id.Recipient().String(), nil
	}
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", "", err
	}
	return id.String(), id.Recipient().String(), nil
}
