package browser_test

import (
	"fmt"
	"slices"
	"testing"
)

// switching is what a page saw of a picture whose size it changed again and again.
type switching struct {
	Took    []int // ms from asking to the first frame of the other size
	Freezes int   // as the browser counts
	Plis    int   // a decoder that fails asks for a key frame
	Codec   string
}

// switchSizes asks n times for the small and the large encoding in turn, and waits for each. When it fails it says
// what was shown meanwhile: a picture of another size is no picture that stands still.
const switchSizes = `(async (n) => {
	const id = Object.keys(bedsideTest.names).find((k) => bedsideTest.names[k] === "clinician");
	const slot = (await bedside.stats()).slots.find((s) => s.participant === id && s.source === "camera");
	const report = async () => {
		for (const c of bedsideTest.connections) for (const s of (await c.getStats()).values()) {
			if (s.type === "inbound-rtp" && s.ssrc === slot.ssrc) return s;
		}
	};
	const out = { Took: [], Codec: slot.codec };
	const before = await report();
	for (let i = 0; i < n; i++) {
		const height = i %% 2 ? 360 : 180;
		const begun = performance.now();
		await bedside.layout([{ participant: id, source: "camera", width: height * 16 / 9, height, pinned: false }]);
		const shown = bedsideTest.following.frames.length;
		await bedsideTest.until("picture of " + height + " lines", 15000, () => bedsideTest.following.width === height * 16 / 9).catch((e) => {
			const { frames, width } = bedsideTest.following;
			throw new Error(e.message + "; shown meanwhile: " + (frames.length - shown) + " frames, the last " + width + " wide");
		});
		out.Took.push(Math.round(performance.now() - begun));
		await new Promise((r) => setTimeout(r, 100 + Math.random() * 500));
	}
	const after = await report();
	out.Freezes = after.freezeCount - before.freezeCount;
	out.Plis = after.pliCount - before.pliCount;
	return out;
})(%d)`

// show lets a page show the clinician's camera that high.
func (c *consultation) show(who *tab, height int) {
	c.t.Helper()
	ask[bool](who, `bedside.layout([{ participant: %q, source: "camera", width: %d, height: %d, pinned: false }]).then(() => true)`,
		c.invited(clinician).ID, height*16/9, height)
}

// follow lets f pass while a page notes what it shows of the clinician, and so do the witnesses.
func (c *consultation) follow(who, control, publisher *tab, f func()) (seen followed, w witnesses) {
	c.t.Helper()
	ask[bool](publisher, `Boolean(bedsideTest.done = bedsideTest.sending())`)
	for _, p := range []*tab{who, control} {
		ask[bool](p, `Boolean(bedsideTest.done = bedsideTest.follow(%q))`, publisher.name)
	}
	f()
	seen, w.control = ask[followed](who, `bedsideTest.done()`), ask[followed](control, `bedsideTest.done()`)
	w.sent = ask[struct{ Q, H []float64 }](publisher, `bedsideTest.done()`)
	if len(w.control.Frames) < 100 || len(w.sent.Q) < 100 || len(w.sent.H) < 100 {
		c.t.Fatalf("the witnesses saw %d, %d and %d frames", len(w.control.Frames), len(w.sent.Q), len(w.sent.H))
	}
	return seen, w
}

// TestLayers switches between two encodings of a camera fifty times with each codec: the decoder never asks
// for help, and the picture never stands still for it. A machine that has no time stops pictures that nobody
// switches, too: freezes are compared with what a page sees that shows the lower encoding all the while, and
// with what the publisher encodes. What is left is looked for again: what a switch does it does each time.
// Then the large encoding is stopped at the publisher, who begins with it anew.
func TestLayers(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	const switches, batch, rounds = 50, 10, 3 // a batch ends large, and the next begins small
	for _, codec := range []string{"VP8", "H264"} {
		t.Run(codec, func(t *testing.T) {
			c := newConsultation(t, codec, func(role string) string { return role }, false)
			doctor, sam, control := c.arrive(clinician), c.arrive(patient), c.arrive(interpreter)
			c.admit(doctor, sam)
			c.admit(doctor, control)
			c.seesEach()
			doctor.until("camera that keeps its sizes", "await bedsideTest.keepSize()")
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the publisher sends %s", ask[string](doctor, "bedsideTest.sent()"))
				}
			})
			sam.press("camera")
			control.press("camera")
			c.show(sam, 360)
			c.show(control, 180)
			sam.until("large picture", `bedsideTest.all('.tile video').some((v) => v.videoWidth === 640)`)
			ask[bool](doctor, `bedsideTest.textured = true`)
			var own []freeze
			for round := range rounds {
				var all switching
				seen, w := c.follow(sam, control, doctor, func() {
					for range switches / batch {
						// A machine without time takes the room for the large one from its publisher.
						doctor.until("two encodings", `/q: 320x180.*h: 640x360|h: 640x360.*q: 320x180/.test(await bedsideTest.sent())`)
						s := ask[switching](sam, switchSizes, batch)
						all.Took = append(all.Took, s.Took...)
						all.Freezes += s.Freezes
						all.Plis += s.Plis
						all.Codec = s.Codec
					}
				})
				if all.Codec != "video/"+codec || len(all.Took) != switches {
					t.Errorf("%d switches of %s", len(all.Took), all.Codec)
				}
				if all.Plis != 0 {
					t.Errorf("the decoder asked for %d key frames", all.Plis)
				}
				slices.Sort(all.Took)
				own = seen.own(&w)
				begin, end := seen.Frames[0], seen.Frames[len(seen.Frames)-1]
				t.Logf("figure: Chromium, %s: %d switches, %d freezes of their own; longest gap %.0f ms, %.0f ms without switching; %d freezes as the browser counts; shown after %d ms (median), %d ms at most",
					codec, switches, len(own), longest(seen.Frames, begin, end), longest(w.control.Frames, begin, end), all.Freezes, all.Took[switches/2], all.Took[switches-1])
				if len(own) == 0 {
					break
				}
				t.Logf("round %d: %.0f", round+1, own)
			}
			if len(own) > 0 {
				t.Errorf("in each of %d rounds of %d switches there were freezes, of %.0f in the last", rounds, switches, own)
			}
			sending := `(() => { for (const c of bedsideTest.connections) for (const s of c.getSenders()) {
				const h = s.getParameters().encodings?.find((e) => e.rid === "h"); if (s.track && h) return h.active; } })()`
			c.show(sam, 180)
			doctor.until("end of the large encoding", "%s", fmt.Sprintf("%s === false", sending))
			c.show(sam, 360)
			doctor.until("its return", "%s", fmt.Sprintf("%s === true", sending))
			sam.until("large picture", `bedsideTest.all('.tile video').some((v) => v.videoWidth === 640)`)
		})
	}
}
