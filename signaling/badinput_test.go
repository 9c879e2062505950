package signaling_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/wire"
)

// The server's signing key in these tests, as an attacker knows it: the public half.
const tokenSeed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func withKey(c *config.Signaling, _ *signaling.Deps) { c.TokenKey = config.NewSecret(tokenSeed) }

func seedKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	seed, err := base64.StdEncoding.DecodeString(tokenSeed)
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

// goodClaims are those of a session token of the second participant.
func goodClaims(v *visit) jwt.MapClaims {
	real := jwt.MapClaims{} // for what only this run of the server knows
	if _, _, err := jwt.NewParser().ParseUnverified(v.token(1), real); err != nil {
		v.Fatal(err)
	}
	return jwt.MapClaims{
		"boot": real["boot"],
		"iss":  publicURL, "aud": []string{"bedside-session"}, "sub": v.Participants[1].ID, "jti": "t_x",
		"cid": v.ID, "epoch": 0, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
}

func signed(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func with(c jwt.MapClaims, key string, value any) jwt.MapClaims {
	if c[key] = value; value == nil {
		delete(c, key)
	}
	return c
}

// TestTokens shows the server every kind of bad token, each as the first message of a session of
// its own, while a consultation is going on.
func TestTokens(t *testing.T) {
	for _, tt := range []struct {
		name  string
		token func(*testing.T, *visit) string
		want  string // the code, or "" for a token that is good: the table can tell the difference
	}{
		{"made as the server makes them", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), goodClaims(v))
		}, ""},
		{"empty", func(*testing.T, *visit) string { return "" }, "bad_message"},
		{"not a token", func(*testing.T, *visit) string { return "hello" }, "token_invalid"},
		{"an invitation", func(_ *testing.T, v *visit) string { return v.invitations[1] }, "token_invalid"},
		{"a resume token", func(_ *testing.T, v *visit) string {
			return v.clients[0].last("joined").(*wire.Joined).Resume
		}, "token_invalid"},
		{"1 MB", func(*testing.T, *visit) string { return strings.Repeat("a", 1<<20) }, "message_too_large"},
		{"100 kB of dots", func(*testing.T, *visit) string { return strings.Repeat(".", 100_000) }, "token_invalid"},
		{"algorithm none", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, goodClaims(v))
		}, "token_invalid"},
		{"HS256 with the public key", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodHS256, []byte(seedKey(t).Public().(ed25519.PublicKey)), goodClaims(v))
		}, "token_invalid"},
		{"signed by another server", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, ed25519.NewKeyFromSeed(make([]byte, 32)), goodClaims(v))
		}, "token_invalid"},
		{"another signature", func(t *testing.T, v *visit) string {
			s := signed(t, jwt.SigningMethodEdDSA, seedKey(t), goodClaims(v))
			return s[:len(s)-4] + "AAAA"
		}, "token_invalid"},
		{"of another issuer", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "iss", "https://other.example"))
		}, "token_invalid"},
		{"for another audience", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "aud", []string{"other"}))
		}, "token_invalid"},
		{"without audience", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "aud", nil))
		}, "token_invalid"},
		{"without expiry", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "exp", nil))
		}, "token_invalid"},
		{"expired now", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "exp", time.Now().Unix()))
		}, "token_expired"},
		{"of the future", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "iat", time.Now().Add(time.Hour).Unix()))
		}, "token_invalid"},
		{"naming nobody", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "sub", "p_x"))
		}, "token_invalid"},
		{"of no consultation", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "cid", "c_x"))
		}, "unavailable"},
		{"of a path", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "cid", "../../etc/passwd"))
		}, "unavailable"},
		{"of a withdrawn invitation", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "epoch", 1))
		}, "invitation_revoked"},
		{"from before the server started", func(t *testing.T, v *visit) string {
			return signed(t, jwt.SigningMethodEdDSA, seedKey(t), with(goodClaims(v), "boot", "another"))
		}, "token_expired"},
		{"used before", func(t *testing.T, v *visit) string {
			token := v.token(2)
			v.dial().send(&wire.Join{Token: token}, 1)
			v.settle()
			return token
		}, "token_used"},
		{"60 s old", func(_ *testing.T, v *visit) string {
			token := v.token(1)
			v.advance(60 * time.Second)
			return token
		}, "token_expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, withKey, func(w *world) {
				v := w.open(threePeople)
				doctor := v.enter(0)
				token := tt.token(t, v)
				c := w.dial()
				c.sendJoin(token)
				w.settle()
				w.advance(2 * time.Second)
				if got, _ := c.ended(); got != tt.want {
					t.Errorf("got %q (%v), want %q", got, c.types(), tt.want)
				}
				doctor.wantAlive()
			})
		})
	}
}

