package browser_test

import (
	"os"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem"
)

const (
	blackholeLength = 5 * time.Second
	blackholeBack   = 2 * time.Second // bar F: until media is back
)

// TestBlackhole has two people in Chromium behind a link that loses everything for 5 s: sight and sound
// come back by themselves, and nobody sees the lobby again.
func TestBlackhole(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	const wire = "delay=20ms"
	e := emulate(t, wire, 200, "")
	c := consultationBehind(t, e, "blackhole")
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	for _, p := range c.present {
		p.expects("ERR_") // a network that is gone
	}
	c.admit(doctor, sam)
	c.seesEach()
	var ids []string
	for _, p := range c.present {
		ids = append(ids, ask[string](p, "bedside.self"))
		// Every state that the page shows from here on.
		ask[bool](p, "globalThis.seen = [], new MutationObserver(() => seen.push(bedsideTest.state())).observe(document.body, "+
			"{ subtree: true, attributeFilter: ['data-bedside-state'] }), true")
	}
	holes := 1
	if os.Getenv("SOAK") == "1" {
		holes = 12
	}
	for range holes {
		throughHole(t, c, e, wire)
	}
	for i, p := range c.present {
		if id := ask[string](p, "bedside.self"); id != ids[i] {
			t.Errorf("%s is %s, was %s", p.name, id, ids[i])
		}
		if seen := ask[[]string](p, "seen.filter((s) => s !== 'room')"); len(seen) > 0 {
			t.Errorf("%s saw %v", p.name, seen)
		}
		p.until("word that it is connected", "bedside.connection.state === 'connected'")
	}
}

// throughHole loses everything for a while.
func throughHole(t *testing.T, c *consultation, e *emulated, wire string) {
	t.Helper()
	machine := linkem.NewBeat()
	defer machine.Close()
	e.set(wire + ",loss=100%")
	<-time.After(blackholeLength)
	for _, p := range c.present {
		ask[bool](p, recorder)
	}
	e.set(wire)
	over := time.Now()
	// Ten frames are no straggler.
	var waits []func()
	c.eachPair(func(viewer, shown *tab) { waits = append(waits, viewer.more(shown.name, "camera", 10)) })
	for _, wait := range waits {
		wait()
	}
	back := time.Since(over)
	c.hearsEach()
	p := punctual{e.late(), machine.Take()}
	t.Logf("figure: Chromium: after a hole of %v everybody sees everybody again in %v; %v", blackholeLength, back.Round(10*time.Millisecond), p)
	judged := p.valid() || os.Getenv("SOAK") != "" // sim's TestBlackhole holds the bar in virtual time
	for _, p := range c.present {
		looks := ask[[]look](p, "(clearInterval(goal.timer), goal.looks)")
		picture, sound := firstAfter(looks, over)
		t.Logf("figure: Q6, from getStats: %s has a new picture after %v, and sound after %v", p.name, picture, sound)
		if judged && (picture > blackholeBack || sound > blackholeBack) {
			t.Errorf("%s had a picture after %v, sound after %v", p.name, picture, sound)
		}
	}
	if judged && back > blackholeBack {
		t.Errorf("back after %v", back)
	}
}

// firstAfter is how long after a time the first frame was decoded, and the first sound came that was not made up.
func firstAfter(looks []look, from time.Time) (picture, sound time.Duration) {
	picture, sound = never, never
	for i := 1; i < len(looks); i++ {
		at, now, before := time.UnixMicro(int64(looks[i].At*1000)).Sub(from), looks[i], looks[i-1]
		if at <= 0 {
			continue
		}
		if now.Frames > before.Frames {
			picture = min(picture, at)
		}
		if heard := now.Samples - before.Samples; heard > 0 && now.Concealed-before.Concealed < heard/2 && now.Packets > before.Packets {
			sound = min(sound, at)
		}
	}
	return picture.Round(time.Millisecond), sound.Round(time.Millisecond)
}
