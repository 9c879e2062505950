package browser_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var lasting = flag.Duration("lasting", 30*time.Minute, "how long a call over a thin lossy link has to last")

// life notes each change of a page's connection and of its path, for who wants to know why a call did not last.
const life = `globalThis.life = { began: performance.now(), said: [] };
for (const pc of bedsideTest.connections) {
	const say = (what) => life.said.push(((performance.now() - life.began) / 1000).toFixed(1) + ' s ' + what);
	pc.addEventListener('iceconnectionstatechange', () => say('ICE ' + pc.iceConnectionState));
	pc.addEventListener('connectionstatechange', () => say('connection ' + pc.connectionState));
	pc.addEventListener('signalingstatechange', () => say('SDP ' + pc.signalingState));
}
true`

// TestCallLasts holds a call behind 60 kbit/s with a tenth lost and 300 ms: nobody has to connect anew, and in the mean
// of its minutes both are understood. A minute in which the link or the machine was late does not count.
func TestCallLasts(t *testing.T) {
	if os.Getenv("SOAK") != "1" {
		t.Skip("takes half an hour: SOAK=1")
	}
	links := badLinks()
	l := links[slices.IndexFunc(links, func(l badLink) bool { return l.Name == "Q4" })]
	v := newVisit(t, 120, l.Path)
	v.begin(l)
	for _, who := range []*tab{v.doctor, v.sam} {
		ask[bool](who, life)
	}
	var down, up float64
	minutes := 0
	began := time.Now()
	for time.Since(began) < *lasting {
		v.machine.Take()
		from := time.Now()
		pass(time.Minute)
		p := punctual{v.link.late(), v.machine.Take()}
		d, u := receivedIn(v.looks(v.sam, from)).score(l.Path), receivedIn(v.looks(v.doctor, from)).score(l.Path)
		t.Logf("figure: minute %.0f: MOS %.2f down, %.2f up; %v", time.Since(began).Minutes(), d, u, p)
		if p.valid() {
			down, up, minutes = down+d, up+u, minutes+1
		}
	}
	down, up = down/float64(max(1, minutes)), up/float64(max(1, minutes))
	t.Logf("figure: mean of %d minutes: MOS %.2f down, %.2f up", minutes, down, up)
	switch {
	case minutes < 10: // the first minutes of a buffer are its worst
		t.Logf("figure: the sound is not judged: of ten minutes that count there were %d", minutes)
	case min(down, up) < l.MOS:
		t.Errorf("MOS %.2f down and %.2f up, wanted %.1f", down, up, l.MOS)
	}
	for _, who := range []*tab{v.doctor, v.sam} {
		t.Logf("figure: the %s's page: %s", who.name, ask[string](who, "life.said.join('; ') || 'nothing happened'"))
		if n := ask[int](who, "bedsideTest.connections.length"); n != 1 {
			t.Errorf("the %s's page connected %d times", who.name, n)
		}
	}
	// Nor was the WebSocket lost, which would be less than a call.
	if n := strings.Count(v.c.server.log.String(), "resumed=true"); n > 0 {
		t.Errorf("came back %d times", n)
	}
}
