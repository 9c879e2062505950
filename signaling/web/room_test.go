package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// connections is a script that keeps every RTCPeerConnection of the page in a variable of that name.
const connections = `{
	const Real = RTCPeerConnection;
	globalThis.connections = [];
	globalThis.RTCPeerConnection = class extends Real { constructor(...a) { super(...a); connections.push(this); } };
}
`

// enter opens the room page as the clinician and waits until media can flow.
func enter(t *testing.T, browser context.Context, f *fake, i *invited, inject string) (*tab, *session) {
	t.Helper()
	f.invite("x", i)
	p := newTab(t, browser, f.URL+"/j/#x", inject)
	s := f.session(t)
	p.state("room", "Consultation")
	p.until(`bedside.connection.state === 'connected'`)
	return p, s
}

func testPatientByKeyboard(t *testing.T, browser context.Context) {
	f := newFake(t)
	i := patient()
	start := time.Now().Add(10 * time.Minute)
	i.facts = wire.Facts{Start: start.Format(time.RFC3339)}
	i.joined.Facts = i.facts
	f.invite("x", i)
	p := newTab(t, browser, f.URL+"/j/#x", connections)
	p.state("welcome", "Your video consultation")
	focus := func(action string) {
		t.Helper()
		p.key("\t")
		if got := eval[string](p, `document.activeElement.dataset.action ?? document.activeElement.tagName`); got != action {
			t.Fatalf("Tab leads to %q, want %q", got, action)
		}
	}
	if got := eval[string](p, `document.activeElement.tagName`); got != "H1" {
		t.Errorf("a new page begins at %s, want its heading", got)
	}
	focus("continue")
	p.key("\r")
	p.state("devices", "Check your camera and microphone")
	p.until(`document.querySelector('video').videoWidth > 0`)
	eval[bool](p, `document.querySelector('h1').focus(), true`)
	for eval[string](p, `document.activeElement.dataset.action ?? ''`) != "join" {
		p.key("\t")
	}
	p.key("\r")
	s := f.session(t)
	p.state("waiting", "Your clinician is not here yet")
	expect(t, s, any1[*wire.Offer])
	p.until(`bedside.connection.state === 'connected'`)
	// The server is told that no screen is shared after the senders have been seen to.
	expect(t, s, func(m *wire.Mute) bool { return m.Muted && m.Mid == "2" })
	onSenders := `connections.flatMap((c) => c.getSenders()).filter((s) => s.track).length`
	if got := eval[int](p, onSenders); got != 0 {
		t.Errorf("%d tracks are on senders in the lobby", got)
	}
	if got := eval[int](p, `(async () => (await bedside.stats()).senders.reduce((n, s) => n + (s.packetsSent ?? 0), 0))()`); got != 0 {
		t.Errorf("%d packets left the lobby", got)
	}

	s.send(&wire.Roster{Participants: i.joined.Roster, Facts: wire.Facts{ClinicianPresent: true}})
	p.state("waiting", "Your clinician is here")
	s.send(&wire.Roster{Participants: room(), Facts: wire.Facts{ClinicianPresent: true}})
	s.send(&wire.StateChanged{State: wire.StateAdmitted})
	p.state("room", "Consultation")
	p.until(`document.querySelector('.tile[data-participant="p_dr"]')?.innerText.includes('Dr Lee \u2013 clinician')`)
	p.until(`(async () => true)() && document.querySelector('[data-action=mic]').innerText.includes('Mic')`)
	eval[bool](p, `(async () => { for (;;) { const s = await bedside.stats(); if (s.senders.some((x) => x.source === 'camera' && x.framesEncoded > 0) && s.senders.some((x) => x.source === 'mic' && x.packetsSent > 0)) return true; } })()`)

	testShortcuts(t, p, s)

	// Back to the lobby: everything leaves the senders.
	s.send(&wire.StateChanged{State: wire.StateWaiting})
	p.state("waiting", "Your clinician is not here yet")
	p.until(onSenders + ` === 0`)
	p.press("leave")
	p.state("ended", "You have left the consultation")
}