// sendJoin sends a join message without waiting for all of it to be read: the server may hang up
// in its middle.
func (c *client) sendJoin(token string) {
	data, err := wire.EncodeClient(&wire.Join{Token: token}, 1)
	if err != nil {
		c.Fatal(err)
	}
	runWrite := func() { _ = c.ws.WriteMessage(websocket.TextMessage, data) }
	c.running.Go(runWrite)
}

func TestHandshake(t *testing.T) {
	for _, tt := range []struct {
		name   string
		path   string
		header http.Header
		status int
		code   string
	}{
		{"as it should be", "/v1/connect", nil, 101, ""},
		{"own origin", "/v1/connect", http.Header{"Origin": {"http://bedside.test"}}, 101, ""},
		{"a listed origin", "/v1/connect", http.Header{"Origin": {"https://portal.example"}}, 101, ""},
		{"another origin", "/v1/connect", http.Header{"Origin": {"https://evil.example"}}, 403, "forbidden"},
		{"an origin that ends like ours", "/v1/connect", http.Header{"Origin": {"http://evil-bedside.test"}}, 403, "forbidden"},
		{"an origin that starts like ours", "/v1/connect", http.Header{"Origin": {"http://bedside.test.evil.example"}}, 403, "forbidden"},
		{"our host at another port", "/v1/connect", http.Header{"Origin": {"http://bedside.test:81"}}, 403, "forbidden"},
		{"origin null", "/v1/connect", http.Header{"Origin": {"null"}}, 403, "forbidden"},
		{"an empty origin", "/v1/connect", http.Header{"Origin": {""}}, 403, "forbidden"},
		{"token in the URL", "/v1/connect?token=abc", nil, 400, "token_in_url"},
		{"access_token in the URL", "/v1/connect?access_token=abc", nil, 400, "token_in_url"},
		{"no subprotocol", "/v1/connect", http.Header{"Sec-Websocket-Protocol": {"other"}}, 400, "bad_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			origins := func(c *config.Signaling, _ *signaling.Deps) { c.Origins = []string{"https://portal.example"} }
			inWorld(t, origins, func(w *world) {
				doctor := w.open(threePeople).enter(0)
				_, resp, _ := w.tryDial(tt.path, tt.header)
				if resp == nil || resp.StatusCode != tt.status {
					t.Fatalf("got %+v, want status %d", resp, tt.status)
				}
				if tt.code != "" {
					body := make([]byte, 1000)
					n, _ := resp.Body.Read(body)
					if !strings.Contains(string(body[:n]), `"code":"`+tt.code+`"`) {
						t.Errorf("got %s, want code %s", body[:n], tt.code)
					}
				}
				doctor.wantAlive()
			})
		})
	}
}

// TestFirstMessage is what comes instead of join.
func TestFirstMessage(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		close            int
	}{
		{"something else", `{"type":"leave"}`, "join_first", 1008},
		{"not JSON", `hello`, "bad_message", 1008},
		{"an unknown type", `{"type":"login"}`, "unknown_type", 1008},
		{"an unknown field", `{"type":"join","token":"a","user":"b"}`, "bad_message", 1008},
		{"two tokens", `{"type":"join","token":"a","resume":"b"}`, "bad_message", 1008},
		{"a long client", `{"type":"join","token":"a","client":"` + strings.Repeat("x", 65) + `"}`, "bad_message", 1008},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				doctor := w.open(threePeople).enter(0)
				c := w.dial()
				c.sendRaw(websocket.TextMessage, []byte(tt.text))
				w.settle()
				c.wantEnded(tt.want, tt.close)
				doctor.wantAlive()
			})
		})
	}
}

