package signaling_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/wire"
)

func TestPIN(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		const body = `{"external_id":"x","participants":[{"role":"clinician"},{"role":"patient","display":"canary","pin":true}]}`
		var v, again signaling.Consultation
		if status, code := w.call("POST", "/v1/consultations", apiKey, body, &v); status != 201 {
			t.Fatalf("%d %s", status, code)
		}
		pin := v.Participants[1].PIN
		if !regexp.MustCompile(`^\d{6}$`).MatchString(pin) || !v.Participants[1].PINRequired || v.Participants[0].PIN != "" {
			t.Fatalf("participants %+v", v.Participants)
		}
		if w.call("POST", "/v1/consultations", apiKey, body, &again); again.Participants[1].PIN != "" || again.Participants[1].JoinURL != v.Participants[1].JoinURL {
			t.Errorf("the PIN is shown again: %+v", again.Participants[1])
		}
		if w.call("GET", "/v1/consultations/"+v.ID, apiKey, "", &again); again.Participants[1].PIN != "" {
			t.Error("the PIN can be read")
		}
		_, invitation, _ := strings.Cut(v.Participants[1].JoinURL, "#")
		join := func(pin string) (int, string, string) {
			var answer any
			status, code := w.call("POST", "/v1/join", "", fmt.Sprintf(`{"invitation":%q,"pin":%q}`, invitation, pin), &answer)
			return status, code, fmt.Sprint(answer)
		}
		if status, code, answer := join(""); status != 403 || code != "pin_required" || strings.Contains(answer, "canary") {
			t.Errorf("without: %d %s %s", status, code, answer)
		}
		wrong := "000000"
		if pin == wrong {
			wrong = "000001"
		}
		for i := range 4 {
			if status, code, answer := join(wrong); status != 403 || code != "pin_wrong" || strings.Contains(answer, "canary") {
				t.Errorf("wrong %d: %d %s %s", i, status, code, answer)
			}
		}
		if status, _, _ := join(pin); status != 200 {
			t.Errorf("the fifth try, right: %d", status)
		}
		for range 5 {
			join(wrong)
		}
		if status, code, _ := join(pin); status != 429 || code != "pin_locked" {
			t.Errorf("the sixth try, right: %d %s, want 429 pin_locked", status, code)
		}
		w.advance(15*time.Minute - time.Second)
		req, _ := http.NewRequest("POST", publicURL+"/v1/join", strings.NewReader(fmt.Sprintf(`{"invitation":%q,"pin":%q}`, invitation, pin)))
		req.Header.Set("Content-Type", "application/json")
		resp, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("a second before: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		w.advance(time.Second)
		if status, code, _ := join(pin); status != 200 {
			t.Errorf("after 15 minutes: %d %s", status, code)
		}
		for _, text := range []string{w.log.String(), w.metricsText()} {
			if strings.Contains(text, pin) {
				t.Error("the PIN is in a log")
			}
		}
	})
}

func TestChange(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		v := w.open(`"external_id":"x",` + threePeople)
		doctor, patient, _ := v.three()
		var changed signaling.Consultation
		path := "/v1/consultations/" + v.ID
		start := v.Start.Add(2 * time.Hour)
		if status, code := w.call("PATCH", path, apiKey, fmt.Sprintf(`{"end":%q,"profile":"detail"}`, start.Format(time.RFC3339)), &changed); status != 200 {
			t.Fatalf("%d %s", status, code)
		}
		if !changed.End.Equal(start) || !changed.Window.To.Equal(start.Add(time.Hour)) || changed.Profile != "detail" || changed.Participants[1].JoinURL != v.Participants[1].JoinURL {
			t.Errorf("changed to %+v", changed)
		}
		// Everybody who is here hears of it, and the room closes at the new time.
		w.settle()
		if got, want := patient.last("roster").(*wire.Roster).Facts.Closes, start.Add(time.Hour).Format(time.RFC3339); got != want {
			t.Errorf("the patient is told that it closes at %s, want %s", got, want)
		}
		w.advance(3*time.Hour - time.Second)
		doctor.wantAlive()
		w.advance(time.Second)
		doctor.wantEnded("window_closed", 1000)
		if status, code := w.call("PATCH", path, apiKey, `{"profile":"motion"}`, nil); status != 410 || code != "consultation_ended" {
			t.Errorf("afterwards: %d %s", status, code)
		}
	})
}

