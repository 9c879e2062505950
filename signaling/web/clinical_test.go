package web_test

import (
	"context"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// testPIN: asked for when the server does, wrong ones told, a locked one with its time, kept for later.
func testPIN(t *testing.T, browser context.Context) {
	f := newFake(t)
	i := patient()
	i.pin = "123456"
	f.invite("x", i)
	p := newTab(t, browser, f.URL+"/j/#x", "")
	p.state("pin", "Your PIN, please")
	if got := eval[string](p, `(({ inputMode, autocomplete, id, labels }) => [inputMode, autocomplete, labels[0].innerText.trim()].join())(document.querySelector('input'))`); got != "numeric,one-time-code,PIN" {
		t.Errorf("the field is %s", got)
	}
	p.key("\t")
	if got := eval[string](p, `document.activeElement.id`); got != "bedside-pin" {
		t.Errorf("Tab from the heading leads to %q", got)
	}
	p.key("\r")
	p.until(`document.querySelector('[role=alert]').textContent === 'Please type your PIN.' && document.activeElement.id === 'bedside-pin'`)
	p.key("999\r")
	p.until(`document.querySelector('[role=alert]').textContent.startsWith('That is not the right PIN.')`)
	if got := eval[string](p, `[document.activeElement.id, document.activeElement.value, document.activeElement.getAttribute('aria-invalid')].join()`); got != "bedside-pin,,true" {
		t.Errorf("after a wrong PIN the keyboard is at %s, want the empty field", got)
	}
	p.key("123 456\r") // as it is written on paper
	p.state("welcome", "Your video consultation")
	if i.wrong != 1 {
		t.Errorf("%d wrong PINs were sent, want 1", i.wrong)
	}
	// Whoever comes in again in the same page is not asked again.
	p.press("continue")
	p.state("devices", "Check your camera and microphone")
	p.press("join")
	p.state("waiting", "Your clinician is not here yet")
	p.press("leave")
	p.press("rejoin")
	p.state("devices", "Check your camera and microphone")

	f.mu.Lock()
	i.wrong = 5
	f.mu.Unlock()
	locked := newTab(t, browser, f.URL+"/j/#x", `globalThis.late = setTimeout;
		globalThis.setTimeout = (f, ms, ...a) => late(f, ms > 800000 ? 1500 : ms, ...a);`)
	want := time.Now().Add(15 * time.Minute)
	locked.problem(wire.CodePINLocked, "Too many wrong PINs")
	locked.until(`document.body.innerText.includes('` + want.Format("15:04") + `') || document.body.innerText.includes('` + want.Add(time.Minute).Format("15:04") + `')`)
	f.mu.Lock()
	i.wrong = 0
	f.mu.Unlock()
	locked.state("pin", "Your PIN, please")
}

// testLobbyAndHold: messages of the clinic are shown, on hold everything leaves the senders at once,
// and both go on by themselves.
func testLobbyAndHold(t *testing.T, browser context.Context) {
	f := newFake(t)
	p, s := admitted(t, browser, f)
	onSenders := `connections.flatMap((c) => c.getSenders()).filter((s) => s.track).length`
	p.until(onSenders + ` === 2`)
	s.send(&wire.Roster{Participants: []wire.Participant{{ID: "p_pat", Role: wire.RolePatient, State: wire.StateHeld, Connected: true}}, Facts: wire.Facts{ClinicianPresent: true}})
	s.send(&wire.StateChanged{State: wire.StateHeld, Facts: wire.Facts{ClinicianPresent: true}})
	p.state("held", "You are on hold")
	p.until(onSenders + ` === 0`)
	p.until(`document.body.innerText.includes('Your clinician has put you on hold')`)
	if eval[bool](p, `document.body.innerText.includes('has left')`) {
		t.Error("who is put on hold is told that the others have left")
	}
	if eval[bool](p, `Boolean(document.querySelector('video'))`) {
		t.Error("a picture is shown on hold")
	}
	if eval[bool](p, `document.body.innerText.includes('running late')`) == false {
		t.Error("the message of before is gone")
	}
	s.send(&wire.Said{From: "p_dr", To: "p_pat", Kind: "chat", Body: "Two more minutes, please."})
	p.until(`document.querySelector('.messages[role=log]').innerText.includes('Two more minutes, please.')`)
	s.send(&wire.Roster{Participants: []wire.Participant{{ID: "p_pat", Role: wire.RolePatient, State: wire.StateHeld, Connected: true}}})
	p.until(`document.body.innerText.includes('Your clinician has left the room.')`)
	s.send(&wire.Roster{Participants: room(), Facts: wire.Facts{ClinicianPresent: true}})
	s.send(&wire.StateChanged{State: wire.StateAdmitted, Facts: wire.Facts{ClinicianPresent: true}})
	p.state("room", "Consultation")
	p.until(onSenders + ` === 2`)
	p.press("chat")
	p.until(`document.querySelectorAll('.message').length === 2`)
}

// admitted leads a patient into the room, past a message in the lobby.
func admitted(t *testing.T, browser context.Context, f *fake) (*tab, *session) {
	t.Helper()
	f.invite("x", patient())
	p := newTab(t, browser, f.URL+"/j/#x", connections)
	p.press("continue")
	p.press("join")
	s := f.session(t)
	p.state("waiting", "Your clinician is not here yet")
	s.send(&wire.Said{From: "p_dr", To: "p_pat", Kind: "chat", Body: "We are running late <b>today</b>."})
	p.until(`document.querySelector('.messages[role=log][aria-live=polite]').innerText.includes('Message from the clinic') && document.querySelector('.message').innerText.includes('late <b>today</b>.')`)
	p.until(`bedside.connection.state === 'connected'`)
	s.send(&wire.Roster{Participants: room(), Facts: wire.Facts{ClinicianPresent: true}})
	s.send(&wire.StateChanged{State: wire.StateAdmitted, Facts: wire.Facts{ClinicianPresent: true}})
	p.state("room", "Consultation")
	return p, s
}

// testQueue: what a clinician does with those who wait and who are in the room.
func testQueue(t *testing.T, browser context.Context) {
	f := newFake(t)
	p, s := enter(t, browser, f, clinician(), "")
	maria := wire.Participant{ID: "p_pat", Role: wire.RolePatient, Display: "Maria", State: wire.StateWaiting, Connected: true, Waiting: time.Now().UnixMilli()}
	jonas := wire.Participant{ID: "p_jo", Role: wire.RoleCarer, Proxy: true, Display: "Jonas", State: wire.StateWaiting, Connected: true, Waiting: time.Now().UnixMilli()}
	s.send(&wire.Roster{Participants: append(room()[:1:1], maria, jonas)})
	p.until(`document.querySelector('[data-roster="p_jo"]')?.innerText.includes('Jonas \u2013 guardian')`)
	p.until(`document.querySelector('[role=status]').textContent.includes('Maria \u2013 patient is waiting to be let in.')`)
	if got := eval[string](p, `[...document.querySelectorAll('.people-waiting li')].map((e) => e.dataset.roster).join()`); got != "p_pat,p_jo" {
		t.Errorf("the queue is %s", got)
	}
	p.press("close-people")
	p.until(`document.querySelector('.notice[data-bedside-problem="waiting"]').innerText.includes('Maria \u2013 patient and 1 more are waiting')`)
	p.press("admit-next")
	if m := expect(t, s, any1[*wire.Admit]); m.Participant != "p_pat" {
		t.Errorf("admitted %q, want who came first", m.Participant)
	}
	maria.State, maria.Waiting = wire.StateAdmitted, 0
	s.send(&wire.Roster{Participants: append(room()[:1:1], maria, jonas)})
	p.until(`document.querySelector('.notice[data-bedside-problem="waiting"]').innerText.includes('Jonas \u2013 guardian is waiting')`)

	p.press("show-waiting")
	p.pressFor("p_jo", "message")
	p.key("A minute, please\r")
	if m := expect(t, s, any1[*wire.Say]); m.To != "p_jo" || m.Body != "A minute, please" || m.Kind != "chat" {
		t.Errorf("sent %+v", m)
	}
	p.until(`document.querySelector('[role=status]').textContent.includes('Message sent to Jonas.')`)
	if got := eval[string](p, `document.activeElement.getAttribute('aria-label')`); got != "Message: Jonas \u2013 guardian" {
		t.Errorf("after the dialog, the keyboard is at %q", got)
	}

	p.pressFor("p_pat", "hold")
	if m := expect(t, s, any1[*wire.Hold]); m.Participant != "p_pat" {
		t.Errorf("held %q", m.Participant)
	}
	maria.State = wire.StateHeld
	s.send(&wire.Roster{Participants: append(room()[:1:1], maria, jonas)})
	p.until(`document.querySelector('.also')?.innerText.includes('On hold: Maria \u2013 patient') && !document.querySelector('.tile')`)
	p.until(`document.querySelector('[role=status]').textContent.includes('Maria \u2013 patient is on hold.')`)
	if eval[bool](p, `document.querySelector('[role=status]').textContent.includes('has left')`) {
		t.Error("who is on hold is said to have left")
	}
	p.pressFor("p_pat", "unhold")
	if m := expect(t, s, any1[*wire.Unhold]); m.Participant != "p_pat" {
		t.Errorf("brought back %q", m.Participant)
	}
	maria.State = wire.StateAdmitted
	s.send(&wire.Roster{Participants: append(room()[:1:1], maria, jonas)})
	p.until(`document.querySelector('[role=status]').textContent.includes('Maria \u2013 patient is back from hold.')`)

	p.pressFor("p_pat", "remove")
	p.press("confirm-remove")
	if m := expect(t, s, any1[*wire.Remove]); m.Participant != "p_pat" {
		t.Errorf("removed %q", m.Participant)
	}

	f.mu.Lock()
	s.who.refuseAll = wire.CodeAuditUnavailable
	f.mu.Unlock()
	p.pressFor("p_jo", "admit")
	p.until(`document.querySelector('.notice[data-bedside-problem="failed"]').innerText.includes('the server cannot write it into its log')`)
}

// testHandOver: Leave asks a clinician who leaves others behind, and names who can take over.
func testHandOver(t *testing.T, browser context.Context) {
	f := newFake(t)
	p, s := enter(t, browser, f, clinician(), "")
	s.send(&wire.Roster{Participants: room()})
	p.press("leave")
	p.until(`document.querySelector('dialog[open]').innerText.includes('No other clinician is here.')`)
	p.press("stay")
	p.until(`!document.querySelector('dialog') && document.activeElement.dataset.action === 'leave'`)
	roy := wire.Participant{ID: "p_roy", Role: wire.RoleClinician, Display: "Dr Roy", State: wire.StateAdmitted, Connected: true}
	s.send(&wire.Roster{Participants: append(room(), roy)})
	p.until(`document.querySelector('.tile[data-participant="p_roy"]')`)
	f.mu.Lock()
	s.who.handOverRefused = true
	f.mu.Unlock()
	p.press("leave")
	p.until(`document.querySelector('[data-action="hand-over"]').innerText === 'Hand over to Dr Roy and leave'`)
	p.press("hand-over")
	if m := expect(t, s, any1[*wire.Leave]); m.To != "p_roy" {
		t.Errorf("handed over to %q", m.To)
	}
	p.until(`document.querySelector('.notice[data-bedside-problem="hand_over"]')`)
	p.state("room", "Consultation")
	f.mu.Lock()
	s.who.handOverRefused = false
	f.mu.Unlock()
	s.send(&wire.Said{From: "p_roy", To: "p_dr", Kind: wire.KindHandedOver})
	p.until(`document.querySelector('.notice[data-bedside-problem="handed_over"]').innerText.includes('Dr Roy – clinician has handed the consultation over to you.')`)
	p.press("leave")
	p.press("hand-over")
	expect(t, s, any1[*wire.Leave])
	p.state("ended", "You have left the consultation")
}

// testResumed: a server that restarts, a page that was too slow and lost media come back by
// themselves with the resume token; the second time in a minute the person is told.
func testResumed(t *testing.T, browser context.Context) {
	for _, reason := range []string{wire.EndedDraining, wire.EndedSlow, wire.EndedMediaFailed} {
		t.Run(reason, func(t *testing.T) {
			f := newFake(t)
			p, s := enter(t, browser, f, clinician(), "")
			s.send(&wire.Ended{Reason: reason})
			again := f.session(t)
			if !again.resumed {
				t.Error("came back without the resume token")
			}
			want := map[bool]string{true: "The video service is restarting.", false: "The connection was lost."}[reason == wire.EndedDraining]
			p.until(`document.querySelector('.notice[data-bedside-problem="reconnecting"]')?.innerText.startsWith('` + want + `')`)
			again.welcome("x")
			p.until(`bedside.connection.state === 'connected' && !document.querySelector('.notice')`)
			again.send(&wire.Ended{Reason: reason})
			if reason == wire.EndedDraining {
				if third := f.session(t); !third.resumed {
					t.Error("came back without the resume token")
				}
				return
			}
			heading := map[string]string{wire.EndedSlow: "Your connection was too slow", wire.EndedMediaFailed: "The connection was lost"}[reason]
			p.problem(reason, heading)
			p.press("retry")
			p.state("room", "Consultation")
		})
	}
}

// testLanguage: the browser's language, another one by a button, and the element's own attribute.
func testLanguage(t *testing.T, browser context.Context) {
	f := newFake(t)
	f.invite("x", patient())
	p := newTab(t, browser, f.URL+"/j/#x", `globalThis.asked = []; { const real = fetch; globalThis.fetch = (...a) => { asked.push(a[0]); return real(...a); }; }`)
	p.state("welcome", "Your video consultation")
	p.press("language-de")
	p.state("welcome", "Ihre Videosprechstunde")
	if got := eval[string](p, `[document.documentElement.lang, document.activeElement.tagName, location.search, location.hash, document.title].join()`); got != "de,H1,?lang=de,#x,Ihre Videosprechstunde \u2013 Videosprechstunde" {
		t.Errorf("after choosing German: %s", got)
	}
	if got := eval[string](p, `performance.getEntriesByType('resource').map((e) => e.name).filter((n) => n.includes('strings')).map((n) => n.split('/').at(-1)).join()`); got != "strings.en.js,strings.de.js" {
		t.Errorf("loaded %s", got)
	}
	p.press("language-en")
	p.state("welcome", "Your video consultation")
	german := newTab(t, browser, f.URL+"/j/?lang=de-AT#x", "")
	german.state("welcome", "Ihre Videosprechstunde")
	if got := eval[string](german, `performance.getEntriesByType('resource').map((e) => e.name).filter((n) => n.includes('strings')).map((n) => n.split('/').at(-1)).join()`); got != "strings.de.js" {
		t.Errorf("loaded %s, want German alone", got)
	}
	unknown := newTab(t, browser, f.URL+"/j/?lang=tlh#nobody", "")
	unknown.problem(wire.CodeInvitationUnknown, "We do not know this link")
	unknown.press("language-de")
	unknown.state("problem", "Wir kennen diesen Link nicht")
	early := newTab(t, browser, f.URL+"/precall", "")
	early.state("welcome", "Check your camera and microphone")
	early.press("language-de")
	early.state("welcome", "Prüfen Sie Kamera und Mikrofon")
}
