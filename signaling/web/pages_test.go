package web_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// TestPages starts one browser and leads it to every page that a person may come to see.
func TestPages(t *testing.T) {
	t.Parallel() // each has a browser of its own
	browser := newBrowser(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, context.Context)
	}{
		{"exchange problems", testExchangeProblems},
		{"not yet open goes on by itself", testNotYetOpen},
		{"join refused", testJoinRefused},
		{"ended", testEnded},
		{"device problems", testDeviceProblems},
		{"browser too old", testTooOld},
		{"udp blocked", testUDPBlocked},
		{"static pages", testStaticPages},
		{"precall", testPrecall},
		{"check of the connection", testCheck},
		{"patient by keyboard", testPatientByKeyboard},
		{"clinician", testClinician},
		{"offer", testOffer},
		{"ladder", testLadder},
		{"slots", testSlots},
		{"embedded", testEmbedded},
		{"unplugged", testUnplugged},
		{"reconnect", testReconnect},
		{"lost session", testLostSession},
		{"resumed by itself", testResumed},
		{"pin", testPIN},
		{"lobby and hold", testLobbyAndHold},
		{"clinician's queue", testQueue},
		{"hand over", testHandOver},
		{"language", testLanguage},
		{"strings", testStrings},
		{"right to left", testRightToLeft},
		{"sound", testSound},
		{"group", testGroup},
		{"stats", testStats},
		{"recording", testRecording},
		{"detour", testDetour},
		{"packed", testPacked},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, browser) })
	}
}

func patient() *invited {
	return &invited{joined: wire.Joined{
		Self: "p_pat", Role: wire.RolePatient, State: wire.StateWaiting,
		Roster: []wire.Participant{{ID: "p_pat", Role: wire.RolePatient, State: wire.StateWaiting, Connected: true}},
		Slots:  wire.SlotCount{Audio: 2, Video: 3},
		Policy: wire.Policy{
			Recording: "never", Profile: "general", VideoCodec: "VP8", MaxParticipants: 3,
			Publish: []wire.Source{wire.SourceMic, wire.SourceCamera, wire.SourceScreen}, Can: []string{"subscribe", "message", "leave"},
		},
	}}
}

func clinician() *invited {
	i := patient()
	i.joined.Self, i.joined.Role, i.joined.Display, i.joined.State = "p_dr", wire.RoleClinician, "Dr Lee", wire.StateAdmitted
	i.joined.Roster = []wire.Participant{{ID: "p_dr", Role: wire.RoleClinician, Display: "Dr Lee", State: wire.StateAdmitted, Connected: true}}
	i.joined.Policy.Can = []string{"subscribe", "message", "admit", "refuse", "remove", "hold", "hand_over", "end", "leave"}
	return i
}

func room() []wire.Participant {
	return []wire.Participant{
		{ID: "p_dr", Role: wire.RoleClinician, Display: "Dr Lee", State: wire.StateAdmitted, Connected: true},
		{ID: "p_pat", Role: wire.RolePatient, Display: "Maria", State: wire.StateAdmitted, Connected: true},
	}
}

func testExchangeProblems(t *testing.T, browser context.Context) {
	for code, want := range map[string]struct {
		status  int
		heading string
		retry   bool
	}{
		wire.CodeInvitationUnknown: {http.StatusNotFound, "We do not know this link", false},
		wire.CodeInvitationRevoked: {http.StatusGone, "This link is no longer valid", false},
		wire.CodeWindowClosed:      {http.StatusGone, "This consultation is over", false},
		wire.CodeConsultationEnded: {http.StatusGone, "This consultation has ended", false},
		wire.CodeConsultationFull:  {http.StatusConflict, "The consultation is full", true},
		wire.CodeUnavailable:       {http.StatusServiceUnavailable, "The video service is busy", true},
		wire.CodeRateLimited:       {http.StatusTooManyRequests, "Too many tries", true},
		wire.CodeInternal:          {http.StatusInternalServerError, "Something went wrong", true},
	} {
		t.Run(code, func(t *testing.T) {
			f := newFake(t)
			f.invite("x", &invited{problem: map[string]any{"code": code, "status": want.status, "closed_at": "2026-11-22T15:00:00Z"}})
			p := newTab(t, browser, f.URL+"/j/#x", "")
			p.problem(code, want.heading)
			if got := eval[bool](p, `Boolean(document.querySelector('[data-action="retry"]'))`); got != want.retry {
				t.Errorf("offers to try again: %v, want %v", got, want.retry)
			}
		})
	}
	t.Run("no invitation", func(t *testing.T) {
		p := newTab(t, browser, newFake(t).URL+"/j/", "")
		p.problem("no_invitation", "This link is not complete")
	})
	t.Run("network", func(t *testing.T) {
		f := newFake(t)
		p := newTab(t, browser, f.URL+"/j/#x", `globalThis.fetch = () => Promise.reject(new TypeError('offline'));`)
		p.problem("network", "We cannot reach the video service")
	})
}

