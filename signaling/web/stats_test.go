package web_test

import (
	"context"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// playedJS says what a client tells of two summaries.
const playedJS = `import('/sdk/v1/stats.js').then(({ played }) => {
	const slot = (ssrc, o) => ({ ssrc, state: 'live', ...o });
	const before = { slots: [
		slot(1, { samplesReceived: 1000, samplesConcealed: 10 }), slot(2, { samplesReceived: 500, samplesConcealed: 500 }),
		slot(3, { freezes: 1, frozen: 700 }), slot(4, { freezes: 0, frozen: 0 }), slot(5, { samplesReceived: 9 }), slot(6, {})] };
	const now = { slots: [
		slot(1, { samplesReceived: 241000, samplesConcealed: 130.4 }), // of the mic
		slot(2, { samplesReceived: 900, samplesConcealed: 400 }), // concealed less: silence was found to be silence
		slot(3, { freezes: 3, frozen: 1900 }), slot(4, { freezes: 1, frozen: 300 }), // the one that stood longest counts
		slot(5, { samplesReceived: 99999, state: 'muted' }), slot(6, {}), // says nothing, as Safari might
		slot(7, { samplesReceived: 77777 })] }; // is new
	return played(before, now);
})`

// testStats: what was played is told every five seconds, in numbers that the server takes.
func testStats(t *testing.T, browser context.Context) {
	f := newFake(t)
	f.invite("x", clinician())
	p := newTab(t, browser, f.URL+"/j/#x", connections)
	s := f.session(t)
	p.until(`bedside.connection.state === 'connected'`)
	want := wire.Stats{Samples: 240400, Concealed: 120, Freezes: 3, Frozen: 1200}
	if got := eval[wire.Stats](p, playedJS); got != want {
		t.Errorf("played: %+v, not %+v", got, want)
	}
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	select {
	case got := <-s.stats:
		if *got != (wire.Stats{}) {
			t.Errorf("alone in the room one has heard %+v", *got)
		}
	case <-deadline.C:
		t.Error("nothing was told in half a minute")
	}
}