func testShortcuts(t *testing.T, p *tab, s *session) {
	t.Helper()
	// How many tracks are on senders when a mute message leaves: the one that is muted is gone
	// already, the one that comes back is not there yet.
	eval[bool](p, `(() => {
		window.onMute = [];
		window.mutes = [];
		const send = WebSocket.prototype.send;
		WebSocket.prototype.send = function (data) {
			if (JSON.parse(data).type === 'mute') mutes.push(JSON.parse(data).muted), onMute.push(connections.flatMap((c) => c.getSenders()).filter((s) => s.track).length);
			return send.call(this, data);
		};
		return true;
	})()`)
	p.key("m")
	if m := expect(t, s, any1[*wire.Mute]); !m.Muted {
		t.Error("m did not mute")
	}
	p.until(`document.querySelector('[data-action=mic]').classList.contains('off') && bedside.isMuted('mic')`)
	p.key("m")
	expect(t, s, func(m *wire.Mute) bool { return !m.Muted })
	p.until(`connections.flatMap((c) => c.getSenders()).filter((s) => s.track).length === 2`)
	p.key("v")
	expect(t, s, func(m *wire.Mute) bool { return m.Muted })
	p.until(`document.querySelector('[data-action=camera]').classList.contains('off')`)
	p.key("v")
	expect(t, s, func(m *wire.Mute) bool { return !m.Muted })
	if got := eval[string](p, `onMute.join()`); got != "1,1,1,1" {
		t.Errorf("tracks on senders at each mute message: %s, want 1 of 2 each time", got)
	}
	p.until(`connections.flatMap((c) => c.getSenders()).filter((s) => s.track).length === 2`)
	// A track that is replaced at once, as when a camera comes while its absence is being told: the
	// server must not be left believing the first.
	if got := eval[string](p, `(async () => {
		const track = connections.flatMap((c) => c.getSenders()).find((s) => s.track?.kind === 'video').track;
		await Promise.all([bedside.setCamera(null), bedside.setCamera(track)]);
		return (mutes.at(-1) ? 'muted' : 'not muted') + ', ' + connections.flatMap((c) => c.getSenders()).filter((s) => s.track).length;
	})()`); got != "not muted, 2" {
		t.Errorf("after a camera was taken and put back at once: %s tracks, want not muted, 2", got)
	}
}

func testClinician(t *testing.T, browser context.Context) {
	f := newFake(t)
	p, s := enter(t, browser, f, clinician(), "")
	p.until(`document.querySelector('.alone').checkVisibility()`)
	waiting := append(room()[:1:1],
		wire.Participant{ID: "p_pat", Role: wire.RolePatient, Display: "Maria", State: wire.StateWaiting, Connected: true, Waiting: time.Now().Add(-3*time.Minute - time.Second).UnixMilli()},
		wire.Participant{ID: "p_ana", Role: wire.RoleInterpreter, Display: "Ana", State: wire.StateWaiting, Connected: true, Waiting: time.Now().UnixMilli()})
	s.send(&wire.Roster{Participants: waiting})
	p.until(`document.querySelector('[data-roster="p_pat"]')?.innerText.includes('waiting for 3 min')`)
	eval[bool](p, `document.querySelector('[data-roster="p_pat"] [data-action=admit]').focus(), true`)
	p.key("\r")
	if m := expect(t, s, any1[*wire.Admit]); m.Participant != "p_pat" {
		t.Errorf("admitted %q", m.Participant)
	}
	s.send(&wire.Roster{Participants: append(room(), waiting[2])})
	p.until(`document.querySelector('.tile[data-participant="p_pat"]') && document.querySelector('[data-bedside-state]').innerText.includes('Maria \u2013 patient has joined.')`)
	if got := eval[string](p, `document.activeElement.getAttribute('aria-label')`); got != "Admit: Ana \u2013 interpreter" {
		t.Errorf("after admitting, the keyboard is at %q", got)
	}
	if got := eval[string](p, `document.querySelector('[data-roster="p_pat"]').dataset.state`); got != "admitted" {
		t.Errorf("in the list as %q", got)
	}
	l := expect(t, s, func(l *wire.Layout) bool { return len(l.Tiles) == 1 && l.Tiles[0].Width > 0 })
	if l.Tiles[0].Participant != "p_pat" || l.Tiles[0].Width < 500 {
		t.Errorf("layout %+v", l.Tiles)
	}
	p.press("refuse")
	if m := expect(t, s, any1[*wire.Refuse]); m.Participant != "p_ana" {
		t.Errorf("refused %q", m.Participant)
	}
	testChat(t, p, s)
	p.press("end")
	p.until(`document.querySelector('dialog[open]')`)
	p.press("cancel")
	p.press("end")
	p.press("confirm-end")
	expect(t, s, any1[*wire.End])
	p.state("ended", "The consultation has ended")
}

func testChat(t *testing.T, p *tab, s *session) {
	t.Helper()
	s.send(&wire.Said{From: "p_pat", Kind: "chat", Body: "Hello <b>doctor</b>"})
	p.until(`document.querySelector('.badge').textContent === '1'`)
	p.press("chat")
	p.until(`document.querySelector('.message')?.innerText.includes('Hello <b>doctor</b>')`)
	if eval[bool](p, `document.querySelector('.badge').checkVisibility()`) {
		t.Error("read messages still count as unread")
	}
	p.key("mv test") // letters in the field are no shortcuts
	p.key("\r")
	if m := expect(t, s, any1[*wire.Say]); m.Body != "mv test" || m.Kind != "chat" || m.To != "" {
		t.Errorf("sent %+v", m)
	}
	p.until(`document.querySelector('.message.own')?.innerText.includes('mv test')`)
	if eval[bool](p, `bedside.isMuted('mic') || bedside.isMuted('camera')`) {
		t.Error("letters of a message were taken for shortcuts")
	}
	p.press("close-chat")
	p.press("people")
}

