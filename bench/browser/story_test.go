package browser_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const forwarded = `bedside_rtp_decisions_total{verdict="forwarded"}`

// canary is in every display name, and must be nowhere else.
const canary = "Quillfeather"

// TestConsultation is one consultation from the first link to the end, with everything that people do
// in it. Its steps depend on each other: the first that fails ends it.
func TestConsultation(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	c := newConsultation(t, "VP8", func(role string) string { return role + " " + canary }, false)
	var doctor, sam, ana *tab
	steps := []struct {
		name string
		do   func()
	}{
		{"arrive", func() { doctor, sam, ana = c.arrive(clinician), c.arrive(patient), c.arrive(interpreter) }},
		{"nothing crosses the lobby", func() { lobby(c) }},
		{"nor does what a page sends that cheats", func() { cheat(c, sam) }},
		{"admit", func() { admitBoth(c, doctor, sam, ana) }},
		{"everybody sees and hears everybody", func() { everybody(c) }},
		{"the roster comes before the first frame", func() { rosterFirst(c) }},
		{"mute", func() { mute(c, sam, doctor) }},
		{"camera off", func() { cameraOff(c, sam, doctor) }},
		{"share a screen", func() { share(c, doctor, sam) }},
		{"chat", func() { chat(sam, doctor) }},
		{"a slot changes hands", func() { handOver(c, doctor, ana) }},
		{"a page is killed and comes back", func() { sam = killed(c, doctor, sam) }},
		{"a reloaded page is back at once", func() { reload(c, doctor, sam) }},
		{"no wrong frame was ever shown", func() { noWrongFrame(c) }},
		{"no name where none may be", func() { noNames(c) }},
		{"end for all", func() { end(c, doctor) }},
		{"the server stops", func() { stop(c) }},
	}
	for _, s := range steps {
		if !t.Run(s.name, func(t *testing.T) {
			c.within(t)
			s.do()
		}) {
			t.Fatalf("the story ends at %q", s.name)
		}
	}
}

// within makes everything report to the test of one step.
func (c *consultation) within(t *testing.T) {
	c.t, c.server.t = t, t
	for _, p := range c.present {
		p.t = t
	}
}

// lobby lets two people wait, connected, for as long as media would need ten times over, and then
// counts what crossed.
func lobby(c *consultation) {
	for _, p := range c.present[1:] {
		p.until("3 s in the lobby", "bedsideTest.now() - bedsideTest.messages.find((m) => m.type === 'joined').at > 3000")
	}
	for _, p := range c.present {
		if got := p.totals(); got.Received != 0 || p.name != clinician && got.Sent != 0 {
			c.t.Errorf("%s: %d packets sent, %d received; want none", p.name, got.Sent, got.Received)
		}
	}
	for _, name := range []string{forwarded, "bedside_lobby_packets_total", "bedside_invariant_violations_total"} {
		if got := c.server.metric(name); got != 0 {
			c.t.Errorf("%s is %v, want 0", name, got)
		}
	}
}

func cheat(c *consultation, p *tab) {
	ask[bool](p, "bedsideTest.cheat().then(() => true)")
	counted := c.server.untilMetric("bedside_lobby_packets_total", "at least 20", func(v float64) bool { return v >= 20 })
	c.t.Logf("figure: %v packets from the lobby counted and dropped", counted)
	for _, name := range []string{forwarded, "bedside_invariant_violations_total"} {
		if got := c.server.metric(name); got != 0 {
			c.t.Errorf("%s is %v, want 0", name, got)
		}
	}
	for _, other := range c.present {
		if got := other.totals(); got.Received != 0 {
			c.t.Errorf("%s received %d packets, want none", other.name, got.Received)
		}
	}
}

func admitBoth(c *consultation, doctor, sam, ana *tab) {
	c.admit(doctor, sam)
	sam.seesMore(clinician, "camera", 1)
	doctor.seesMore(patient, "camera", 1)
	if got := ana.totals(); got.Received != 0 || got.Sent != 0 {
		c.t.Errorf("%s, who still waits: %d packets sent, %d received; want none", ana.name, got.Sent, got.Received)
	}
	click := ask[float64](doctor, "bedsideTest.clicks.findLast((c) => c.action === 'admit').at")
	for _, p := range []struct {
		viewer *tab
		shown  string
	}{{sam, clinician}, {doctor, patient}} {
		first := ask[float64](p.viewer, "bedsideTest.frames[%q].firstShown", p.shown+"/camera")
		c.t.Logf("figure: %.0f ms from the click on Admit to the %s's first frame before the %s", first-click, p.shown, p.viewer.name)
	}
	c.admit(doctor, ana)
}