func TestNoJoinIn3Seconds(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		doctor := w.open(threePeople).enter(0)
		c := w.dial()
		w.advance(3*time.Second - time.Nanosecond)
		if reason, code := c.ended(); reason != "" || code != 0 {
			t.Errorf("ended too early: %q %d", reason, code)
		}
		w.advance(time.Nanosecond)
		c.wantEnded("join_timeout", 1008)
		doctor.wantAlive()
	})
}

func TestBadMessages(t *testing.T) {
	long := strings.Repeat("x", wire.MaxBodyBytes+1)
	for _, tt := range []struct {
		name, text, want string
	}{
		{"not JSON", `{`, "bad_message"},
		{"an unknown type", `{"type":"dance","id":7}`, "unknown_type"},
		{"an unknown field", `{"type":"admit","id":7,"participant":"p","really":true}`, "bad_message"},
		{"a wrong type of field", `{"type":"mute","id":7,"mid":1,"muted":true}`, "bad_message"},
		{"a second join", `{"type":"join","id":7,"token":"x"}`, "already_joined"},
		{"an SDP that cannot be answered", `{"type":"offer","id":7,"sdp":"v=0","tracks":[]}`, "bad_sdp"},
		{"a source that does not exist", `{"type":"offer","id":7,"sdp":"good","tracks":[{"mid":"0","source":"xray"}]}`, "bad_message"},
		{"33 tracks", `{"type":"offer","id":7,"sdp":"good","tracks":[` + strings.Repeat(`{"mid":"0","source":"mic"},`, 32) + `{"mid":"0","source":"mic"}]}`, "bad_message"},
		{"muting nothing", `{"type":"mute","id":7,"mid":"0","muted":true}`, "unknown_mid"},
		{"65 tiles", `{"type":"layout","id":7,"tiles":[` + strings.Repeat(`{"source":"camera"},`, 64) + `{"source":"camera"}]}`, "bad_message"},
		{"a tile of -1 pixels", `{"type":"layout","id":7,"tiles":[{"source":"camera","width":-1}]}`, "bad_message"},
		{"a tile of sound", `{"type":"layout","id":7,"tiles":[{"source":"mic"}]}`, "bad_message"},
		{"admitting by a patient", `{"type":"admit","id":7,"participant":"p"}`, "forbidden"},
		{"refusing by a patient", `{"type":"refuse","id":7,"participant":"p"}`, "forbidden"},
		{"removing by a patient", `{"type":"remove","id":7,"participant":"p"}`, "forbidden"},
		{"ending by a patient", `{"type":"end","id":7}`, "forbidden"},
		{"a long message", `{"type":"message","id":7,"kind":"chat","body":"` + long + `"}`, "message_too_large"},
		{"a message without kind", `{"type":"message","id":7,"kind":"","body":"x"}`, "bad_message"},
		{"a message to nobody", `{"type":"message","id":7,"to":"p_x","kind":"chat","body":"x"}`, "no_such_participant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				v := w.open(threePeople)
				doctor, patient, _ := v.three()
				before := len(patient.all())
				patient.sendRaw(websocket.TextMessage, []byte(tt.text))
				w.settle()
				got := ""
				if all := patient.all(); len(all) > before {
					if e, ok := all[len(all)-1].m.(*wire.Error); ok {
						got = e.Code
					}
				}
				if got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if strings.Contains(tt.text, `"id":7`) && patient.reply(7) != tt.want {
					t.Errorf("the reply to message 7 is %q, want %q", patient.reply(7), tt.want)
				}
				patient.wantAlive()
				doctor.wantAlive()
			})
		})
	}
}

func TestBinaryFrame(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		doctor, patient, _ := w.open(threePeople).three()
		patient.sendRaw(websocket.BinaryMessage, []byte(`{"type":"leave"}`))
		w.settle()
		patient.wantEnded("bad_message", 1008)
		doctor.wantAlive()
	})
}

