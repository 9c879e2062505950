package config

import (
	"encoding/base64"
	"fmt"
	"log/slog"
)

const hidden = "***"

// Secret is a text that is never printed: every way of formatting or encoding it yields "***", or
// nothing when it is empty. The zero value is the empty secret.
//
// The text is behind a pointer because fmt prints unexported fields without asking their String
// method: a struct that holds a Secret out of fmt's reach then shows an address.
type Secret struct{ text *string }

// NewSecret returns the secret text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the text. Whoever calls it answers for where the text goes.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Key decodes the secret as a key of n bytes in standard or URL base64, padded or not. It returns
// nil for the empty secret.
func (s Secret) Key(n int) ([]byte, error) {
	if s.text == nil {
		return nil, nil
	}
	for _, enc := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if key, err := enc.DecodeString(*s.text); err == nil && len(key) == n {
			return key, nil
		}
	}
	return nil, fmt.Errorf("must be %d bytes in base64 (openssl rand -base64 %d)", n, n)
}

func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return hidden
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return `config.Secret(` + s.String() + `)` }

// Format hides the text from every verb.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	_, _ = f.Write([]byte(text))
}

// MarshalText hides the text from encoders of text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON hides the text from encoding/json.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalYAML hides the text from YAML encoders.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue hides the text from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// UnmarshalText reads the secret from a configuration.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