func testNotYetOpen(t *testing.T, browser context.Context) {
	f := newFake(t)
	opens := time.Now().Add(2 * time.Second)
	i := patient()
	i.problem = map[string]any{"code": wire.CodeNotYetOpen, "status": http.StatusForbidden, "opens_at": opens.Format(time.RFC3339Nano)}
	f.invite("x", i)
	p := newTab(t, browser, f.URL+"/j/#x", "")
	p.problem(wire.CodeNotYetOpen, "You are early")
	f.mu.Lock()
	i.problem = nil
	f.mu.Unlock()
	p.state("welcome", "Your video consultation")
	if early := time.Until(opens); early > 100*time.Millisecond {
		t.Errorf("went on %v before the time", early)
	}
}

func testJoinRefused(t *testing.T, browser context.Context) {
	f := newFake(t)
	i := clinician()
	i.refuse = &wire.Error{Code: wire.CodeConsultationFull}
	f.invite("x", i)
	p := newTab(t, browser, f.URL+"/j/#x", "")
	p.problem(wire.CodeConsultationFull, "The consultation is full")
}

func testEnded(t *testing.T, browser context.Context) {
	for reason, want := range map[string]struct{ state, heading, action string }{
		wire.EndedByClinician:  {"ended", "The consultation has ended", ""},
		wire.EndedLeft:         {"ended", "You have left the consultation", "rejoin"},
		wire.EndedReplaced:     {"problem", "Open on another device", "use-here"},
		wire.EndedRefused:      {"problem", "You were not let in", ""},
		wire.EndedRemoved:      {"problem", "You were taken out of the consultation", ""},
		wire.EndedRevoked:      {"problem", "Your link was withdrawn", ""},
		wire.EndedCancelled:    {"problem", "This consultation was cancelled", ""},
		wire.EndedWindowClosed: {"problem", "This consultation is over", ""},
		wire.EndedSSRCLimit:    {"problem", "Something went wrong", "retry"},
	} {
		t.Run(reason, func(t *testing.T) {
			f := newFake(t)
			f.invite("x", clinician())
			p := newTab(t, browser, f.URL+"/j/#x", "")
			p.state("room", "Consultation")
			f.session(t).send(&wire.Ended{Reason: reason})
			if want.state == "problem" {
				p.problem(reason, want.heading)
			} else {
				p.state(want.state, want.heading)
			}
			if got := eval[string](p, `document.querySelector('[data-action]:not([data-action^="language"])')?.dataset.action ?? ''`); got != want.action {
				t.Errorf("offers %q, want %q", got, want.action)
			}
			if live := eval[int](p, `[...document.querySelectorAll('video')].length`); live != 0 {
				t.Errorf("%d pictures are left", live)
			}
			if want.action != "" {
				p.press(want.action)
				p.state("room", "Consultation")
			}
		})
	}
}

// failing makes getUserMedia reject kinds with an error; the others get the fake device.
func failing(kind, name string) string {
	return fmt.Sprintf(`{
		const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
		globalThis.repaired = false;
		navigator.mediaDevices.getUserMedia = (c) => !globalThis.repaired && c[%q]
			? Promise.reject(new DOMException('no', %q)) : real(c);
	}`, kind, name)
}

