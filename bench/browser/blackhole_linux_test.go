package browser_test

import (
	"testing"
	"time"
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
	e.set(wire + ",loss=100%")
	<-time.After(blackholeLength)
	e.set(wire)
	over := time.Now()
	// Ten frames are no straggler.
	var waits []func()
	c.eachPair(func(viewer, shown *tab) { waits = append(waits, viewer.more(shown.name, "camera", 10)) })
	for _, wait := range waits {
		wait()
	}
	back := time.Since(over)
	t.Logf("figure: Chromium: after a hole of %v everybody sees everybody again in %v", blackholeLength, back.Round(10*time.Millisecond))
	if back > blackholeBack {
		t.Errorf("back after %v", back)
	}
	c.hearsEach()
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
