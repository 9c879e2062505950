package web_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// scenes lists every state of the page.
func scenes() []scene {
	var all []scene
	for _, code := range []string{
		"no_invitation", wire.CodeInvitationUnknown, wire.CodeInvitationRevoked, wire.CodeWindowClosed, wire.CodeConsultationEnded,
		wire.CodeConsultationFull, wire.CodeUnavailable, wire.CodeAuditUnavailable, wire.CodeRateLimited, wire.CodeInternal, "network",
		"origin_not_allowed", "connection_lost", "insecure", "browser_too_old", wire.CodeCodecMismatch, wire.EndedReplaced,
		wire.EndedRefused, wire.EndedRemoved, wire.EndedRevoked, wire.EndedCancelled, wire.EndedSlow, wire.EndedMediaFailed, wire.EndedDraining,
	} {
		all = append(all, scene{"problem-" + code, func(s *set) *tab { return s.problem(code) }})
	}
	for _, d := range [][3]string{
		{"camera_denied", "video", "NotAllowedError"}, {"camera_in_use", "video", "NotReadableError"}, {"camera_none", "video", "NotFoundError"},
		{"microphone_denied", "audio", "NotAllowedError"}, {"microphone_in_use", "audio", "NotReadableError"}, {"microphone_none", "audio", "NotFoundError"},
	} {
		all = append(all, scene{"problem-" + d[0], func(s *set) *tab {
			p := s.open(patient(), "welcome", failing(d[1], d[2]))
			p.press("continue")
			p.in("problem")
			return p
		}})
	}
	all = append(all, []scene{
		{"welcome", welcome},
		{"welcome-observer", func(s *set) *tab {
			i := patient()
			i.joined.Role, i.joined.Display = wire.RoleObserver, "Sam Novak"
			return s.open(i, "welcome", "")
		}},
		{"problem-not_yet_open", func(s *set) *tab {
			return s.open(&invited{problem: map[string]any{
				"code": wire.CodeNotYetOpen, "status": http.StatusForbidden, "opens_at": time.Now().Add(26 * time.Hour).Format(time.RFC3339),
			}}, "problem", "")
		}},
		{"problem-udp_blocked", udpBlocked},
		{"pin", func(s *set) *tab { return s.pin(0) }},
		{"pin-wrong", pinWrong},
		{"problem-pin_locked", func(s *set) *tab { return s.open(&invited{pin: "123456", wrong: 5}, "problem", "") }},
		{"devices-asking", asking},
		{"devices", func(s *set) *tab { return s.devices("") }},
		{"devices-choice", func(s *set) *tab { return s.devices(twoDevices) }},
		{"devices-no-camera", noCamera},
		{"waiting-not-here", func(s *set) *tab { p, _ := s.waiting(false); return p }},
		{"waiting-here", func(s *set) *tab { p, _ := s.waiting(true); return p }},
		{"waiting-message", waitingMessage},
		{"waiting-slow", waitingSlow},
		{"waiting-reconnecting", waitingReconnecting},
		{"held", func(s *set) *tab { return s.held(true) }},
		{"held-clinician-gone", func(s *set) *tab { return s.held(false) }},
		{"ended", func(s *set) *tab { return s.ended(wire.EndedByClinician) }},
		{"ended-left", func(s *set) *tab { return s.ended(wire.EndedLeft) }},
		{"precall", func(s *set) *tab { return s.precall() }},
		{"precall-checking", func(s *set) *tab { return s.checked(network{rate: 2000}, "running") }},
		{"precall-ok", func(s *set) *tab { return s.checked(network{}, "ok") }},
		{"precall-warn", func(s *set) *tab { return s.checked(network{rate: 250_000 / 8}, "warn") }},
		{"precall-audio", func(s *set) *tab { return s.checked(network{rate: 100_000 / 8}, "audio") }},
		{"precall-blocked", func(s *set) *tab { return s.checked(network{blocked: true}, "blocked") }},
		{"precall-busy", func(s *set) *tab { return s.checked(network{refuse: wire.CodeRateLimited}, "busy") }},
		{"waiting-check", waitingCheck},
		{"link", func(s *set) *tab { return s.tab(s.f.URL+"/c/c_123", staticText) }},
		{"loading", loading},
		{"too-old", tooOldStatic},
	}...)
	return append(append(all, roomScenes()...), recordingScenes()...)
}

// staticText marks pages whose words stand in their HTML, in both languages.
const staticText = `addEventListener('DOMContentLoaded', () => document.body.classList.add('static'));`

func (s *set) problem(code string) *tab {
	return s.open(&invited{problem: map[string]any{
		"code": code, "status": http.StatusForbidden, "closed_at": time.Now().Add(-time.Hour).Format(time.RFC3339),
	}}, "problem", "")
}

func appointment() wire.Facts {
	start := time.Now().Truncate(time.Minute).Add(time.Minute)
	return wire.Facts{Start: start.Format(time.RFC3339), End: start.Add(20 * time.Minute).Format(time.RFC3339)}
}

func welcome(s *set) *tab {
	i := patient()
	i.joined.Display = "Maria Novak"
	i.facts = appointment()
	return s.open(i, "welcome", "")
}

func udpBlocked(s *set) *tab {
	i := clinician()
	i.noMedia = true
	return s.open(i, "problem", `{ const real = setTimeout; globalThis.setTimeout = (f, ms, ...a) => real(f, ms === 10000 ? 500 : ms, ...a); }`)
}

func (s *set) pin(wrong int) *tab {
	i := patient()
	i.pin, i.wrong = "123456", wrong
	return s.open(i, "pin", "")
}