func TestTenMegabyteFrame(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		doctor, patient, _ := w.open(threePeople).three()
		data := []byte(`{"type":"message","kind":"chat","body":"` + strings.Repeat("x", 10<<20) + `"}`)
		runWrite := func() { _ = patient.ws.WriteMessage(websocket.TextMessage, data) }
		patient.running.Go(runWrite)
		w.settle()
		patient.wantEnded("message_too_large", 1009)
		doctor.wantAlive()
	})
}

func TestThousandMessagesASecond(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, _ := v.three()
		began := time.Now()
		for i := range uint64(1000) {
			data, err := wire.EncodeClient(&wire.Say{Kind: "chat", Body: "x"}, 1000+i)
			if err != nil {
				t.Fatal(err)
			}
			if patient.ws.WriteMessage(websocket.TextMessage, data) != nil {
				break
			}
			w.advance(time.Millisecond)
			if _, code := patient.ended(); code != 0 {
				break
			}
		}
		patient.wantEnded("rate_limited", 1008)
		// 60 at once and 20 a second pass; the 101st refused message is the last.
		if got, want := time.Since(began).Round(10*time.Millisecond), 160*time.Millisecond; got != want {
			t.Errorf("ended after %v, want %v", got, want)
		}
		var done, refused int
		for _, r := range patient.all() {
			switch {
			case r.Re < 1000:
			case r.Type == "done":
				done++
			default:
				refused++
			}
		}
		if done != 63 || refused != 100 {
			t.Errorf("%d carried out and %d refused, want 63 and 100", done, refused)
		}
		doctor.wantAlive()
	})
}

func TestPingFlood(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		doctor, patient, _ := w.open(threePeople).three()
		for range 200 {
			if patient.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) != nil {
				break
			}
		}
		w.settle()
		patient.wantEnded("rate_limited", 1008)
		doctor.wantAlive()
	})
}

// TestClientThatDoesNotRead fills a session's queue: the room must not wait for it.
func TestClientThatDoesNotRead(t *testing.T) {
	fast := func(c *config.Signaling, _ *signaling.Deps) { c.Limits.MessagesInBurst = 1000 }
	inWorld(t, fast, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, _ := v.three()
		deaf, _, err := (&websocket.Dialer{NetDialContext: w.listener.dial, Subprotocols: []string{wire.Subprotocol}}).Dial("ws://bedside.test/v1/connect", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = deaf.Close() }()
		data, err := wire.EncodeClient(&wire.Join{Token: v.token(2)}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := deaf.WriteMessage(websocket.TextMessage, data); err != nil {
			t.Fatal(err)
		}
		w.settle()
		doctor.send(&wire.Admit{Participant: v.Participants[2].ID}, 8)
		w.settle()
		// The writer hangs in its first write, 5 s long; 256 messages fit the queue behind it.
		for range 300 {
			doctor.send(&wire.Say{Kind: "chat", Body: "x"}, 0)
			w.advance(time.Millisecond * 10)
		}
		doctor.wantSee("clinician:admitted patient:admitted interpreter~:admitted")
		if slices.Contains(w.media.flowing(v.ID), v.Participants[2].ID) {
			t.Error("media flows to a session that was given up")
		}
		if !strings.Contains(w.metricsText(), "bedside_session_queue_overflows_total 1\n") {
			t.Error("the overflow is not counted")
		}
		patient.wantAlive()
	})
}

func TestOneParticipantTooMany(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(`"max_participants":2,` + threePeople)
		doctor, patient := v.enter(0), v.enter(1)
		c := w.dial()
		c.send(&wire.Join{Token: v.token(2)}, 1)
		w.settle()
		c.wantEnded("consultation_full", 1008)
		doctor.wantAlive()
		doctor.wantSee("clinician:admitted patient:waiting")
		patient.wantSee("patient:waiting")
	})
}

func TestRefusedAtTheDoor(t *testing.T) {
	limits := func(c *config.Signaling, _ *signaling.Deps) { c.Limits.SessionsPerIP = 2 }
	inWorld(t, limits, func(w *world) {
		doctor := w.open(threePeople).enter(0)
		w.dial()
		if _, resp, err := w.tryDial("/v1/connect", nil); err == nil || resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a third session from one address: %+v, %v", resp, err)
		}
		doctor.wantAlive()
	})
}
