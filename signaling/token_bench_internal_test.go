package signaling

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// BenchmarkRefuseToken is what a stranger can make the server work with one token: less than 1 ms.
// Only one that is signed with a key of ours costs a signature check.
func BenchmarkRefuseToken(b *testing.B) {
	t := &tokens{key: ed25519.NewKeyFromSeed(make([]byte, 32)), issuer: "https://x.example", clock: time.Now, rand: rand.Reader, used: map[string]bool{}}
	good, err := t.session("c", "p", 0)
	if err != nil {
		b.Fatal(err)
	}
	nested := tokenHeader + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(`{"a":`, 400)+"1"+strings.Repeat("}", 400))) + "."
	for _, bb := range []struct{ name, token string }{
		{"1 MB of dots", strings.Repeat(".", 1<<20)},
		{"4 KiB of dots", strings.Repeat(".", maxTokenBytes)},
		{"our header and dots", tokenHeader + strings.Repeat(".", maxTokenBytes-len(tokenHeader))},
		{"deep claims", nested + strings.Repeat("A", 86)},
		{"another algorithm", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA"},
		{"another signature", good[:len(good)-86] + strings.Repeat("A", 86)},
		{"a resume for a session", func() string { s, _ := t.resume("c", "p", "s", 0); return s }()},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := t.check(bb.token, audienceSession); err == nil {
					b.Fatal("it is good")
				}
			}
		})
	}
}
