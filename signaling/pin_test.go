package signaling_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/store"
)

const twoPINs = `"participants":[{"role":"clinician"},{"role":"patient","pin":true},{"role":"carer","pin":true}]`

func manyJoins(c *config.Signaling, d *signaling.Deps) {
	withKey(c, d)
	c.InvitationSecret = config.NewSecret(tokenSeed)
	c.Limits.JoinsPerSecond = 1000
}

// show shows an invitation with a PIN.
func (v *visit) show(i int, pin string) answer {
	v.Helper()
	body := `{"invitation":"` + v.invitations[i] + `"}`
	if pin != "" {
		body = `{"invitation":"` + v.invitations[i] + `","pin":"` + pin + `"}`
	}
	return v.ask("POST", "/v1/join", nil, body)
}

func (v *visit) wantShown(i int, pin string, status int, code, retryAfter string) {
	v.Helper()
	a := v.show(i, pin)
	if got := a.header.Get("Retry-After"); a.status != status || a.code() != code || got != retryAfter {
		v.Errorf("PIN %q: %d %s, try again after %q; want %d %s, %q", pin, a.status, a.code(), got, status, code, retryAfter)
	}
}

// TestWrongPINs is one person who guesses, as the server answers it.
func TestWrongPINs(t *testing.T) {
	inWorld(t, manyJoins, func(w *world) {
		v := w.open(twoPINs)
		right, others := v.Participants[1].PIN, v.Participants[2].PIN
		if len(right) != 6 || right == others || v.Participants[0].PIN != "" {
			t.Fatalf("the PINs are %q and %q", right, others)
		}
		var read signaling.Consultation
		if w.call("GET", "/v1/consultations/"+v.ID, apiKey, "", &read); read.Participants[1].PIN != "" || !read.Participants[1].PINRequired {
			t.Errorf("the PIN is shown again: %+v", read.Participants[1])
		}
		for range 20 {
			v.wantShown(1, "", 403, "pin_required", "") // is no guess
		}
		for _, pin := range []string{others, right + "0", " " + right, "०००००१"} {
			v.wantShown(1, pin, 403, "pin_wrong", "")
		}
		v.wantShown(1, strings.Repeat("1", 17), 422, "bad_request", "")
		v.wantShown(1, right, 200, "", "")
		for range 5 {
			v.wantShown(1, others, 403, "pin_wrong", "")
		}
		v.wantShown(1, right, 429, "pin_locked", "900")
		w.advance(10*time.Minute + 500*time.Millisecond)
		v.wantShown(1, right, 429, "pin_locked", "300") // rounded up
		v.wantShown(2, others, 200, "", "")
		w.advance(5*time.Minute - 501*time.Millisecond)
		v.wantShown(1, right, 429, "pin_locked", "1")
		w.advance(time.Millisecond)
		v.wantShown(1, right, 200, "", "")
		if wrong, locked := len(w.reasons(audit.PINFailed)), len(w.reasons(audit.PINLocked)); wrong != 9 || locked != 3 {
			t.Errorf("the audit log has %d wrong and %d locked, want 9 and 3", wrong, locked)
		}
		for _, secret := range []string{right, others} {
			if strings.Contains(w.log.String()+w.metricsText(), secret) || strings.Contains(w.auditText(), `"`+secret) {
				t.Error("a PIN is in the log, the audit log or a metric")
			}
		}
		for _, code := range []string{"pin_required", "pin_wrong", "pin_locked"} {
			if !strings.Contains(w.metricsText(), `bedside_invitations_total{outcome="`+code+`"}`) {
				t.Errorf("%s is not counted", code)
			}
		}
	})
}

// TestPINsAtOnce shows a hundred wrong PINs at the same instant.
func TestPINsAtOnce(t *testing.T) {
	inWorld(t, manyJoins, func(w *world) {
		v := w.open(twoPINs)
		var mu sync.Mutex
		codes := map[string]int{}
		var showing sync.WaitGroup
		for i := range 100 {
			runShow := func() {
				a := v.show(1, fmt.Sprintf("x%05d", i))
				mu.Lock()
				defer mu.Unlock()
				codes[a.code()]++
			}
			showing.Go(runShow)
		}
		showing.Wait()
		if codes["pin_wrong"] != 5 || codes["pin_locked"] != 95 {
			t.Errorf("got %v, want 5 wrong and 95 locked", codes)
		}
		v.wantShown(1, v.Participants[1].PIN, 429, "pin_locked", "900")
	})
}

// TestPINOutlivesARestart, the lock does not: whoever can restart the server needs no PIN.
func TestPINOutlivesARestart(t *testing.T) {
	kept := store.NewMap(100)
	var v *visit
	change := func(c *config.Signaling, d *signaling.Deps) { manyJoins(c, d); d.Store = kept }
	inWorld(t, change, func(w *world) {
		v = w.open(twoPINs)
		for range 5 {
			v.wantShown(1, "x", 403, "pin_wrong", "")
		}
	})
	inWorld(t, change, func(w *world) {
		v.world = w
		v.wantShown(1, "x", 403, "pin_wrong", "")
		v.wantShown(1, v.Participants[1].PIN, 200, "", "")
	})
}

// TestPINOfAWithdrawnInvitation is worth nothing, and tells nothing.
func TestPINOfAWithdrawnInvitation(t *testing.T) {
	inWorld(t, manyJoins, func(w *world) {
		v := w.open(twoPINs)
		if a := w.ask("DELETE", "/v1/consultations/"+v.ID+"/participants/"+v.Participants[1].ID, bearer(apiKey), ""); a.status != http.StatusNoContent {
			t.Fatalf("revoke: %d", a.status)
		}
		for _, pin := range []string{"", "x", v.Participants[1].PIN} {
			v.wantShown(1, pin, 410, "invitation_revoked", "")
		}
	})
}
