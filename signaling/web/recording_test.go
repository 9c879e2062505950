package web_test

import (
	"context"
	"slices"
	"testing"

	"github.com/bedside-video/bedside/signaling/wire"
)

// recordable is somebody in a consultation that may be recorded.
func recordable(i *invited, policy string) *invited {
	i.joined.Policy.Recording, i.joined.Policy.Notice = policy, "2026_11"
	i.joined.Policy.Can = append(i.joined.Policy.Can, "consent")
	if i.joined.Role == wire.RoleClinician {
		i.joined.Policy.Can = append(i.joined.Policy.Can, "record")
	}
	return i
}

// recorded is what the server says of a recording.
func recorded(state wire.RecordingState, reason string, consent wire.Decision, missing ...string) *wire.Recording {
	return &wire.Recording{State: state, Notice: "2026_11", Reason: reason, Consent: consent, Missing: missing}
}

func recordingScenes() []scene {
	// taped is a call of which the server has said m.
	taped := func(i func() *invited, m *wire.Recording) func(*set) *tab {
		return func(s *set) *tab {
			p, session := s.call(recordable(i(), wire.PolicyAsk), drLee(), maria(), ana())
			p.people(false)
			session.send(m)
			p.until(`document.querySelector('.recording:not([hidden])')`)
			p.until(`document.querySelector('.tile').clientHeight > 60`) // the line takes no face away
			return p
		}
	}
	return []scene{
		{"welcome-may-be-recorded", func(s *set) *tab { return s.open(recordable(patient(), wire.PolicyAsk), "welcome", "") }},
		{"welcome-recorded", func(s *set) *tab { return s.open(recordable(patient(), wire.PolicyRequired), "welcome", "") }},
		{"waiting-consent", func(s *set) *tab { return waitingConsent(s, "") }},
		{"waiting-consented", func(s *set) *tab { return waitingConsent(s, wire.ConsentGranted) }},
		{"room-recording-asked", func(s *set) *tab {
			p := taped(patient, recorded(wire.RecordingRequested, "", "", "p_pat"))(s)
			p.until(`document.querySelector('dialog[open] [data-action="agree"]')`)
			return p
		}},
		{"room-recording-request", func(s *set) *tab {
			p, _ := s.call(recordable(clinician(), wire.PolicyAsk), drLee(), maria(), ana())
			p.people(false)
			p.press("more")
			p.until(`document.querySelector('dialog[open] [data-action="request-recording"]')`)
			return p
		}},
		{"room-recording-requested", taped(clinician, recorded(wire.RecordingRequested, "", wire.ConsentGranted, "p_pat", "p_ana"))},
		{"room-recording", taped(patient, recorded(wire.RecordingOn, "", wire.ConsentGranted))},
		{"room-recording-clinician", taped(clinician, recorded(wire.RecordingOn, "", wire.ConsentGranted))},
		{"room-recording-paused", taped(clinician, recorded(wire.RecordingPaused, wire.RecordingWithdrawn, wire.ConsentGranted, "p_pat"))},
		{"room-recording-withdrawn", taped(patient, recorded(wire.RecordingPaused, wire.RecordingWithdrawn, wire.ConsentWithdrawn, "p_pat"))},
		{"room-recording-over", func(s *set) *tab {
			p, session := s.call(recordable(clinician(), wire.PolicyAsk), drLee(), maria(), ana())
			p.people(false)
			session.send(recorded(wire.RecordingRequested, "", wire.ConsentGranted, "p_pat"))
			session.send(recorded(wire.RecordingOff, wire.RecordingDenied, wire.ConsentGranted))
			p.until(`document.querySelector('.notice[data-bedside-problem="recording_over"]')`)
			return p
		}},
	}
}

func waitingConsent(s *set, said wire.Decision) *tab {
	i := recordable(patient(), wire.PolicyRequired)
	i.joined.Display = "Maria Novak"
	i.joined.Facts.ClinicianPresent = true
	p := s.open(i, "welcome", "")
	p.press("continue")
	p.press("join")
	session := s.f.session(s.t)
	p.in("waiting")
	m := recorded(wire.RecordingOff, "", said, "p_pat")
	want := "agree"
	if said != "" {
		m.Missing, want = nil, "withdraw-consent"
	}
	session.send(m)
	p.until(`bedside.connection.state === 'connected' && document.querySelector('.consent [data-action="` + want + `"]')`)
	return p
}

