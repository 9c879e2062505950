package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bedside-video/bedside/config"
)

// secretBytes is the length of the server's own secrets.
const secretBytes = 32

// completeSecrets puts the secrets that are not configured into the configuration: those of the data
// directory, made at the first start, so that links and sessions survive a restart.
func completeSecrets(s *config.Signaling, d *dataDir, random io.Reader) error {
	for _, own := range []struct {
		name   string
		secret *config.Secret
	}{{"invitation_secret", &s.InvitationSecret}, {"token_key", &s.TokenKey}} {
		if own.secret.Reveal() != "" {
			continue
		}
		kept, err := loadOrCreateSecret(d.file(keysDir, own.name), random)
		if err != nil {
			return fmt.Errorf("signaling.%s: %w", own.name, err)
		}
		*own.secret = kept
	}
	return nil
}

// loadOrCreateSecret returns the secret in a file, or makes one and returns it when it is on disk.
func loadOrCreateSecret(path string, random io.Reader) (config.Secret, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createSecret(path, random)
	}
	if err != nil {
		return config.Secret{}, err
	}
	if err := ownAlone(path, "whoever may have read it can make links; if that is nobody, chmod 600"); err != nil {
		return config.Secret{}, err
	}
	secret := config.NewSecret(strings.TrimSpace(string(text)))
	if key, err := secret.Key(secretBytes); err != nil || key == nil {
		return config.Secret{}, fmt.Errorf("%s does not hold %d bytes in base64: restore it from a backup, or delete it, and the links given out die",
			path, secretBytes)
	}
	return secret, nil
}

func createSecret(path string, random io.Reader) (config.Secret, error) {
	secret := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, secret); err != nil {
		return config.Secret{}, fmt.Errorf("random numbers: %w", err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return config.Secret{}, err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return config.Secret{}, err
	}
	text := base64.StdEncoding.EncodeToString(secret)
	if err := writeFile(path, []byte(text+"\n")); err != nil {
		return config.Secret{}, err
	}
	return config.NewSecret(text), nil
}
