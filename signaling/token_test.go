package signaling_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

// tokenHeader is that of every token of the server.
const tokenHeader = `{"alg":"EdDSA","typ":"JWT"}`

// forge is an attacker's workshop: what the server signs, and what others can make of it.
type forge struct {
	*testing.T
	visit  *visit
	ours   ed25519.PrivateKey // which no attacker has: rows that use it show what is wrong beside the key
	theirs ed25519.PrivateKey
	good   jwt.MapClaims
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign returns a token of exactly this header and payload.
func (f *forge) sign(key ed25519.PrivateKey, header, payload string) string {
	input := b64(header) + "." + b64(payload)
	return input + "." + b64(string(ed25519.Sign(key, []byte(input))))
}

// payload returns the claims of a good token, as JSON, with these instead; nil takes one away.
func (f *forge) payload(change jwt.MapClaims) string {
	c := maps.Clone(f.good)
	for k, v := range change {
		with(c, k, v)
	}
	data, err := json.Marshal(c)
	if err != nil {
		f.Fatal(err)
	}
	return string(data)
}

// claims returns a token that is signed as it should be and says something else.
func (f *forge) claims(change jwt.MapClaims) string {
	return f.sign(f.ours, tokenHeader, f.payload(change))
}

// header returns a token whose header is another, signed by whomever.
func (f *forge) header(key ed25519.PrivateKey, header string) string {
	return f.sign(key, header, f.payload(nil))
}

// raw returns a good token with its text changed.
func (f *forge) raw(change func(header, payload, signature string) string) string {
	parts := strings.Split(f.claims(nil), ".")
	return change(parts[0], parts[1], parts[2])
}

func (f *forge) hmac(key []byte) string {
	input := b64(`{"alg":"HS256","typ":"JWT"}`) + "." + b64(f.payload(nil))
	h := hmac.New(sha256.New, key)
	h.Write([]byte(input))
	return input + "." + b64(string(h.Sum(nil)))
}

func (f *forge) public() []byte { return f.ours.Public().(ed25519.PublicKey) }

func (f *forge) publicPEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(f.ours.Public())
	if err != nil {
		f.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// sized returns a good token of exactly n bytes, by a claim that the server does not know.
func (f *forge) sized(n int) string {
	for pad := range n {
		if token := f.claims(jwt.MapClaims{"pad": strings.Repeat("x", pad)}); len(token) >= n {
			if len(token) == n {
				return token
			}
			break
		}
	}
	f.Fatalf("no token has %d bytes", n)
	return ""
}

// shifted returns a good token with the order of the group added to the second half of its signature:
// without RFC 8032's check it would verify, too.
func (f *forge) shifted() string {
	return f.raw(func(h, p, s string) string {
		signature, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
		little := make([]byte, 32)
		for i := range little {
			little[i] = signature[63-i]
		}
		sum := new(big.Int).Add(new(big.Int).SetBytes(little), order).FillBytes(make([]byte, 32))
		for i := range sum {
			signature[32+i] = sum[31-i]
		}
		return h + "." + p + "." + b64(string(signature))
	})
}

// bits returns a good token whose last character differs in bits that decode to nothing.
func (f *forge) bits() string {
	return f.raw(func(h, p, s string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, s[len(s)-1])
		return h + "." + p + "." + s[:len(s)-1] + string(alphabet[last^1])
	})
}

type vector struct {
	name  string
	token func(*forge) string
	want  string // the code, or "" for a token that is good
}

// headerVectors are about who says how a token is checked.
func headerVectors() []vector {
	theirs := func(header string) func(*forge) string {
		return func(f *forge) string { return f.header(f.theirs, header) }
	}
	ours := func(header string) func(*forge) string {
		return func(f *forge) string { return f.header(f.ours, header) }
	}
	jwk := func(f *forge) string {
		return f.header(f.theirs, `{"alg":"EdDSA","typ":"JWT","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+b64(string(f.theirs.Public().(ed25519.PublicKey)))+`"}}`)
	}
	bare := func(header string) func(*forge) string {
		return func(f *forge) string { return b64(header) + "." + b64(f.payload(nil)) + "." }
	}
	method := func(m jwt.SigningMethod, key func() any) func(*forge) string {
		return func(f *forge) string { return signed(f.T, m, key(), f.good) }
	}
	ec := func() any { k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return k }
	rs := func() any { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k }
	const invalid = "token_invalid"
	return []vector{
		{"as the server makes them", ours(tokenHeader), ""},
		{"none", bare(`{"alg":"none","typ":"JWT"}`), invalid},
		{"None", bare(`{"alg":"None","typ":"JWT"}`), invalid},
		{"nOnE with our signature", ours(`{"alg":"nOnE","typ":"JWT"}`), invalid},
		{"no algorithm", ours(`{"typ":"JWT"}`), invalid},
		{"EdDSA without signature", bare(tokenHeader), invalid},
		{"HS256 with the public key", func(f *forge) string { return f.hmac(f.public()) }, invalid},
		{"HS256 with the public key as PEM", func(f *forge) string { return f.hmac(f.publicPEM()) }, invalid},
		{"HS256 with no key", func(f *forge) string { return f.hmac(nil) }, invalid},
		{"ES256 with a key of their own", method(jwt.SigningMethodES256, ec), invalid},
		{"RS256 with a key of their own", method(jwt.SigningMethodRS256, rs), invalid},
		{"PS256 with a key of their own", method(jwt.SigningMethodPS256, rs), invalid},
		{"ES256 over our signature", ours(`{"alg":"ES256","typ":"JWT"}`), invalid},
		{"EdDSA with a key of their own", theirs(tokenHeader), invalid},
		{"their key in jwk", jwk, invalid},
		{"their key at jku", theirs(`{"alg":"EdDSA","typ":"JWT","jku":"https://evil.example/jwks.json"}`), invalid},
		{"their key at x5u", theirs(`{"alg":"EdDSA","typ":"JWT","x5u":"https://evil.example/cert.pem"}`), invalid},
		{"their key in x5c", theirs(`{"alg":"EdDSA","typ":"JWT","x5c":["MIIB"]}`), invalid},
		{"kid of a file", theirs(`{"alg":"EdDSA","typ":"JWT","kid":"../../../../dev/null"}`), invalid},
		{"kid of a file over our signature", ours(`{"alg":"EdDSA","typ":"JWT","kid":"../../../../dev/null"}`), invalid},
		{"kid of a query", theirs(`{"alg":"EdDSA","typ":"JWT","kid":"x' UNION SELECT 'key"}`), invalid},
		{"crit of what nobody knows", ours(`{"alg":"EdDSA","typ":"JWT","crit":["x"],"x":1}`), invalid},
		{"crit and b64", ours(`{"alg":"EdDSA","typ":"JWT","b64":false,"crit":["b64"]}`), invalid},
		{"b64 without crit", ours(`{"alg":"EdDSA","typ":"JWT","b64":false}`), invalid},
		{"zip", ours(`{"alg":"EdDSA","typ":"JWT","zip":"DEF"}`), invalid},
		{"another type", ours(`{"alg":"EdDSA","typ":"at+jwt"}`), invalid},
		{"no type", ours(`{"alg":"EdDSA"}`), invalid},
		{"an algorithm twice", ours(`{"alg":"none","alg":"EdDSA","typ":"JWT"}`), invalid},
		{"an algorithm of another case", ours(`{"ALG":"none","alg":"EdDSA","typ":"JWT"}`), invalid},
		{"the header with a space", ours(`{"alg": "EdDSA","typ":"JWT"}`), invalid},
		{"a header that is a list", ours(`["EdDSA"]`), invalid},
		{"a header that is null", ours(`null`), invalid},
		{"an empty header", ours(``), invalid},
	}
}

// claimVectors are about what a token says.
func claimVectors() []vector {
	claim := func(name string, value any) func(*forge) string {
		return func(f *forge) string { return f.claims(jwt.MapClaims{name: value}) }
	}
	in := func(name string, d time.Duration) func(*forge) string {
		return func(f *forge) string { return f.claims(jwt.MapClaims{name: time.Now().Add(d).Unix()}) }
	}
	prefixed := func(prefix string) func(*forge) string {
		return func(f *forge) string {
			return f.sign(f.ours, tokenHeader, `{`+prefix+`,`+strings.TrimPrefix(f.payload(nil), "{"))
		}
	}
	const invalid, expired = "token_invalid", "token_expired"
	return []vector{
		{"exp null", func(f *forge) string {
			return f.sign(f.ours, tokenHeader, strings.Replace(f.payload(jwt.MapClaims{"exp": 7}), `"exp":7`, `"exp":null`, 1))
		}, invalid},
		{"exp with a fraction", func(f *forge) string {
			return f.claims(jwt.MapClaims{"exp": float64(time.Now().Unix()) + 30.5})
		}, ""}, // RFC 7519 section 2, NumericDate
		{"exp as text", claim("exp", fmt.Sprint(time.Now().Add(time.Hour).Unix())), invalid},
		{"exp as a list", claim("exp", []int64{9999999999}), invalid},
		{"exp true", claim("exp", true), invalid},
		{"exp 1e300", claim("exp", 1e300), invalid + "|" + expired}, // what it converts to depends on the processor
		{"exp 2^63", claim("exp", json.Number("9223372036854775808")), invalid + "|" + expired},
		{"exp negative", claim("exp", -1), expired},
		{"exp 0", claim("exp", 0), expired},
		{"exp in 61 s", in("exp", 61*time.Second), invalid},
		{"exp in a year", in("exp", 365*24*time.Hour), invalid},
		{"nbf later", in("nbf", time.Minute), invalid},
		{"nbf as text", claim("nbf", "now"), invalid},
		{"iat later", in("iat", time.Minute), invalid},
		{"iat as text", claim("iat", "now"), invalid},
		{"no iat", claim("iat", nil), invalid},
		{"no jti", claim("jti", nil), invalid},
		{"aud as text", claim("aud", "bedside-session"), ""},
		{"aud with another", claim("aud", []string{"other", "bedside-session"}), ""}, // RFC 7519 section 4.1.3
		{"aud of resuming", claim("aud", "bedside-resume"), invalid},
		{"aud empty", claim("aud", []string{}), invalid},
		{"aud a number", claim("aud", 1), invalid},
		{"aud an object", claim("aud", map[string]any{"bedside-session": true}), invalid},
		{"aud in capitals", claim("aud", "BEDSIDE-SESSION"), invalid},
		{"aud with a space", claim("aud", "bedside-session "), invalid},
		{"no iss", claim("iss", nil), invalid},
		{"iss a list", claim("iss", []string{publicURL}), invalid},
		{"iss with a slash", claim("iss", publicURL+"/"), invalid},
		{"no sub", claim("sub", nil), invalid},
		{"sub of another alphabet", claim("sub", "р_пациент"), invalid},
		{"sub a number", claim("sub", 1), invalid},
		{"cid of another alphabet", claim("cid", "\u202ec_x\x00"), "unavailable"},
		{"epoch 2^32", claim("epoch", json.Number("4294967296")), invalid},
		{"epoch -1", claim("epoch", -1), invalid},
		{"epoch as text", claim("epoch", "0"), invalid},
		{"a claim that nobody knows", claim("role", "clinician"), ""},
		{"sub twice", prefixed(`"sub":"p_x"`), ""}, // the last counts, and nobody else can sign either
		{"nested 1,000 deep", prefixed(`"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000)), ""},
		{"nested 10,000 deep", prefixed(`"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)), invalid},
		{"claims that are a list", func(f *forge) string { return f.sign(f.ours, tokenHeader, `[1]`) }, invalid},
		{"claims that are null", func(f *forge) string { return f.sign(f.ours, tokenHeader, `null`) }, invalid},
		{"claims and more", func(f *forge) string { return f.sign(f.ours, tokenHeader, f.payload(nil)+`{}`) }, invalid},
		{"no claims", func(f *forge) string { return f.sign(f.ours, tokenHeader, ``) }, invalid},
		{"4,096 bytes", func(f *forge) string { return f.sized(4096) }, ""},
		{"4,098 bytes", func(f *forge) string { return f.sized(4098) }, invalid}, // base64 has no 4,097
	}
}

// textVectors are good tokens in another spelling, and what looks like one.
func textVectors() []vector {
	raw := func(format string) func(*forge) string {
		return func(f *forge) string {
			return f.raw(func(h, p, s string) string { return strings.NewReplacer("H", h, "P", p, "S", s).Replace(format) })
		}
	}
	const invalid = "token_invalid"
	return []vector{
		{"a dot behind", raw("H.P.S."), invalid},
		{"a newline behind", raw("H.P.S\n"), invalid},
		{"a newline inside", raw("H.P.\nS"), invalid},
		{"CR LF between", raw("H\r\n.P.S"), invalid},
		{"a space before", raw(" H.P.S"), invalid},
		{"a space behind", raw("H.P.S "), invalid},
		{"NUL behind", raw("H.P.S\x00"), invalid},
		{"Bearer", raw("Bearer H.P.S"), invalid},
		{"a byte order mark", raw("\ufeffH.P.S"), invalid},
		{"padding", raw("H.P.S=="), invalid},
		{"padding in the claims", raw("H.P=.S"), invalid},
		{"two signatures", raw("H.P.S.S"), invalid},
		{"five parts", raw("H.P.S.S.S"), invalid},
		{"two parts", raw("H.P"), invalid},
		{"no parts", raw(".."), invalid},
		{"no header", raw(".P.S"), invalid},
		{"no claims", raw("H..S"), invalid},
		{"the signature of other claims", raw("H.P" + b64(" ") + ".S"), invalid},
		{"half a signature", func(f *forge) string {
			return f.raw(func(h, p, s string) string { return h + "." + p + "." + s[:43] })
		}, invalid},
		{"a signature and a byte", func(f *forge) string {
			return f.raw(func(h, p, s string) string { return h + "." + p + "." + s[:84] + b64(s[84:]) })
		}, invalid},
		{"the signature with the group's order", (*forge).shifted, invalid},
		{"the signature with other trailing bits", (*forge).bits, invalid},
		{"base64 with + and /", func(f *forge) string {
			return f.raw(func(h, p, s string) string {
				return h + "." + p + "." + strings.NewReplacer("-", "+", "_", "/").Replace(s) + "+"
			})
		}, invalid},
		{"the JSON serialization", raw(`{"protected":"H","payload":"P","signature":"S"}`), invalid},
		{"4,096 dots", func(*forge) string { return strings.Repeat(".", 4096) }, invalid},
		{"an API key", func(*forge) string { return apiKey }, invalid},
	}
}

// TestForgedTokens shows the server each vector as the first message of a session. What is refused is
// in the audit log with its code, and nowhere else.
func TestForgedTokens(t *testing.T) {
	vectors := append(append(headerVectors(), claimVectors()...), textVectors()...)
	roomy := func(c *config.Signaling, d *signaling.Deps) { withKey(c, d); c.Limits.JoinsPerSecond = 1000 }
	for _, tt := range vectors {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, roomy, func(w *world) {
				v := w.open(threePeople)
				doctor := v.enter(0)
				f := &forge{T: t, visit: v, ours: seedKey(t), good: goodClaims(v)}
				_, f.theirs, _ = ed25519.GenerateKey(rand.Reader)
				token := tt.token(f)
				w.log.reset()
				c := w.dial()
				c.sendJoin(token)
				w.settle()
				w.advance(2 * time.Second)
				got, _ := c.ended()
				if !slices.Contains(strings.Split(tt.want, "|"), got) {
					t.Errorf("got %q (%v), want %q", got, c.types(), tt.want)
				}
				if refused := w.reasons(audit.TokenRefused); tt.want != "" && (len(refused) != 1 || refused[0] != got) {
					t.Errorf("the audit log has %q, want %q", refused, got)
				}
				for _, part := range append(strings.Split(token, "."), token) {
					if len(part) > 8 && strings.Contains(w.log.String()+w.auditText()+w.metricsText(), part) {
						t.Errorf("%.20s… is in the log, the audit log or a metric", part)
					}
				}
				doctor.wantAlive()
			})
		})
	}
	t.Logf("figure: %d vectors of forged tokens", len(vectors))
}

// reasons returns the reasons of the audit log's records of a name.
func (w *world) reasons(name audit.Name) []string {
	w.Helper()
	page, err := w.audit.Read(w.Context(), audit.Query{})
	if err != nil {
		w.Fatal(err)
	}
	var list []string
	for _, r := range page.Records {
		if r.Name == name {
			list = append(list, r.Reason)
		}
	}
	return list
}

// TestForgedResumes is what a resume token must not be.
func TestForgedResumes(t *testing.T) {
	living := func(life time.Duration, change jwt.MapClaims) func(*forge) string {
		return func(f *forge) string {
			all := jwt.MapClaims{"aud": "bedside-resume", "boot": nil, "jti": nil, "exp": time.Now().Add(life).Unix()}
			maps.Copy(all, change)
			return f.claims(all)
		}
	}
	resume := func(change jwt.MapClaims) func(*forge) string { return living(10*time.Minute, change) }
	for _, tt := range []vector{
		{"as the server makes them", resume(nil), ""},
		{"a session token", func(f *forge) string { return f.visit.token(1) }, "token_invalid"},
		{"of another server", func(f *forge) string {
			return f.sign(f.theirs, tokenHeader, f.payload(jwt.MapClaims{"aud": "bedside-resume"}))
		}, "token_invalid"},
		{"for an hour", living(time.Hour, nil), "token_invalid"},
		{"expired", resume(jwt.MapClaims{"exp": -1}), "token_expired"},
		{"of another epoch", resume(jwt.MapClaims{"epoch": 1}), "invitation_revoked"},
		{"of another consultation", resume(jwt.MapClaims{"cid": "c_x"}), "unavailable"},
		{"of nobody", resume(jwt.MapClaims{"sub": "p_x"}), "token_invalid"},
		{"of somebody else", func(f *forge) string { return resume(jwt.MapClaims{"sub": f.visit.Participants[0].ID})(f) }, "token_invalid"},
		{"of a session that is not the last", resume(jwt.MapClaims{"sid": "s_x"}), "token_invalid"},
		{"of no session", resume(jwt.MapClaims{"sid": nil}), "token_invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, withKey, func(w *world) {
				v := w.open(threePeople)
				doctor := v.enter(0)
				f := &forge{T: t, visit: v, ours: seedKey(t), good: goodClaims(v)}
				_, f.theirs, _ = ed25519.GenerateKey(rand.Reader)
				patient, real := v.enter(1), jwt.MapClaims{}
				if _, _, err := jwt.NewParser().ParseUnverified(patient.last("joined").(*wire.Joined).Resume, real); err != nil {
					t.Fatal(err)
				}
				f.good["sid"] = real["sid"]
				patient.drop()
				token := tt.token(f)
				c := w.dial()
				c.send(&wire.Join{Resume: token}, 1)
				w.settle()
				if got, _ := c.ended(); got != tt.want {
					t.Errorf("got %q (%v), want %q", got, c.types(), tt.want)
				}
				if tt.want == "" {
					c.wantSee("patient:waiting")
				}
				doctor.wantAlive()
			})
		})
	}
}

// TestRefusalsAreCountedBeyondTheBurst sends more bad tokens than the audit log is to hold.
func TestRefusalsAreCountedBeyondTheBurst(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		refuse := func(n int) {
			for range n {
				c := w.dial()
				c.send(&wire.Join{Token: "x"}, 1)
				w.settle()
				c.wantEnded("token_invalid", 1008)
				c.drop()
			}
			w.settle()
		}
		refuse(150)
		if got := len(w.reasons(audit.TokenRefused)); got != 100 {
			t.Errorf("%d refusals are in the audit log, want 100", got)
		}
		w.advance(2 * time.Second)
		refuse(30)
		if got := len(w.reasons(audit.TokenRefused)); got != 120 {
			t.Errorf("two seconds later %d refusals are in the audit log, want 120", got)
		}
		if !strings.Contains(w.metricsText(), "bedside_audit_refusals_skipped_total 60\n") || !strings.Contains(w.metricsText(), `bedside_joins_total{outcome="token_invalid"} 180`+"\n") {
			t.Errorf("the rest is not counted:\n%s", w.metricsText())
		}
	})
}