func everybody(c *consultation) {
	c.seesEach()
	c.hearsEach()
	for _, p := range c.present {
		before := p.totals()
		c.t.Logf("figure: %s: %d packets sent, %d received, %d frames decoded, %s", p.name, before.Sent, before.Received, before.Decoded, before.Cipher)
		if want := "SRTP_AEAD_AES_128_GCM"; before.Cipher != want {
			c.t.Errorf("%s: cipher %s, want %s", p.name, before.Cipher, want)
		}
		decoding := 0
		for _, s := range before.Streams {
			if s.Decoded > 0 {
				decoding++
				p.until("more decoded frames in "+s.Mid, "(await bedsideTest.totals()).streams.find((s) => s.mid === %q).decoded >= %d", s.Mid, s.Decoded+30)
			}
		}
		if want := len(c.present) - 1; decoding != want {
			c.t.Errorf("%s decodes %d streams, want %d", p.name, decoding, want)
		}
	}
}

// rosterFirst: before anything of X reached Y, X had been told that Y is there, and Y that X is.
func rosterFirst(c *consultation) {
	least := math.Inf(1)
	c.eachPair(func(y, x *tab) {
		received := ask[float64](y, "bedsideTest.frames[%q].firstReceived", x.name+"/camera")
		for _, told := range []struct{ who, of *tab }{{x, y}, {y, x}} {
			at := ask[float64](told.who, "bedsideTest.rosterWith(%q) ?? Infinity", told.of.name)
			if least = min(least, received-at); at >= received {
				c.t.Errorf("%s was told of %s %.1f ms after %s had received a frame of %s", told.who.name, told.of.name, at-received, y.name, x.name)
			}
		}
	})
	c.t.Logf("figure: the roster came %.1f ms or more before the first frame", least)
}

func mute(c *consultation, who, listener *tab) {
	who.press("mic")
	listener.until("silence of "+who.name, "await bedsideTest.silent(%q)", who.name)
	listener.until("mark that "+who.name+" is muted", "bedside.roster.find((p) => p.id === %q).muted?.includes('mic')", c.invited(who.name).ID)
	who.press("mic")
	listener.until("sound of "+who.name, "await bedsideTest.hears(%q)", who.name)
}

func cameraOff(c *consultation, who, viewer *tab) {
	tile := fmt.Sprintf(`.tile[data-participant=%q][data-source="camera"]`, c.invited(who.name).ID)
	who.press("camera")
	viewer.until("empty tile of "+who.name, "bedsideTest.one(%q).dataset.shown === 'false'", tile)
	who.press("camera")
	viewer.until("picture of "+who.name, "bedsideTest.one(%q).dataset.shown === 'true'", tile)
	viewer.seesMore(who.name, "camera", 30)
}

func share(c *consultation, who, viewer *tab) {
	tile := fmt.Sprintf(`.tile[data-participant=%q][data-source="screen"]`, c.invited(who.name).ID)
	who.press("share")
	viewer.until("screen", "bedsideTest.one(%q)?.dataset.shown === 'true'", tile)
	viewer.seesMore(who.name, "screen", 5)
	viewer.seesMore(who.name, "camera", 5)
	who.press("share")
	viewer.until("end of the screen", "!bedsideTest.one(%q)", tile)
}

func chat(from, to *tab) {
	const words = "I brought my medicines"
	from.press("chat")
	from.click(".panel textarea, .panel input")
	from.do(chromedp.KeyEvent(words))
	from.press("send")
	to.until("message", "bedsideTest.messages.some((m) => m.from !== 'client' && m.type === 'message' && m.body === %q)", words)
	to.press("chat")
	to.until("message on the page", "bedsideTest.all('.message').some((e) => e.textContent.includes(%q))", words)
	from.press("close-chat")
	to.press("close-chat")
}

// handOver: the interpreter leaves, the carer gets their slot, and nobody ever sees the interpreter
// under the carer's name.
func handOver(c *consultation, doctor, ana *tab) {
	seat := ask[string](doctor, "bedsideTest.seat(%q, 'camera') ?? ''", ana.name)
	ana.press("leave")
	ana.until("goodbye", `bedsideTest.state() === "ended"`)
	doctor.until("place of "+ana.name, "!bedsideTest.one('.tile[data-participant=%q]')", c.invited(ana.name).ID)
	ana.checkFrames()
	c.gone(ana)
	jo := c.arrive(carer)
	c.admit(doctor, jo)
	c.seesEach()
	c.hearsEach()
	if got := ask[string](doctor, "bedsideTest.seat('carer', 'camera') ?? ''"); got != seat || seat == "" {
		c.t.Errorf("the carer sits in %q, want the interpreter's slot %q: nothing has changed hands", got, seat)
	}
}