func pinWrong(s *set) *tab {
	p := s.pin(0)
	p.key("\t111\r")
	p.until(`document.querySelector('[role=alert]').textContent`)
	return p
}

func asking(s *set) *tab {
	p := s.open(patient(), "welcome", `navigator.mediaDevices.getUserMedia = () => new Promise(() => {});`)
	p.press("continue")
	p.in("devices")
	return p
}

const twoDevices = `navigator.mediaDevices.enumerateDevices = async () => [
	{ kind: 'videoinput', deviceId: 'a', label: 'Integrated Webcam' }, { kind: 'videoinput', deviceId: 'b', label: 'HD Pro Webcam C920 (046d:082d)' },
	{ kind: 'audioinput', deviceId: 'c', label: 'Integrated Microphone' }, { kind: 'audioinput', deviceId: 'd', label: '' }];`

func (s *set) devices(inject string) *tab {
	p := s.open(patient(), "welcome", inject)
	p.press("continue")
	p.until(`document.querySelector('[data-action=join]') && document.querySelector('video').videoWidth > 0`)
	p.until(`Number(document.querySelector('[role=meter]').ariaValueNow) > 0`)
	return p
}

func noCamera(s *set) *tab {
	p := s.open(patient(), "welcome", failing("video", "NotFoundError"))
	p.press("continue")
	p.press("without-camera")
	p.until(`document.querySelector('[data-action=join]')`)
	return p
}

func (s *set) waiting(here bool) (*tab, *session) {
	i := patient()
	i.joined.Display = "Maria Novak"
	i.facts = appointment()
	i.facts.ClinicianPresent = here
	i.joined.Facts = i.facts
	p := s.open(i, "welcome", "")
	p.press("continue")
	p.press("join")
	session := s.f.session(s.t)
	p.in("waiting")
	p.until(`bedside.connection.state === 'connected' && document.querySelector('video').videoWidth > 0`)
	return p, session
}

func waitingMessage(s *set) *tab {
	p, session := s.waiting(true)
	session.send(&wire.Said{From: "p_dr", To: "p_pat", Kind: "chat", Body: s.words("Dr Lee is running 10 minutes late. Thank you for waiting.", "Dr. Lee kommt 10 Minuten später. Danke für Ihre Geduld.")})
	p.until(`document.querySelector('.message')`)
	return p
}

func waitingSlow(s *set) *tab {
	p, _ := s.waiting(false)
	eval[bool](p, poorJS+`poor(); true`)
	p.until(`document.querySelector('.notice[data-bedside-problem="slow"]')`)
	return p
}

// poorJS has poor(), which says ten times what a poor connection would. The page's own samples, which
// are good ones, are kept away.
const poorJS = `globalThis.poor = (received = []) => {
	const real = bedside.dispatchEvent.bind(bedside);
	bedside.dispatchEvent = (e) => e.type === 'quality' || real(e);
	const level = received.length ? 'good' : 'poor';
	for (let i = 0; i < 10; i++) real(new CustomEvent('quality', { detail: { level, roundTrip: 910, downLoss: .124, upLoss: .02, received } }));
};`

func waitingReconnecting(s *set) *tab {
	p, session := s.waiting(true)
	_ = session.conn.Close()
	p.until(`document.querySelector('.notice[data-bedside-problem="reconnecting"]')`)
	return p
}

func (s *set) held(present bool) *tab {
	p, session := s.room(patient(), room(), "")
	facts := wire.Facts{ClinicianPresent: present}
	session.send(&wire.Roster{Participants: []wire.Participant{{ID: "p_pat", Role: wire.RolePatient, State: wire.StateHeld, Connected: true}}, Facts: facts})
	session.send(&wire.StateChanged{State: wire.StateHeld, Facts: facts})
	p.in("held")
	return p
}

func (s *set) ended(reason string) *tab {
	p := s.open(clinician(), "room", "")
	s.f.session(s.t).send(&wire.Ended{Reason: reason})
	p.in("ended")
	return p
}

func (s *set) precall() *tab {
	p := s.tab(s.f.URL+"/precall?lang="+s.lang, faces)
	p.in("welcome")
	return p
}

// checked is the page that has checked a connection, or is about to.
func (s *set) checked(n network, verdict string) *tab {
	s.f.setNetwork(n)
	p := s.precall()
	p.press("continue")
	p.press("done")
	p.until(`document.querySelector('.connection-check')?.dataset.verdict === '` + verdict + `'`)
	p.in("connection")
	s.f.setNetwork(network{})
	return p
}

func waitingCheck(s *set) *tab {
	p, _ := s.waiting(true)
	p.press("check")
	p.until(`document.querySelector('dialog .connection-check')?.dataset.verdict === 'ok'`)
	return p
}

// loading is the page before its script: what is painted first.
func loading(s *set) *tab {
	p := s.tab(s.f.URL+"/j/?lang="+s.lang+"#x", `globalThis.fetch = () => new Promise(() => {});`)
	p.until(`document.querySelector('bedside-consultation h1')`)
	return p
}

func tooOldStatic(s *set) *tab {
	p := s.tab(s.f.URL+"/j/#x", staticText+`delete HTMLScriptElement.prototype.noModule;`)
	p.in("problem")
	return p
}

// TestScenesHaveNames: a picture is found by its name.
func TestScenesHaveNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range scenes() {
		if seen[s.name] {
			t.Errorf("two scenes %s", s.name)
		}
		seen[s.name] = true
	}
}
