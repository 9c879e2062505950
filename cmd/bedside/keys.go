package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/cmd/internal/command"
	"github.com/bedside-video/bedside/config"
)

func keysCommand(w world) *cobra.Command {
	keys := command.Group("keys", "Make keys")
	var id, tenant string
	newKey := &cobra.Command{
		Use:   "new-api-key",
		Short: "Print a new API key, once, and the lines of the configuration that let it in",
		Args:  cobra.NoArgs,
		RunE:  does(func(context.Context) error { return printAPIKey(w, id, tenant) }),
	}
	newKey.Flags().StringVar(&id, "id", "scheduler", "what logs call the key")
	newKey.Flags().StringVar(&tenant, "tenant", "default", "whose consultations it may see")
	keys.AddCommand(newKey, newRecipientCommand(w))
	return keys
}

func printAPIKey(w world, id, tenant string) error {
	key, hash, err := newAPIKey(w.rand)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.out, `API key, shown only now (Authorization: Bearer …):

  %s

In the configuration:

signaling:
  api_keys:
    - id: %s
      tenant: %s
      scopes: [%s]
      hash: %s
`, key, id, tenant, config.ScopeConsultations, hash)
	return err
}

// newAPIKey returns 256 random bits with a prefix that scanners for leaked secrets can look for, and
// the SHA-256 of the whole.
func newAPIKey(random io.Reader) (key, hash string, err error) {
	secret := make([]byte, 32)
	if _, err := io.ReadFull(random, secret); err != nil {
		return "", "", fmt.Errorf("new API key: %w", err)
	}
	key = "bedside_" + base64.RawURLEncoding.EncodeToString(secret)
	sum := sha256.Sum256([]byte(key))
	return key, hex.EncodeToString(sum[:]), nil
}
