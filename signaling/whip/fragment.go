package whip

import (
	"fmt"
	"strings"
)

const (
	ufragPrefix    = "a=ice-ufrag:"
	passwordPrefix = "a=ice-pwd:"
)

// Credentials are those of one side of an ICE session.
type Credentials struct{ Ufrag, Password string }

// take takes over the credential of a line, if it has one; the first counts, as a bundle has one transport.
func (c *Credentials) take(line string) {
	if value, ok := strings.CutPrefix(line, ufragPrefix); ok && c.Ufrag == "" {
		c.Ufrag = value
	}
	if value, ok := strings.CutPrefix(line, passwordPrefix); ok && c.Password == "" {
		c.Password = value
	}
}

// ReadFragment returns the credentials of a trickle-ice-sdpfrag (RFC 8840 section 9), or none if it has
// only candidates, which nobody needs. Errors wrap ErrSyntax.
func ReadFragment(text string) (Credentials, error) {
	var c Credentials
	lines := 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 2 || line[1] != '=' {
			return Credentials{}, fmt.Errorf("%w: a line is not <type>=<value>", ErrSyntax)
		}
		c.take(line)
		lines++
	}
	if lines == 0 {
		return Credentials{}, fmt.Errorf("%w: it is empty", ErrSyntax)
	}
	if c != (Credentials{}) && !(isICE(c.Ufrag, 4) && isICE(c.Password, 22)) {
		return Credentials{}, fmt.Errorf("%w: a=ice-ufrag and a=ice-pwd are not as RFC 8839 section 5.4 says", ErrSyntax)
	}
	return c, nil
}

// isICE reports whether s is a string of ice-char of RFC 8839 section 5.4, of at least n.
func isICE(s string, n int) bool {
	return len(s) >= n && len(s) <= 256 &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == ""
}

// CredentialsOf returns those of an answer.
func CredentialsOf(answer string) Credentials {
	var c Credentials
	for line := range strings.Lines(answer) {
		c.take(strings.TrimRight(line, "\r\n"))
	}
	return c
}

// Fragment returns the body that answers an ICE restart (RFC 9725 section 4.3.3).
func (c Credentials) Fragment() string {
	return join([]string{"a=ice-lite", ufragPrefix + c.Ufrag, passwordPrefix + c.Password})
}