func testDeviceProblems(t *testing.T, browser context.Context) {
	for _, test := range []struct{ kind, err, code, heading, without string }{
		{"video", "NotAllowedError", "camera_denied", "We may not use your camera", "without-camera"},
		{"video", "NotReadableError", "camera_in_use", "Another program uses your camera", "without-camera"},
		{"video", "NotFoundError", "camera_none", "We cannot find a camera", "without-camera"},
		{"audio", "NotAllowedError", "microphone_denied", "We may not use your microphone", "without-microphone"},
		{"audio", "NotReadableError", "microphone_in_use", "Another program uses your microphone", "without-microphone"},
		{"audio", "NotFoundError", "microphone_none", "We cannot find a microphone", "without-microphone"},
	} {
		t.Run(test.code, func(t *testing.T) {
			f := newFake(t)
			f.invite("x", patient())
			p := newTab(t, browser, f.URL+"/j/#x", failing(test.kind, test.err))
			p.press("continue")
			p.problem(test.code, test.heading)
			p.press(test.without)
			p.state("devices", "Check your camera and microphone")
			p.press("join")
			p.state("waiting", "Your clinician is not here yet")
			got := eval[string](p, `['camera', 'mic'].filter((s) => bedside.isMuted(s)).join()`)
			if want := map[string]string{"video": "camera", "audio": "mic"}[test.kind]; got != want {
				t.Errorf("without %s, want %s", got, want)
			}
		})
	}
	t.Run("repaired", func(t *testing.T) {
		f := newFake(t)
		f.invite("x", patient())
		p := newTab(t, browser, f.URL+"/j/#x", failing("video", "NotReadableError"))
		p.press("continue")
		p.problem("camera_in_use", "Another program uses your camera")
		eval[bool](p, `globalThis.repaired = true`)
		p.press("retry")
		p.state("devices", "Check your camera and microphone")
		p.until(`document.querySelector('video').videoWidth > 0`)
	})
	t.Run("clinician's are told in the room", func(t *testing.T) {
		f := newFake(t)
		f.invite("x", clinician())
		p := newTab(t, browser, f.URL+"/j/#x", failing("video", "NotAllowedError"))
		p.state("room", "Consultation")
		p.until(`document.querySelector('.notice[data-bedside-problem="camera_denied"]')`)
	})
}

func testTooOld(t *testing.T, browser context.Context) {
	f := newFake(t)
	for name, inject := range map[string]string{
		"no WebRTC":  `delete globalThis.RTCPeerConnection;`,
		"no modules": `delete HTMLScriptElement.prototype.noModule;`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newTab(t, browser, f.URL+"/j/#x", inject)
			p.problem("browser_too_old", "Your browser is too old")
		})
	}
}

func testUDPBlocked(t *testing.T, browser context.Context) {
	f := newFake(t)
	i := clinician()
	i.noMedia = true
	f.invite("x", i)
	hurry := `{ const real = setTimeout; globalThis.setTimeout = (f, ms, ...a) => real(f, ms === 10000 ? 500 : ms, ...a); }`
	p := newTab(t, browser, f.URL+"/j/#x", hurry)
	s := f.session(t)
	p.problem("udp_blocked", "Your network does not let video through")
	// It keeps trying, and goes on when it works.
	f.mu.Lock()
	i.noMedia = false
	f.mu.Unlock()
	expect(t, s, any1[*wire.Offer])
	p.state("room", "Consultation")
}

func testStaticPages(t *testing.T, browser context.Context) {
	f := newFake(t)
	p := newTab(t, browser, f.URL+"/c/c_123", "")
	p.state("problem", "Please use your own link")
}

func testPrecall(t *testing.T, browser context.Context) {
	f := newFake(t)
	p := newTab(t, browser, f.URL+"/precall", "")
	p.state("welcome", "Check your camera and microphone")
	p.press("continue")
	p.state("devices", "Check your camera and microphone")
	p.until(`document.querySelector('video').videoWidth > 0`)
	p.until(`Number(document.querySelector('[role=meter]').ariaValueNow) > 0`) // the fake microphone beeps
	p.press("done")
	p.state("connection", "Your connection is good")
}