// testEmbedded: a vendor's page of another origin, with nothing but the element.
func testEmbedded(t *testing.T, browser context.Context) {
	f := newFake(t)
	f.invite("x", clinician())
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>Portal</title><link rel="icon" href="data:,">
			<link rel="stylesheet" href="%[1]s/sdk/v1/ui/style.css">
			<style>bedside-consultation { --bedside-accent: rgb(120, 0, 120); } [part~="button"] { text-transform: uppercase; }</style>
			<script type="module" src="%[1]s/sdk/v1/bedside.js"></script>
			<bedside-consultation server="%[1]s" invitation="x"></bedside-consultation>`, f.URL)
	}))
	t.Cleanup(vendor.Close)
	p := newTab(t, browser, vendor.URL, "")
	s := f.session(t)
	p.state("room", "Consultation")
	if got := eval[string](p, `document.title`); got != "Portal" {
		t.Errorf("the element renamed the vendor's page to %q", got)
	}
	if eval[bool](p, `document.querySelector('bedside-consultation').hasAttribute('invitation')`) {
		t.Error("the invitation stays in the page for every script to read")
	}
	if got := eval[string](p, `getComputedStyle(document.querySelector('[data-action="end"]')).textTransform`); got != "uppercase" {
		t.Errorf("a vendor's style gives %q", got)
	}
	eval[bool](p, `document.querySelector('bedside-consultation').remove(), true`)
	expect(t, s, any1[*wire.Leave])
}

func testUnplugged(t *testing.T, browser context.Context) {
	f := newFake(t)
	p, s := enter(t, browser, f, clinician(), `{
		const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
		globalThis.tracks = [];
		navigator.mediaDevices.getUserMedia = async (c) => { const m = await real(c); tracks.push(...m.getTracks()); return m; };
	}`)
	p.until(`!bedside.isMuted('camera')`)
	eval[bool](p, `(() => { const t = tracks.find((x) => x.kind === 'video'); t.stop(); return t.dispatchEvent(new Event('ended')); })()`)
	expect(t, s, func(m *wire.Mute) bool { return m.Muted && m.Mid == "1" })
	p.until(`document.querySelector('.notice[data-bedside-problem="camera_unplugged"] [data-action="use-device"], .notice[data-bedside-problem="camera_unplugged"] [data-action="retry"]')`)
	eval[bool](p, `document.querySelector('.notice [data-action]').click(), true`)
	expect(t, s, func(m *wire.Mute) bool { return !m.Muted && m.Mid == "1" })
	p.until(`!bedside.isMuted('camera') && !document.querySelector('.notice[data-bedside-problem="camera_unplugged"]')`)
	s.send(&wire.Ended{Reason: wire.EndedByClinician})
	p.state("ended", "The consultation has ended")
	if got := eval[string](p, `tracks.map((t) => t.readyState).join(' ')`); strings.Contains(got, "live") {
		t.Errorf("after the end, devices are %s", got)
	}
}

func testReconnect(t *testing.T, browser context.Context) {
	f := newFake(t)
	p, s := enter(t, browser, f, clinician(), "")
	s.send(&wire.Roster{Participants: room()})
	p.until(`document.querySelector('.tile')`)
	_ = s.conn.Close()
	p.until(`document.querySelector('.notice[data-bedside-problem="reconnecting"]')`)
	p.until(`document.querySelector('[role="status"][aria-live="polite"]').textContent.includes('The connection was lost.')`)
	again := f.session(t)
	if !again.resumed {
		t.Error("came back without the resume token")
	}
	again.who.joined.Roster = room()
	again.welcome("x")
	p.until(`bedside.connection.state === 'connected' && !document.querySelector('.notice[data-bedside-problem="reconnecting"]')`)
	if n := eval[int](p, `document.querySelectorAll('.tile').length`); n != 1 {
		t.Errorf("%d tiles after coming back", n)
	}
	eval[bool](p, `(async () => { for (;;) { const s = await bedside.stats(); if (s.senders.some((x) => x.source === 'camera' && x.framesEncoded > 0)) return true; } })()`)
}

// testLostSession: a resume token that is no longer good is replaced by a fresh session.
func testLostSession(t *testing.T, browser context.Context) {
	f := newFake(t)
	i := clinician()
	p, s := enter(t, browser, f, i, "")
	first := section(t, expect(t, s, any1[*wire.Offer]).SDP, "0")
	s.send(&wire.Restart{})
	if again := section(t, expect(t, s, any1[*wire.Offer]).SDP, "0"); ufrag(again) == ufrag(first) {
		t.Error("restart did not bring an offer with an ICE restart")
	}
	f.mu.Lock()
	i.resumeRefused = true
	f.mu.Unlock()
	_ = s.conn.Close()
	if fresh := f.session(t); fresh.resumed {
		t.Error("came back with a token that had been refused")
	}
	p.until(`bedside.connection.state === 'connected'`)
	f.mu.Lock()
	defer f.mu.Unlock()
	if i.exchange != 2 {
		t.Errorf("the invitation was exchanged %d times, want 2", i.exchange)
	}
}

func ufrag(section string) string {
	_, rest, _ := strings.Cut(section, "a=ice-ufrag:")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// testSound: blocked sound is told when there is somebody to hear, and talking while muted is noticed.
func testSound(t *testing.T, browser context.Context) {
	f := newFake(t)
	// A steady tone in place of the fake microphone's short beeps, and no camera: while a page
	// captures, Chromium lets it play sound without a click.
	p, s := enter(t, browser, f, clinician(), `{
		navigator.mediaDevices.getUserMedia = async (c) => {
			if (c.video) throw new DOMException('no', 'NotFoundError');
			const context = new AudioContext();
			const out = context.createMediaStreamDestination();
			const tone = new OscillatorNode(context, { frequency: 300 });
			tone.connect(out); tone.start();
			addEventListener('click', () => context.resume());
			return out.stream;
		};
	}`)
	p.forgive = "AudioContext was not allowed to start"
	s.send(&wire.Roster{Participants: room()})
	if eval[bool](p, `Boolean(document.querySelector('[data-bedside-problem="sound_blocked"]'))`) {
		t.Error("complains about sound although nobody is heard")
	}
	s.send(&wire.Slots{Epoch: 1, Assignments: []wire.Assignment{{Mid: "3", Participant: "p_pat", Source: wire.SourceMic, State: wire.SlotLive}}})
	p.until(`document.querySelector('.notice[data-bedside-problem="sound_blocked"]')`)
	p.press("hear")
	p.until(`!document.querySelector('[data-bedside-problem="sound_blocked"]')`)
	p.press("mic")
	p.until(`document.querySelector('.notice[data-bedside-problem="talking_muted"]')`)
	p.press("unmute")
	p.until(`!bedside.isMuted('mic') && !document.querySelector('.notice[data-bedside-problem="talking_muted"]')`)
}

// testGroup: the grid of a full room, a pinned screen, and an observer who has no tile but is named.
func testGroup(t *testing.T, browser context.Context) {
	f := newFake(t)
	p, s := enter(t, browser, f, clinician(), "")
	all := room()
	for i, name := range []string{"Ana", "Jonas", "Fatima", "Chidi"} {
		all = append(all, wire.Participant{
			ID: fmt.Sprintf("p_%d", i), Display: name, State: wire.StateAdmitted, Connected: i != 3,
			Role:  []wire.Role{wire.RoleInterpreter, wire.RoleCarer, wire.RoleCarer, wire.RolePatient}[i],
			Muted: []wire.Source{wire.SourceMic, wire.SourceCamera}[:i%3],
		})
	}
	all = append(all, wire.Participant{ID: "p_obs", Role: wire.RoleObserver, Display: "Sam", State: wire.StateAdmitted, Connected: true})
	s.send(&wire.Roster{Participants: all})
	p.until(`document.querySelectorAll('.tile').length === 5 && document.querySelector('.also').innerText.includes('Sam \u2013 observer')`)
	s.send(&wire.Speakers{Levels: []wire.Level{{Participant: "p_0", Level: 90}}})
	p.press("close-people")
	mid := eval[string](p, `bedside.tiles[1].mid`)
	s.send(&wire.Slots{Epoch: 1, Assignments: []wire.Assignment{{Mid: mid, Participant: "p_1", Source: wire.SourceScreen, State: wire.SlotLive}}})
	p.until(`document.querySelector('.tile.large[data-source="screen"]')`)
	expect(t, s, func(l *wire.Layout) bool { return len(l.Tiles) == 6 && l.Tiles[5].Pinned })
	s.send(&wire.Slots{Epoch: 2, Assignments: []wire.Assignment{{Mid: mid, State: wire.SlotEmpty}}})
	p.until(`document.querySelectorAll('.tile').length === 5 && !document.querySelector('.grid.pinned')`)
	p.press("more")
	p.until(`document.querySelector('dialog[open]')`)
}