// killed: a page that dies says nothing. The others keep the person's place, and whoever opens the
// link again waits in the lobby: it might be anybody.
func killed(c *consultation, doctor, sam *tab) *tab {
	sam.checkFrames()
	c.gone(sam)
	sam.cancel()
	id := c.invited(patient).ID
	doctor.until("loss of the patient", "bedside.roster.find((p) => p.id === %q)?.connected !== true", id)
	doctor.until("empty tile", "bedsideTest.one('.tile[data-participant=%q]')?.dataset.shown !== 'true'", id)
	sam = c.arrive(patient)
	c.admit(doctor, sam)
	c.seesEach()
	return sam
}

// reload: the clinician never waits.
func reload(c *consultation, doctor, sam *tab) {
	doctor.checkFrames()
	before := ask[float64](doctor, "performance.timeOrigin")
	doctor.do(chromedp.Reload())
	doctor.until("room", `bedsideTest.state() === "room"`)
	c.seesEach()
	first := ask[float64](doctor, "bedsideTest.frames['patient/camera'].firstShown")
	start := ask[float64](doctor, "performance.timeOrigin")
	if start == before {
		c.t.Error("the page was not loaded again")
	}
	offer := ask[float64](doctor, "bedsideTest.messages.find((m) => m.type === 'offer').at")
	c.t.Logf("figure: first frame %.0f ms after the page began to load, %.0f ms after the offer was sent", first-start, first-offer)
	// POST /v1/join, the WebSocket's handshake, then join and offer; mute and the like answer nobody's wait.
	asked := ask[int](doctor, "bedsideTest.messages.filter((m) => m.from === 'client' && ['join', 'offer'].includes(m.type)).length")
	c.t.Logf("figure: %d round trips from the page to the answer that media needs", asked+2)
	if asked != 2 {
		c.t.Errorf("%d messages asked for something on the way in, want join and offer alone", asked)
	}
}

func noWrongFrame(c *consultation) {
	for _, p := range c.present {
		p.checkFrames()
		shown := ask[int](p, "Object.values(bedsideTest.frames).reduce((n, f) => n + f.shown, 0)")
		c.t.Logf("figure: %s was shown %d frames, each of the right person", p.name, shown)
		if shown < 60 { // what a page that was loaded last waits for: 30 of each of two
			c.t.Errorf("%s: only %d frames were looked at", p.name, shown)
		}
	}
	if got := c.server.metric("bedside_invariant_violations_total"); got != 0 {
		c.t.Errorf("%v violations of an invariant, want none", got)
	}
}

// noNames looks for display names, and for what lets people in, where neither may be.
func noNames(c *consultation) {
	places := map[string]string{"log": c.server.log.String(), "metrics": c.server.metricsText()}
	for _, p := range c.present {
		places["messages and SDP of "+p.name] = ask[string](p, "bedsideTest.texts()")
	}
	for place, text := range places {
		if len(text) < 100 {
			c.t.Errorf("%s: only %d bytes were looked at", place, len(text))
		}
		if strings.Contains(text, canary) {
			c.t.Errorf("%s holds a display name", place)
		}
		if place != "log" && place != "metrics" {
			continue
		}
		for _, p := range c.people {
			if strings.Contains(text, p.invitation()) {
				c.t.Errorf("%s holds the invitation of the %s", place, p.Role)
			}
		}
		_, address, _ := strings.Cut(c.server.lan, "://")
		address, _, _ = strings.Cut(address, ":")
		for _, secret := range []string{c.server.key, "127.0.0.1", address, "a=fingerprint", "ref-"} {
			if secret != "" && strings.Contains(text, secret) {
				c.t.Errorf("%s holds %q", place, secret)
			}
		}
	}
}

func end(c *consultation, doctor *tab) {
	doctor.press("end")
	doctor.press("confirm-end")
	for _, p := range c.present {
		p.until("end", `bedsideTest.state() === "ended"`)
	}
	for _, name := range []string{"bedside_rooms", "bedside_peers"} {
		c.server.untilMetric(name, "0", func(v float64) bool { return v == 0 })
	}
}

func stop(c *consultation) {
	if err := c.server.stop(); err != nil {
		c.t.Errorf("the server ended with %v; its last words:\n%s", err, tail(c.server.log.String()))
	}
}

func tail(log string) string { return log[max(0, len(log)-2000):] }