// testRecording: nobody agrees by accident, the answer goes out, one click takes it back.
func testRecording(t *testing.T, browser context.Context) {
	s := &set{t: t, browser: browser, lang: "en", f: newFake(t)}
	p, session := s.call(recordable(patient(), wire.PolicyAsk), drLee(), maria())
	said := func(want wire.Decision) {
		t.Helper()
		m := expect(t, session, any1[*wire.Consent])
		if m.Recording != want || m.Notice != "2026_11" {
			t.Errorf("the page said %+v, want %s", m, want)
		}
	}
	p.press("chat")
	p.key("I am writing")
	session.send(recorded(wire.RecordingRequested, "", "", "p_pat"))
	p.until(`document.querySelector('dialog[open]')`)
	if got := eval[string](p, `document.activeElement.id`); got != "bedside-dialog" {
		t.Errorf("the keyboard is at %q, want the question", got)
	}
	p.key(" \r ") // goes on typing
	if !eval[bool](p, `Boolean(document.querySelector('dialog[open]')) && bedside.recording.consent === undefined`) {
		t.Fatal("typing answered the question")
	}
	p.key("\x1b")
	p.until(`!document.querySelector('dialog') && document.activeElement.closest('.chat-form')`)
	p.press("answer-recording")
	p.until(`document.querySelector('dialog[open]')`)
	p.key("\t\r")
	said(wire.ConsentGranted)
	session.send(recorded(wire.RecordingOn, "", wire.ConsentGranted))
	p.until(`document.querySelector('.recording').innerText.startsWith('This is being recorded.') && !document.querySelector('dialog')`)
	p.until(`document.querySelector('[role=status]').innerText.includes('This is being recorded.')`)
	if eval[bool](p, `Boolean(document.querySelector('[data-action="stop-recording"]'))`) {
		t.Error("a patient is shown the clinician's button")
	}
	p.press("withdraw-consent")
	said(wire.ConsentWithdrawn)
	session.send(recorded(wire.RecordingPaused, wire.RecordingWithdrawn, wire.ConsentWithdrawn, "p_pat"))
	p.until(`document.querySelector('.recording').dataset.recording === 'paused'`)
	if eval[bool](p, `Boolean(document.querySelector('dialog'))`) {
		t.Error("who has just withdrawn is asked again")
	}
	// The question goes away with what it was about.
	session.send(recorded(wire.RecordingOff, wire.RecordingStopped, wire.ConsentWithdrawn))
	p.until(`!document.querySelector('.recording').checkVisibility()`)
	session.send(recorded(wire.RecordingRequested, "", "", "p_pat"))
	p.until(`document.querySelector('dialog[open]')`)
	session.send(recorded(wire.RecordingOff, wire.RecordingUnanswered, ""))
	p.until(`!document.querySelector('dialog')`)
	p.close()

	doctor, other := s.call(recordable(clinician(), wire.PolicyAsk), drLee(), maria())
	doctor.press("more")
	doctor.press("request-recording")
	if m := expect(t, other, any1[*wire.Record]); m.Action != wire.RecordRequest {
		t.Errorf("%+v", m)
	}
	other.send(recorded(wire.RecordingOn, "", wire.ConsentGranted))
	doctor.press("stop-recording")
	if m := expect(t, other, any1[*wire.Record]); m.Action != wire.RecordStop {
		t.Errorf("%+v", m)
	}
	other.send(recorded(wire.RecordingPaused, wire.RecordingWithdrawn, wire.ConsentGranted, "p_pat"))
	doctor.press("ask-recording-again")
	if m := expect(t, other, any1[*wire.Record]); m.Action != wire.RecordRequest {
		t.Errorf("%+v", m)
	}
	doctor.press("more")
	doctor.until(`document.querySelector('dialog[open]')`)
	if eval[bool](doctor, `Boolean(document.querySelector('[data-action="request-recording"]'))`) {
		t.Error("a second request is offered")
	}
	doctor.close()

	// A server that records nothing has no button.
	i := clinician()
	if slices.Contains(i.joined.Policy.Can, "record") {
		t.Fatal("the clinician may record")
	}
	without, _ := s.call(i, drLee(), maria())
	without.press("more")
	without.until(`document.querySelector('dialog[open]')`)
	if eval[bool](without, `Boolean(document.querySelector('[data-action="request-recording"], .recording:not([hidden])'))`) {
		t.Error("there is a button to record")
	}
	without.close()
}