func TestMoveAConsultation(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		v := w.open(`"start":"2000-01-02T09:00:00Z","end":"2000-01-02T09:20:00Z",` + threePeople)
		body := `{"invitation":"` + v.invitations[1] + `"}`
		if status, code := w.call("POST", "/v1/join", "", body, nil); status != 403 || code != "not_yet_open" {
			t.Errorf("a day early: %d %s", status, code)
		}
		var changed signaling.Consultation
		w.call("PATCH", "/v1/consultations/"+v.ID, apiKey, `{"start":"2000-01-01T00:10:00Z"}`, &changed)
		if got, want := changed.End.Format(time.RFC3339), "2000-01-01T00:30:00Z"; got != want {
			t.Errorf("ends at %s, want %s: its length stays", got, want)
		}
		if status, code := w.call("POST", "/v1/join", "", body, nil); status != 200 {
			t.Errorf("moved: %d %s", status, code)
		}
		for _, tt := range []struct{ name, body, code string }{
			{"end before start", `{"end":"1999-01-01T00:00:00Z"}`, "bad_request"},
			{"too long", `{"end":"2000-01-03T00:00:00Z"}`, "bad_request"},
			{"over already", `{"start":"1999-12-31T00:00:00Z"}`, "bad_request"},
			{"what cannot be changed", `{"max_participants":3}`, "bad_request"},
			{"a profile that there is not", `{"profile":"fast"}`, "bad_request"},
		} {
			if status, code := w.call("PATCH", "/v1/consultations/"+v.ID, apiKey, tt.body, nil); status != 422 || code != tt.code {
				t.Errorf("%s: %d %s, want 422 %s", tt.name, status, code, tt.code)
			}
		}
	})
}

func TestInvite(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		v := w.open(threePeople)
		doctor, _, _ := v.three()
		path := "/v1/consultations/" + v.ID + "/participants"
		var p signaling.Participant
		if status, code := w.call("POST", path, apiKey, `{"role":"carer","display":"Aunt","proxy_for":"r2","pin":true}`, &p); status != 201 {
			t.Fatalf("%d %s", status, code)
		}
		_, invitation, _ := strings.Cut(p.JoinURL, "#")
		var j signaling.Joining
		if status, code := w.call("POST", "/v1/join", "", fmt.Sprintf(`{"invitation":%q,"pin":%q}`, invitation, p.PIN), &j); status != 200 {
			t.Fatalf("%d %s", status, code)
		}
		if !j.Proxy {
			t.Error("the guardian's page is not told that she is one")
		}
		aunt := w.dial()
		aunt.send(&wire.Join{Token: j.Token}, 1)
		doctor.wantSee("clinician:admitted patient:admitted interpreter:admitted carer:waiting")
		doctor.wantAnswer("done", &wire.Admit{Participant: p.ID}, 9)
		v.settle()
		for _, tt := range []struct{ name, body, code string }{
			{"a second patient", `{"role":"patient"}`, "two_patients"},
			{"a patient who decides for a patient", `{"role":"patient","proxy_for":"r2"}`, "bad_request"},
			{"an observer who watches like a device", `{"role":"observer","watch":true}`, "bad_request"},
			{"no role", `{}`, "bad_request"},
		} {
			if status, code := w.call("POST", path, apiKey, tt.body, nil); status != 422 || code != tt.code {
				t.Errorf("%s: %d %s, want 422 %s", tt.name, status, code, tt.code)
			}
		}
		for range 46 {
			if status, code := w.call("POST", path, apiKey, `{"role":"observer"}`, nil); status != 201 {
				t.Fatalf("%d %s", status, code)
			}
		}
		if status, code := w.call("POST", path, apiKey, `{"role":"observer"}`, nil); status != 422 {
			t.Errorf("the 51st: %d %s", status, code)
		}
	})
}
